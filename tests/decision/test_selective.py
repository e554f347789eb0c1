import itertools

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from robust.decision.selective import aurc, certified_threshold, risk_coverage, selective_risk, strict_to_lenient
from robust.decision.thresholds import outlier_scores

RISK, COUNT, TIMES = 0.05, 1000, 500
FINE = np.linspace(0, 1, 10_001)


def rising(score):
    """How often answers are wrong, given a score that is uniform in 0..1."""
    return 0.01 + 0.3 * score**3


def bumpy(score):
    return np.where((score > 0.3) & (score < 0.45), 0.2, 0.01)


def true_risk(chance, thresholds):
    total = np.concatenate([[0], np.cumsum((chance(FINE[1:]) + chance(FINE[:-1])) / 2)]) / (len(FINE) - 1)
    return np.interp(thresholds, FINE, total) / np.maximum(thresholds, 1e-9)


def labelled(chance, seed, count=COUNT):
    generator = np.random.default_rng(seed)
    scores = generator.uniform(size=count)
    return scores, generator.uniform(size=count) < chance(scores)


@pytest.mark.parametrize("chance", [rising, bumpy])
@pytest.mark.parametrize("side", ["low", "high"])
def test_certified_thresholds_keep_the_risk_in_95_of_100_draws(chance, side):
    unlabelled = outlier_scores(np.random.default_rng(9).uniform(size=2000), side)
    tested = strict_to_lenient(unlabelled, COUNT, RISK, side)
    found = []
    for seed in range(TIMES):
        scores, wrong = labelled(chance, seed)
        found.append(certified_threshold(outlier_scores(scores, side), wrong, tested, RISK, side))
    thresholds = np.array([outlier_scores(one.threshold, side) for one in found if one])
    assert len(thresholds) > 0.9 * TIMES and thresholds.mean() > 0.25  # it answers
    assert (true_risk(chance, thresholds) > RISK).sum() <= 0.05 * TIMES


def test_the_most_lenient_threshold_that_looks_right_is_wrong_every_second_time():
    naive = []
    for seed in range(TIMES):
        curve = risk_coverage(*labelled(rising, seed), "high")
        naive.append(curve.thresholds[curve.risk <= RISK][-1])
    assert (true_risk(rising, np.array(naive)) > RISK).mean() > 0.4


def test_what_is_certified_is_what_was_counted():
    scores, wrong = labelled(rising, 0, 2 * COUNT)
    tested = strict_to_lenient(scores[:COUNT], COUNT, RISK, "high")
    found = certified_threshold(scores[COUNT:], wrong[COUNT:], tested, RISK, "high")
    counted = selective_risk(wrong[COUNT:], scores[COUNT:] > found.threshold)
    assert (found.coverage, found.risk) == (counted.coverage, counted.risk) and found.threshold in tested
    assert certified_threshold(scores[COUNT:], wrong[COUNT:], tested[::-1], RISK, "high") == found


def test_nothing_is_certified_of_a_classifier_that_guesses():
    scores, wrong = labelled(lambda score: np.full_like(score, 0.5), 0)
    assert certified_threshold(scores, wrong, np.linspace(0.1, 1, 10), RISK, "high") is None
    assert certified_threshold(scores, np.zeros(COUNT, dtype=bool), np.array([-1.0]), RISK, "high") is None


def test_too_few_labels_are_told_how_many_it_takes():
    few, right = np.arange(58.0), np.zeros(58, dtype=bool)
    with pytest.raises(ValueError, match="5 % of the answers .* at least 59 labelled images; there are 58"):
        certified_threshold(few, right, few, RISK, "high")
    with pytest.raises(ValueError, match="at least 59 labelled images"):
        strict_to_lenient(few, 58, RISK, "high")
    found = certified_threshold(np.arange(59.0), np.zeros(59, dtype=bool), np.array([58.0]), RISK, "high")
    assert found == (58.0, 1.0, 0.0)


def test_thresholds_to_test_begin_where_five_errors_still_pass():
    tested = strict_to_lenient(np.arange(2000.0), COUNT, RISK, "high")
    assert len(tested) == 100 and tested[-1] == 1999
    assert binom.cdf(5, 208, RISK) <= 0.05 < binom.cdf(5, 207, RISK)
    assert tested[0] == 2000 * 208 / COUNT - 1
    few = np.repeat([0.0, np.inf], [3, 1])
    assert strict_to_lenient(few, COUNT, RISK, "low").tolist() == [np.inf, 0.0]
    assert strict_to_lenient(np.arange(9.0), 59, RISK, "high").tolist() == [8.0]


@pytest.mark.parametrize("side", ["low", "high"])
def test_curve_counts_what_its_thresholds_answer(side):
    generator = np.random.default_rng(0)
    scores, wrong = generator.integers(20, size=300).astype(float), generator.uniform(size=300) < 0.2
    scores[:30] = np.inf
    curve = risk_coverage(scores, wrong, side)
    assert len(curve.thresholds) == len(np.unique(scores)) and curve.coverage[-1] == 1
    for threshold, coverage, risk in zip(*curve):
        counted = selective_risk(wrong, outlier_scores(scores, side) > outlier_scores(threshold, side))
        assert (coverage, risk) == (counted.coverage, pytest.approx(counted.risk))


def test_aurc_by_hand_and_over_the_orders_of_ties():
    wrong = np.array([False, True, False, True])
    by_hand = np.mean([0, 1 / 2, 1 / 3, 2 / 4])
    assert aurc(np.arange(4.0), wrong, "high") == aurc(-np.arange(4.0), wrong, "low") == pytest.approx(by_hand)
    orders = [aurc(np.r_[0, order], wrong, "high") for order in itertools.permutations([1.0, 2.0, 3.0])]
    assert aurc(np.array([0.0, 1, 1, 1]), wrong, "high") == pytest.approx(np.mean(orders))


def test_selective_risk_is_that_of_the_answers():
    wrong, refused = np.arange(200) < 20, np.arange(200) < 12
    expected = binomtest(8, 188).proportion_ci(0.95, "exact")
    assert selective_risk(wrong, refused) == pytest.approx((188 / 200, 8 / 188, expected.low, expected.high), abs=1e-9)
    assert selective_risk(wrong, wrong).risk == 0
    nothing = selective_risk(wrong, np.ones(200, dtype=bool))
    assert nothing.coverage == 0 and np.isnan(nothing.risk) and (nothing.low, nothing.high) == (0, 1)


@pytest.mark.parametrize("scores, wrong", [([1.0, 2.0], [True]), ([], []), ([np.nan], [True]), ([1.0], [7])])
def test_scores_and_answers_that_do_not_fit(scores, wrong):
    with pytest.raises(ValueError, match="needs its score|given as booleans"):
        risk_coverage(np.array(scores), np.array(wrong), "high")

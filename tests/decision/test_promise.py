"""Promises are kept: hundreds of calibration sets are drawn, and the truth is known."""

import numpy as np
import pytest
from scipy.special import betaincinv

from robust.decision.by_class import thresholds_by_class
from robust.decision.promise import Promise, allowed_refusals, fpr_at_most, promised_threshold, share_interval
from robust.decision.selective import aurc, risk_coverage, selective_risk, threshold_at_risk
from robust.decision.thresholds import threshold_at_fpr

DRAWS = 600


def test_2000_images_allow_83_refusals_at_5_per_cent():
    assert allowed_refusals(2000, 0.05, 0.95) == 83
    with pytest.raises(ValueError, match="at least 59 are needed"):
        allowed_refusals(58, 0.05, 0.95)
    assert allowed_refusals(59, 0.05, 0.95) == 0


@pytest.mark.parametrize("kind", ["smooth", "tied", "infinite"])
def test_the_promised_fpr_holds_in_95_of_100_calibration_sets(kind):
    def draw(count: int, randomness) -> np.ndarray:
        scores = randomness.exponential(size=count)
        if kind == "tied":
            return np.floor(4 * scores)
        return np.where(randomness.random(count) < 0.03, np.inf, scores) if kind == "infinite" else scores

    truth, randomness = draw(200_000, np.random.default_rng(1)), np.random.default_rng(0)
    kept = {"promised": 0, "counted": 0}
    for _ in range(DRAWS):
        scores = draw(500, randomness)
        kept["promised"] += (truth > promised_threshold(scores, Promise(0.05), "high")).mean() <= 0.05
        kept["counted"] += (truth > threshold_at_fpr(scores, 0.05, "high")).mean() <= 0.05
    assert kept["promised"] >= 0.94 * DRAWS
    if kind == "smooth":
        assert kept["counted"] < 0.7 * DRAWS  # as without a promise


def test_the_bound_holds_for_all_thresholds_at_once():
    randomness, count = np.random.default_rng(0), 1000
    bounds = fpr_at_most(np.arange(count), count)
    assert (np.diff(bounds) >= 0).all() and fpr_at_most(count, count) == 1
    one_by_one = betaincinv(np.arange(count) + 1, count - np.arange(count), 0.95)
    held = alone = 0
    for _ in range(DRAWS):
        fpr = np.sort(1 - randomness.random(count))  # of the thresholds that refuse 0, 1, 2, ... images
        held += (fpr <= bounds).all()
        alone += (fpr <= one_by_one).all()
    assert held >= 0.94 * DRAWS
    assert alone < 0.8 * DRAWS  # bounds that hold for one threshold each
    assert bounds[50] < 50 / count + np.sqrt(
        np.log(1 / 0.05) / (2 * count)
    )  # nearer than Dvoretzky, Kiefer & Wolfowitz


def test_intervals_hold_the_share():
    randomness = np.random.default_rng(0)
    hits = randomness.binomial(300, 0.04, DRAWS)
    held = [low <= 0.04 <= high for low, high in (share_interval(int(k), 300) for k in hits)]
    assert np.mean(held) >= 0.94
    assert share_interval(0, 50)[0] == 0 and share_interval(50, 50)[1] == 1


def test_every_class_keeps_the_promise():
    randomness, kept = np.random.default_rng(0), np.zeros(3)
    scale = np.array([1.0, 3.0, 0.5])
    for _ in range(200):
        classes = randomness.integers(3, size=1500)
        found = thresholds_by_class(randomness.exponential(size=1500) * scale[classes], classes, Promise(0.05), "high")
        kept += [np.exp(-found.thresholds[c] / scale[c]) <= 0.05 for c in range(3)]
    assert (kept >= 0.91 * 200).all()
    few = np.r_[np.zeros(1480, int), np.full(20, 7)]
    found = thresholds_by_class(randomness.exponential(size=1500), few, Promise(0.05), "high")
    assert 7 not in found.thresholds
    assert found.refused(np.full(2, found.overall + 1e-9), np.array([7, 0])).tolist()[0]


def test_answers_are_as_seldom_wrong_as_asked_for():
    def draw(count: int, randomness) -> tuple[np.ndarray, np.ndarray]:
        scores = randomness.random(count)
        return scores, randomness.random(count) < 0.1 * scores**2

    truth = draw(300_000, np.random.default_rng(1))
    randomness, kept, coverage = np.random.default_rng(0), [], []
    for _ in range(300):
        try:
            threshold = threshold_at_risk(*draw(3000, randomness), 0.02, "high")
        except ValueError:  # by bad luck nothing can be said: then nothing is answered
            kept.append(True)
            coverage.append(0.0)
            continue
        answered = truth[0] <= threshold
        kept.append(truth[1][answered].mean() <= 0.02)
        coverage.append(answered.mean())
    assert np.mean(kept) >= 0.94
    assert np.mean(coverage) > 0.5  # the risk of all answers is 3.3 %; that of 77 % of them is 2 %
    with pytest.raises(ValueError, match="allow a larger share"):
        threshold_at_risk(*draw(100, randomness), 0.001, "high")


def test_risk_and_coverage_of_a_perfect_and_of_a_useless_score():
    wrong = np.r_[np.zeros(80, bool), np.ones(20, bool)]
    coverage, risk = risk_coverage(np.arange(100), wrong, "high")
    assert (coverage[79], risk[79], risk[-1]) == (0.8, 0.0, 0.2)
    assert aurc(np.arange(100), wrong, "high") < aurc(np.arange(100), wrong, "low")
    found = selective_risk(np.arange(100) < 90, wrong)
    assert (found.coverage, found.risk) == (0.9, pytest.approx(1 / 9)) and found.at_most > found.risk

import math

import numpy as np
import pytest
from populations import continuous, draws, tied, true_fpr
from scipy.stats import binom, binomtest

from robust.decision.promise import Promise, allowed_refusals, fpr_interval, promised_threshold, upper_fpr
from robust.decision.thresholds import outlier_scores, refused, threshold_at_fpr

TIMES = 1000


@pytest.mark.parametrize("population", [continuous(), tied()], ids=["continuous", "tied"])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("side", ["low", "high"])
def test_500_images_keep_the_promise_in_95_of_100_draws(population, share, side):
    thresholds = [
        promised_threshold(outlier_scores(scores, side), share, 0.95, side) for scores in draws(population, 500, TIMES)
    ]
    kept = true_fpr(population, outlier_scores(np.array(thresholds), side)) <= share
    assert kept.mean() >= 0.95


@pytest.mark.parametrize("population, share", [(continuous(), 0.05), (tied(), 0.02)], ids=["continuous", "tied"])
def test_the_share_counted_on_the_reference_is_exceeded_every_second_time(population, share):
    thresholds = [threshold_at_fpr(scores, share, "high") for scores in draws(population, 500, TIMES)]
    assert (true_fpr(population, thresholds) <= share).mean() < 0.5


def test_the_promise_wastes_little():
    population = continuous()
    thresholds = [promised_threshold(scores, 0.05, 0.95, "high") for scores in draws(population, 500, TIMES)]
    assert (true_fpr(population, thresholds) <= 0.05).mean() < 0.98


@pytest.mark.parametrize(
    "count, fpr, confidence", [(93, 0.05, 0.95), (92, 0.05, 0.95), (2000, 0.01, 0.99), (9, 0.9, 0.9)]
)
def test_one_more_refusal_would_be_too_many(count, fpr, confidence):
    allowed = allowed_refusals(count, fpr, confidence)
    assert binom.cdf(allowed, count, fpr) <= 1 - confidence < binom.cdf(allowed + 1, count, fpr)


def test_2000_images_may_lose_83():
    assert allowed_refusals(2000, 0.05, 0.95) == 83
    scores = np.arange(2000.0)
    assert refused(scores, promised_threshold(scores, 0.05, 0.95, "low"), "low").sum() == 83


def test_too_few_images_are_told_how_many_it_takes():
    assert allowed_refusals(59, 0.05, 0.95) == 0
    with pytest.raises(
        ValueError, match="at most 5 % with 95 % confidence takes at least 59 good images; there are 58"
    ):
        promised_threshold(np.arange(58.0), 0.05, 0.95, "high")
    with pytest.raises(ValueError, match="there are 0"):
        promised_threshold(np.array([]), 0.05, 0.95, "high")


@pytest.mark.parametrize("share, confidence", [(0, 0.95), (1, 0.95), (math.nan, 0.95), (0.05, 1), (0.05, 0), (5, 0.95)])
def test_promises_that_nobody_can_keep(share, confidence):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        Promise(share, confidence)


def test_a_score_that_is_no_number_is_said_so():
    with pytest.raises(ValueError, match="not a number"):
        promised_threshold(np.r_[np.arange(100.0), np.nan], 0.05, 0.95, "low")


@pytest.mark.parametrize("found", [0, 1, 50, 99, 100])
def test_interval_is_that_of_scipy(found):
    expected = binomtest(found, 100).proportion_ci(0.9, method="exact")
    assert fpr_interval(found, 100, 0.9) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("found, count", [(-1, 10), (11, 10), (0, 0)])
def test_impossible_counts_have_no_interval_and_no_bound(found, count):
    with pytest.raises(ValueError, match="between none and all"):
        fpr_interval(found, count)
    with pytest.raises(ValueError, match="between none and all"):
        upper_fpr(found, count)


@pytest.mark.parametrize("population", [continuous(), tied()], ids=["continuous", "tied"])
@pytest.mark.parametrize("count", [20, 500])
def test_the_band_covers_all_thresholds_at_once(population, count):
    """Where scores do not tie, in exactly 95 % (see below): here up to three standard deviations of 1000 draws."""
    reference = np.sort(draws(population, count, TIMES))
    thresholds = np.unique(population)[::10] if np.unique(population).size > 1000 else np.unique(population)
    truth = true_fpr(population, thresholds)
    held = [
        np.all(truth <= upper_fpr(count - np.searchsorted(scores, thresholds, side="right"), count))
        for scores in reference
    ]
    assert np.mean(held) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / TIMES)


@pytest.mark.parametrize("count", [1, 2, 7, 60])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_the_band_is_exact(count, confidence):
    """P(the jth smallest of n uniform variables is at most its bound, for all j), counted from bound to bound."""
    bounds = upper_fpr(np.arange(count), count, confidence)
    below, place = np.r_[1.0, np.zeros(count)], 0.0  # probability of how many variables lie below `place`
    for needed, bound in enumerate(bounds, start=1):
        if bound == 1:
            break
        step = (bound - place) / (1 - place)
        below = np.array(
            [
                binom.pmf(total - np.arange(count + 1), count - np.arange(count + 1), step) @ below
                for total in range(count + 1)
            ]
        )
        below[:needed], place = 0, bound
    assert below.sum() == pytest.approx(confidence, abs=1e-9)


def test_the_band_rises_and_is_wider_than_the_interval_of_one_threshold():
    band = upper_fpr(np.arange(2001), 2000)
    assert (np.diff(band) >= 0).all() and band[-1] == 1
    assert all(band[k] > fpr_interval(k, 2000, 0.9)[1] for k in range(0, 2000, 50))
    assert band[100] < 100 / 2000 + math.sqrt(math.log(20) / 4000)  # DKW-Massart
    assert upper_fpr(100, 2000) == band[100]

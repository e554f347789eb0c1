"""What a false positive rate that was counted on some good images says about all good images.

A threshold that refuses k of n good images has a false positive rate that is distributed as Beta(k + 1, n - k), whatever
the scores' distribution (order statistics of n uniform numbers; Wilks 1941, Vovk 2012). MAPIE and crepes make prediction
sets and p-values with a coverage on average over calibration sets; what is promised here holds for this calibration set,
with a confidence, so both are of no use.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from robust.decision.thresholds import Side, outlier_scores

CONFIDENCE = 0.95
DRAWS, PLACES = 20_000, 160  # of the simulated bound: samples, and numbers of refusals at which it is taken


@dataclass(frozen=True)
class Promise:
    """A threshold whose false positive rate is at most `share` (0..1) with the `confidence` (0..1)."""

    share: float
    confidence: float = CONFIDENCE

    def __post_init__(self):
        if not 0 < self.share < 1:
            raise ValueError(f"An FPR to promise is a share between 0 and 1, such as 0.05 for 5 %, not {self.share}.")
        if not 0 < self.confidence < 1:
            raise ValueError(f"A confidence is a share between 0 and 1, such as 0.95, not {self.confidence}.")


def allowed_refusals(count: int, fpr: float, confidence: float = CONFIDENCE) -> int:
    """The most of `count` good images that a threshold may refuse, so that its FPR is at most `fpr` with that confidence.

    Of 2,000 images 83 for 5 % at 95 %. Raises ValueError, which says how many images are needed, where not even 0 will do.
    """
    from scipy.special import betainc  # P(Beta(a, b) <= x)

    refusals = np.arange(count)
    kept = betainc(refusals + 1, count - refusals, fpr) >= confidence
    if not kept.any():
        needed = int(np.ceil(np.log1p(-confidence) / np.log1p(-fpr)))
        raise ValueError(
            f"An FPR of {fpr:.2%} cannot be promised with {confidence:.0%} confidence on {count} good images: "
            f"at least {needed} are needed."
        )
    return int(np.flatnonzero(kept)[-1])


def promised_threshold(reference: np.ndarray, promise: Promise, refuses: Side) -> float:
    """The strictest threshold that keeps the promise, given the scores (N,) of good images. Ties only lower the FPR."""
    ordered = np.sort(outlier_scores(reference, refuses))
    allowed = allowed_refusals(len(ordered), promise.share, promise.confidence)
    return float(outlier_scores(ordered[len(ordered) - 1 - allowed], refuses))


def share_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Where a share lies of which `hits` of `count` were counted (Clopper & Pearson 1934): low and high, 0..1.

    For the FPR of a threshold that was not chosen on these images.
    """
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = betaincinv(hits, count - hits + 1, tail) if hits else 0.0
    high = betaincinv(hits + 1, count - hits, 1 - tail) if hits < count else 1.0
    return float(low), float(high)


def fpr_at_most(refused: int | np.ndarray, count: int, confidence: float = CONFIDENCE) -> np.ndarray:
    """What the FPR of a threshold that refuses so many of `count` good images is at most, 0..1, for all thresholds at once.

    So it holds wherever a threshold is dragged. A bound of the kind of Bates et al., *Testing for Outliers with Conformal
    p-values* (2023), section 4: the quantiles of Beta(k + 1, n - k), at a level that a simulation (seed 0) finds.
    """
    from scipy.special import betaincinv

    places = _places(count)
    bounds = betaincinv(places + 1, count - places, 1 - _level(count, confidence))
    refused = np.asarray(refused)
    return np.where(refused >= count, 1.0, bounds[np.minimum(np.searchsorted(places, refused), len(places) - 1)])


def _places(count: int) -> np.ndarray:
    """Numbers of refusals, from 0 to count - 1: all small ones, fewer of the large. Between two the larger one's bound holds."""
    return np.unique(np.r_[np.arange(min(count, 40)), np.geomspace(1, count, PLACES).astype(int) - 1])


@lru_cache
def _level(count: int, confidence: float) -> float:
    """The level at which Beta quantiles bound the FPR at all places at once."""
    from scipy.special import betaincc

    randomness, places = np.random.default_rng(0), _places(count)
    # The k + 1 largest of n uniform numbers are sums of exponential gaps (Rényi 1953), so no sample is ever sorted.
    gaps = np.diff(np.r_[0, places + 1, count + 1])
    sums = randomness.standard_gamma(gaps, (DRAWS, len(gaps))).cumsum(1)
    fpr = sums[:, :-1] / sums[:, -1:]
    least = np.sort(betaincc(places + 1, count - places, fpr).min(1))
    misses = (1 - confidence) * DRAWS
    return float(least[int(misses - 2 * np.sqrt(misses))])  # two standard errors of the simulation on the safe side

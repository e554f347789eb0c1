"""False alarms promised for images to come, where `thresholds` counts those of the reference set.

A threshold that refuses 5 % of 2000 reference images refuses more than 5 % of the images to come about every second
time: the reference set is a sample. Here a threshold leaves room for that, so that its true FPR (the share of good
images to come that it refuses) is at most what was promised, with a confidence: in 95 of 100 reference sets.

All of it holds for every distribution of scores, ties and infinities included, if the reference images are drawn
independently from where the good images to come are drawn, and were not used for training. It is said of one score:
of metrics joined by "all" each one's bound holds for the rule, joined by "any" their shares and their doubts add up.

MAPIE is not used, as its risk control wants a function that predicts, not scores, and would bring scikit-learn along
for one quantile of a beta distribution. crepes is not used, as its p-values hold on average over reference sets, which
promises nothing about the one at hand, and it would bring pandas along.
"""

import math
import operator
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from robust.decision.thresholds import Side, outlier_scores


@dataclass(frozen=True)
class Promise:
    """A threshold chosen so that the true FPR is at most `share` with a `confidence`: `Promise(0.05)`.

    Both lie between 0 and 1, both ends excluded; else ValueError.
    """

    share: float
    confidence: float = 0.95

    def __post_init__(self):
        if not 0 < self.share < 1:
            raise ValueError(f"A promised FPR is a share above 0 and below 1, such as 0.05 for 5 %, not {self.share}.")
        _doubt(self.confidence)


def allowed_refusals(count: int, fpr: float, confidence: float = 0.95) -> int:
    """How many of `count` reference scores a threshold may refuse, so that its true FPR is at most `fpr`.

    The threshold that refuses the k most suspicious of n scores has a true FPR of Beta(k + 1, n - k) where scores do
    not tie, and a smaller one where they do (Vovk, Conditional validity of inductive conformal predictors, ACML 2012,
    arXiv 1209.2673). The largest k is returned with P(Beta(k + 1, n - k) <= fpr) >= confidence, which is the same as
    P(Binomial(n, fpr) <= k) <= 1 - confidence. `fpr` and `confidence` lie between 0 and 1.

    Raises ValueError, and says how many images it takes, where not even k = 0 suffices.
    """
    from scipy.special import bdtr

    Promise(fpr, confidence)
    count, doubt = operator.index(count), _doubt(confidence)
    fewest = fewest_images(fpr, confidence)
    if count < fewest:
        raise ValueError(
            f"To promise an FPR of at most {100 * fpr:g} % with {100 * confidence:g} % confidence takes at least "
            f"{fewest} good images; there are {count}."
        )
    # From 1 on, since k = 0 is allowed by now.
    return bisect_right(range(1, count), doubt, key=lambda k: float(bdtr(k, count, fpr)))


def promised_threshold(reference: np.ndarray, fpr: float, confidence: float, refuses: Side) -> float:
    """The strictest threshold whose true FPR is at most `fpr` (0..1) with this `confidence` (0..1).

    reference: scores (N,) of good images, infinite ones and ties among them if need be.
    Raises ValueError where there are too few of them (see `allowed_refusals`), or where one is NaN.
    """
    ordered = np.sort(outlier_scores(reference, refuses))
    if np.isnan(ordered[-1:]).any():
        raise ValueError("A reference score is not a number, so that it is neither refused nor accepted.")
    allowed = allowed_refusals(len(ordered), fpr, confidence)
    return float(outlier_scores(ordered[len(ordered) - 1 - allowed], refuses))


def fpr_interval(refused: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The true share, when `refused` of `count` images are: low and high end (0..1), of Clopper & Pearson (1934).

    For a threshold that was not chosen on these images; for any threshold see `upper_fpr`. It holds for every share
    of independent images, such as that of wrong answers. Each end alone fails with at most half of 1 - confidence.
    Raises ValueError unless 0 <= refused <= count and 1 <= count.
    """
    refused, count = operator.index(refused), operator.index(count)
    if not (0 <= refused <= count and count >= 1):
        raise ValueError(f"Of at least one image between none and all are refused, not {refused} of {count}.")
    low, high = _clopper_pearson(np.array([refused]), count, confidence)
    return float(low[0]), float(high[0])


@lru_cache(maxsize=32)
def fpr_intervals(count: int, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """`fpr_interval` for each of 0..count refusals: the low and the high ends, (count + 1,) each."""
    return _clopper_pearson(np.arange(count + 1), count, confidence)


def _clopper_pearson(refused: np.ndarray, count: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import betaincinv

    doubt, some, not_all = _doubt(confidence), np.maximum(refused, 1), np.minimum(refused, count - 1)
    low = np.where(refused > 0, betaincinv(some, count - some + 1, doubt / 2), 0.0)
    high = np.where(refused < count, betaincinv(not_all + 1, count - not_all, 1 - doubt / 2), 1.0)
    return low, high


def upper_fpr(refused: np.ndarray | int, count: int, confidence: float = 0.95) -> np.ndarray | float:
    """What the true FPR is at most, for all thresholds at once, when they refuse `refused` of `count` reference images.

    Wherever a slider stands, and however its place was chosen on the reference set: with this `confidence` (0..1) all
    the true FPRs lie at or below these bounds. `refused` (ints 0..count, any shape) gives bounds 0..1 of that shape.

    It is the generalised Simes inequality of Bates, Candès, Lei, Romano & Sesia, Testing for outliers with conformal
    p-values, Annals of Statistics 2023 (arXiv 2104.08279): closed form, and exact where scores do not tie. Their k is
    a quarter of the count, which is sharpest around 1 % refused and sharper than DKW-Massart up to about 10 %.
    Raises ValueError for a count below 1, and for numbers of refusals outside 0..count.
    """
    refused, count = np.asarray(refused), operator.index(count)
    if count < 1 or not np.issubdtype(refused.dtype, np.integer) or np.any((refused < 0) | (refused > count)):
        raise ValueError(f"Of at least one image between none and all are refused: whole numbers from 0 to {count}.")
    return _simes(count, float(confidence))[refused]


@lru_cache(maxsize=32)
def _simes(count: int, confidence: float) -> np.ndarray:
    """The bounds for 0..count refusals, (count + 1,), read-only.

    Refusing j of n bounds the FPR by the (j + 1)th smallest of n uniform variables, and with probability `confidence`
    all of these lie below 1 - (doubt * prod_{m<k} (n - j - m) / (n - m)) ** (1 / k).
    """
    k = max(count // 4, 1)
    left = np.arange(count, k, -1.0)
    products = np.concatenate([[0.0], np.cumsum(np.log((left - k) / left))])  # logarithms, for j = 0..count - k
    bounds = np.ones(count + 1)
    bounds[: len(products)] = -np.expm1((np.log(_doubt(confidence)) + products) / k)
    bounds.flags.writeable = False
    return bounds


def _doubt(confidence: float) -> float:
    """1 - confidence, or ValueError."""
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence is a share above 0 and below 1, such as 0.95 for 95 %, not {confidence}.")
    return 1 - confidence


def fewest_images(share: float, confidence: float) -> int:
    """How many images it takes, all of them good, until the true share of bad ones is at most `share`."""
    return math.ceil(math.log(_doubt(confidence)) / math.log1p(-share) - 1e-9)

"""Answering when sure: how often a guarded classifier answers, and how often its answers are wrong.

Coverage is the share of images that are answered, the selective risk the share of the answers that are wrong, both
0..1 (Geifman & El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017, arXiv 1705.08500). Which
answers are wrong, `wrong` (N,), takes labels; whoever counts answers to nonsense as wrong puts nonsense among the
images. Bounds hold for images to come that are drawn independently from where these were drawn.

MAPIE is not used: its risk control runs the same tests, but around a function that predicts instead of on scores in
hand, and would bring scikit-learn along. crepes is not used: it knows prediction sets, and no selective risk.
"""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np

from robust.decision.promise import Promise, fewest_images, fpr_interval
from robust.decision.thresholds import Side, outlier_scores

SPARE = 5  # wrong answers that the first test of `strict_to_lenient` may meet


class RiskCoverage(NamedTuple):
    """L thresholds from strict to lenient, each (L,): `coverage` rises to 1, and `risk` is the selective risk."""

    thresholds: np.ndarray
    coverage: np.ndarray
    risk: np.ndarray


class SelectiveRisk(NamedTuple):
    """coverage: share answered. risk: share of the answers that are wrong, NaN if none. low, high: of the true risk."""

    coverage: float
    risk: float
    low: float
    high: float


class Certified(NamedTuple):
    """threshold: what to refuse by. coverage, risk: what it gives on the labelled images, not the true ones."""

    threshold: float
    coverage: float
    risk: float


def risk_coverage(scores: np.ndarray, wrong: np.ndarray, refuses: Side) -> RiskCoverage:
    """The curve of a score: how wrong the answers are, for each share of images that is answered.

    scores: (N,). wrong: bool (N,). refuses: the side of the score that is refused first. Each distinct score is one
    threshold, so that L <= N. Raises ValueError where they do not fit, are none, or where a score is NaN.
    """
    outliers, wrong = _sorted(scores, wrong, refuses)
    last = np.append(outliers[1:] > outliers[:-1], True)  # of those that tie
    answered = np.flatnonzero(last) + 1
    return RiskCoverage(
        outlier_scores(outliers[last], refuses), answered / len(wrong), np.cumsum(wrong)[last] / answered
    )


def aurc(scores: np.ndarray, wrong: np.ndarray, refuses: Side) -> float:
    """The area under the risk-coverage curve, 0..1, low is good: the mean selective risk at coverages 1/N, 2/N .. 1.

    Geifman, Uziel & El-Yaniv, Bias-reduced uncertainty estimation, ICLR 2019 (arXiv 1805.08206). Of scores that tie
    it is the mean over their orders. Arguments and errors as of `risk_coverage`.
    """
    curve, count = risk_coverage(scores, wrong, refuses), len(wrong)
    answered = np.arange(1, count + 1)
    errors = np.interp(answered, np.r_[0, curve.coverage * count], np.r_[0, curve.risk * curve.coverage * count])
    return float(np.mean(errors / answered))


def selective_risk(wrong: np.ndarray, refused: np.ndarray, confidence: float = 0.95) -> SelectiveRisk:
    """The selective risk of given refusals, and where the true one lies with this `confidence` (0..1).

    wrong, refused: bool (N,). The interval is that of Clopper & Pearson (1934), 0..1; it holds for refusals by
    thresholds that were not chosen with these labels. Raises ValueError where the two do not fit, or are empty.
    """
    wrong, refused = _flags(wrong), _flags(refused)
    if wrong.shape != refused.shape or not wrong.size:
        raise ValueError(f"Each answer is refused or not: {wrong.shape} answers, {refused.shape} refusals.")
    answered = int((~refused).sum())
    if not answered:
        return SelectiveRisk(0.0, float("nan"), 0.0, 1.0)
    errors = int(wrong[~refused].sum())
    return SelectiveRisk(answered / len(wrong), errors / answered, *fpr_interval(errors, answered, confidence))


def strict_to_lenient(
    unlabelled: np.ndarray, count: int, risk: float, refuses: Side, confidence: float = 0.95, steps: int = 100
) -> np.ndarray:
    """Thresholds for `certified_threshold` to test, (at most `steps`,), found without looking at the labelled images.

    unlabelled: scores (M,) of other images, such as the reference set. count: how many labelled images there are. The
    strictest threshold is expected to answer so many of them that five wrong answers still pass the test, the most
    lenient one answers all of `unlabelled`. Raises ValueError as `certified_threshold` does.
    """
    from scipy.special import bdtr

    _enough(count, risk, confidence)
    outliers = np.sort(outlier_scores(unlabelled, refuses))
    if not outliers.size or np.isnan(outliers[-1]):
        raise ValueError("Thresholds to test are taken from scores: at least one, all of them numbers.")
    first = bisect_left(
        range(count), True, lo=min(SPARE + 1, count), key=lambda n: bool(bdtr(SPARE, n, risk) <= 1 - confidence)
    )
    places = np.ceil(np.linspace(first / count, 1, steps) * len(outliers)).astype(int) - 1
    return outlier_scores(np.unique(outliers[places]), refuses)


def certified_threshold(
    scores: np.ndarray,
    wrong: np.ndarray,
    thresholds: np.ndarray,
    risk: float,
    refuses: Side,
    confidence: float = 0.95,
) -> Certified | None:
    """The most lenient threshold known to keep the true selective risk at or below `risk`, with this `confidence`.

    Learn then Test (Angelopoulos, Bates, Candès, Jordan & Lei 2021, arXiv 2110.01052) by fixed-sequence testing: from
    strict to lenient, as long as P(Binomial(answered, risk) <= wrong answers) <= 1 - confidence. Only the first
    threshold that is too lenient can be passed by mistake, so that the whole search costs no more than one test.

    scores: (N,) of labelled images. wrong: bool (N,). thresholds: what to test, fixed before these images were looked
    at (see `strict_to_lenient`); thresholds taken from `scores` would void the guarantee. risk, confidence: 0..1.
    None: these images do not show it even of the strictest threshold. Raises ValueError, and says how many images it
    takes, where they are too few to show it even if no answer were wrong.
    """
    from scipy.special import bdtr

    outliers, wrong = _sorted(scores, wrong, refuses)
    _enough(len(wrong), risk, confidence)
    tested = np.unique(outlier_scores(thresholds, refuses))
    if not tested.size or np.isnan(tested[-1]):
        raise ValueError("At least one threshold is tested, and each is a number.")
    answered = np.searchsorted(outliers, tested, side="right")
    errors = np.r_[0, np.cumsum(wrong)][answered]
    chance = np.where(answered > 0, bdtr(errors.astype(float), np.maximum(answered, 1), risk), 1.0)
    passed = int(np.logical_and.accumulate(chance <= 1 - confidence).sum())
    if not passed:
        return None
    at = passed - 1
    return Certified(
        float(outlier_scores(tested[at], refuses)), float(answered[at] / len(wrong)), float(errors[at] / answered[at])
    )


def _sorted(scores: np.ndarray, wrong: np.ndarray, refuses: Side) -> tuple[np.ndarray, np.ndarray]:
    """The least suspicious first: outlier scores (N,), and whether each answer is wrong (N,)."""
    outliers, wrong = outlier_scores(scores, refuses), _flags(wrong)
    if outliers.ndim != 1 or outliers.shape != wrong.shape or not wrong.size or np.isnan(outliers).any():
        raise ValueError(
            f"Each answer, right or wrong, needs its score, a number: {outliers.shape} scores, {wrong.shape} answers."
        )
    order = np.argsort(outliers, kind="stable")
    return outliers[order], wrong[order]


def _flags(values: np.ndarray) -> np.ndarray:
    """Booleans (N,), or ValueError: class numbers in place of wrong answers would pass unseen."""
    values = np.asarray(values)
    if values.dtype != bool or values.ndim != 1:
        raise ValueError(f"Wrong answers and refusals are given as booleans (N,), not {values.dtype} {values.shape}.")
    return values


def _enough(count: int, risk: float, confidence: float) -> None:
    Promise(risk, confidence)
    fewest = fewest_images(risk, confidence)
    if count < fewest:
        raise ValueError(
            f"To show that at most {100 * risk:g} % of the answers are wrong with {100 * confidence:g} % confidence "
            f"takes at least {fewest} labelled images; there are {count}."
        )

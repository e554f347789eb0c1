"""Answering less often, to be wrong less often: risk and coverage of a classifier with a guard.

Coverage is the share of inputs that are answered, risk the share of answers that are wrong (Geifman & El-Yaniv,
*Selective Classification for Deep Neural Networks*, NeurIPS 2017).
"""

from dataclasses import dataclass

import numpy as np

from robust.decision.promise import CONFIDENCE, share_interval
from robust.decision.thresholds import Side, outlier_scores

STEPS = 200  # thresholds that are tried, from strict to lenient


@dataclass(frozen=True)
class SelectiveRisk:
    """coverage, risk: shares 0..1; at_most: what the risk is at most, with the confidence asked for."""

    coverage: float
    risk: float
    at_most: float


def selective_risk(answered: np.ndarray, wrong: np.ndarray, confidence: float = CONFIDENCE) -> SelectiveRisk:
    """Of N labelled images: which were answered and which the classifier reads wrongly, bool (N,) each.

    `at_most` holds for a rule that was not chosen on these images. Raises ValueError where nothing was answered.
    """
    count, errors = int(answered.sum()), int((answered & wrong).sum())
    if count == 0:
        raise ValueError("Nothing was answered, so that no answer can be wrong: choose a more lenient threshold.")
    high = share_interval(errors, count, 2 * confidence - 1)[1]  # a one-sided bound
    return SelectiveRisk(count / len(answered), errors / count, high)


def risk_coverage(scores: np.ndarray, wrong: np.ndarray, refuses: Side) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and risk (N,) each, when the least suspicious 1, 2, ... N of N images are answered."""
    order = np.argsort(outlier_scores(scores, refuses), kind="stable")
    answers = np.arange(1, len(order) + 1)
    return answers / len(order), np.cumsum(wrong[order]) / answers


def aurc(scores: np.ndarray, wrong: np.ndarray, refuses: Side) -> float:
    """The area under the risk-coverage curve: the mean risk over all coverages, 0..1."""
    return float(risk_coverage(scores, wrong, refuses)[1].mean())


def threshold_at_risk(
    scores: np.ndarray, wrong: np.ndarray, risk: float, refuses: Side, confidence: float = CONFIDENCE
) -> float:
    """The most lenient threshold at which at most the share `risk` of the answers is wrong, with that confidence.

    Learn-then-Test (Angelopoulos et al. 2021) by fixed-sequence testing: from strict to lenient, each threshold is tested
    by a binomial p-value, and the last before the first failure is taken. Raises ValueError where none passes.
    """
    from scipy.special import bdtr

    ordered = np.sort(outlier_scores(scores, refuses))
    # Fewer answers could pass by being free of errors only. The data has no say in where the sequence begins.
    fewest = int(np.ceil(2 * np.log(1 / (1 - confidence)) / risk))
    counts = np.unique(np.linspace(min(fewest, len(ordered)), len(ordered), STEPS).astype(int))
    chosen = None
    for count in counts:
        threshold = ordered[count - 1]
        answered = outlier_scores(scores, refuses) <= threshold
        errors, answers = int((answered & wrong).sum()), int(answered.sum())
        if bdtr(errors, answers, risk) > 1 - confidence:
            break
        chosen = float(outlier_scores(threshold, refuses))
    if chosen is None:
        raise ValueError(
            f"At no threshold are at most {risk:.2%} of the answers wrong with {confidence:.0%} confidence: allow a "
            "larger share, or give more labelled images."
        )
    return chosen

"""Thresholds, and the error rates they cost.

A metric refuses on one side of its threshold: `refuses = "low"` refuses scores below it (δz),
`refuses = "high"` scores above it (VAE loss). A score equal to the threshold is accepted. What compares scores turns
them by `outlier_scores` first, and then knows one side only.

- FPR: share of the reference set (good inputs, MNIST test) that is refused.
- FNR: share of a comparison set (nonsense, such as Fashion-MNIST) that is accepted.
"""

from typing import Literal

import numpy as np

Side = Literal["low", "high"]


def outlier_scores(scores: np.ndarray | float, refuses: Side) -> np.ndarray:
    """Scores in the field's orientation, that of pytorch-ood: high means outlier. Its own inverse."""
    scores = np.asarray(scores, dtype=np.float64)
    return scores if refuses == "high" else -scores


def refused(scores: np.ndarray | float, threshold: float, refuses: Side) -> np.ndarray:
    """Which scores (N,) the threshold refuses: bool (N,)."""
    return outlier_scores(scores, refuses) > outlier_scores(threshold, refuses)


def threshold_at_fpr(reference: np.ndarray, fpr: float, refuses: Side) -> float:
    """The strictest threshold that refuses at most the share `fpr` (0..1) of the reference scores (N,)."""
    ordered = np.sort(outlier_scores(reference, refuses))
    allowed = int(np.floor(fpr * len(ordered) + 1e-9))
    return float(outlier_scores(ordered[max(len(ordered) - 1 - allowed, 0)], refuses))


def threshold_at_fnr(comparison: np.ndarray, fnr: float, refuses: Side) -> float:
    """The most lenient threshold that accepts at most the share `fnr` (0..1) of the comparison scores (N,)."""
    ordered = np.sort(outlier_scores(comparison, refuses))
    accepted = int(np.floor(fnr * len(ordered) + 1e-9))
    least = np.nextafter(ordered[accepted], -np.inf) if accepted < len(ordered) else ordered[-1]
    return float(outlier_scores(least, refuses))


def percentile(score: float, reference: np.ndarray) -> float:
    """Percentile rank of a score among the reference scores: per cent of them at or below it, 0..100."""
    return 100.0 * float(np.mean(np.asarray(reference, dtype=np.float64) <= score))

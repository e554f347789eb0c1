"""A threshold for each class that is answered: every class keeps the promise, and none pays for another (Vovk 2003, who
calls it Mondrian)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robust.decision.promise import Promise, promised_threshold
from robust.decision.thresholds import Side, outlier_scores


@dataclass(frozen=True)
class ClassThresholds:
    """thresholds: by the number of the predicted class. overall: of all other classes, those with too few good images."""

    thresholds: Mapping[int, float]
    overall: float
    refuses: Side

    def of(self, predictions: np.ndarray) -> np.ndarray:
        """Each image's threshold (N,), given the predicted classes (N,)."""
        return np.array([self.thresholds.get(int(label), self.overall) for label in predictions], dtype=np.float64)

    def refused(self, scores: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Which images are refused, bool (N,), given scores (N,) and predicted classes (N,)."""
        return outlier_scores(scores, self.refuses) > outlier_scores(self.of(predictions), self.refuses)


def thresholds_by_class(
    reference: np.ndarray, predictions: np.ndarray, promise: Promise, refuses: Side
) -> ClassThresholds:
    """Thresholds that keep the promise for each predicted class, from scores (N,) of good images and predictions (N,).

    A class with too few good images for that gets the threshold of all. Raises ValueError where all are too few.
    """
    overall, found = promised_threshold(reference, promise, refuses), {}
    for label in np.unique(predictions):
        try:
            found[int(label)] = promised_threshold(reference[predictions == label], promise, refuses)
        except ValueError:
            continue  # too few: the threshold of all
    return ClassThresholds(found, overall, refuses)

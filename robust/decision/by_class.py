"""One threshold per predicted class, so that no class pays for the others.

One threshold of all keeps its FPR on average over the classes, and may refuse most of the good images of one class.
With a threshold of its own (Mondrian, or class-conditional, conformal prediction: Vovk, Conditional validity of
inductive conformal predictors, ACML 2012, arXiv 1209.2673) each class has its own promise; see `promise`, also why
MAPIE and crepes are not used. The class is the one that the classifier predicts; when judging, no other is known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robust.decision.promise import Promise, allowed_refusals, promised_threshold
from robust.decision.thresholds import Side, refused


@dataclass(frozen=True)
class ClassThresholds:
    """A threshold for each predicted class; made by `class_thresholds`.

    promise: what each of them promises for the images of its class, each by itself: that all ten classes keep it at
    once is as sure only if each is asked for a confidence of 1 - 0.05 / 10.
    thresholds: by class. of_all: the threshold of all images together, for every class that is not in `thresholds`,
    where the promise holds on average over the classes only. too_few: those of them that were asked for.
    """

    promise: Promise
    refuses: Side
    of_all: float
    thresholds: dict[int, float]
    too_few: tuple[int, ...]

    def refused(self, scores: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Which scores (N,) are refused, given the predicted classes, int (N,): bool (N,)."""
        scores, predictions = _paired(scores, predictions)
        limits = np.full(scores.shape, self.of_all)
        for label, threshold in self.thresholds.items():
            limits[predictions == label] = threshold
        return refused(scores, limits, self.refuses)

    def as_json(self) -> dict[str, Any]:
        """As strict JSON knows it: classes become strings, as its keys are, and thresholds, which may be infinite."""
        return {
            "promise": {"fpr": self.promise.share, "confidence": self.promise.confidence},
            "refuses": self.refuses,
            "of_all": repr(self.of_all),
            "thresholds": {str(label): repr(threshold) for label, threshold in self.thresholds.items()},
            "too_few": list(self.too_few),
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "ClassThresholds":
        """The inverse of `as_json`."""
        return cls(
            Promise(saved["promise"]["fpr"], saved["promise"]["confidence"]),
            saved["refuses"],
            float(saved["of_all"]),
            {int(label): float(threshold) for label, threshold in saved["thresholds"].items()},
            tuple(saved["too_few"]),
        )


def class_thresholds(
    reference: np.ndarray,
    predictions: np.ndarray,
    promise: Promise,
    refuses: Side,
    classes: Iterable[int] | None = None,
) -> ClassThresholds:
    """Thresholds that keep `promise` among the images of each predicted class.

    reference: scores (N,) of good images. predictions: the class that the classifier predicts of each, int (N,).
    classes: the classes there are, if not only those predicted here; one that has too few images to promise anything
    (58 or fewer, for 5 % with 95 % confidence) gets the threshold of all, and is named in `too_few`.
    Raises ValueError where all images together are too few, or where a score is NaN.
    """
    reference, predictions = _paired(reference, predictions)
    of_all = promised_threshold(reference, promise.share, promise.confidence, refuses)
    thresholds, too_few = {}, []
    for label in np.unique(predictions if classes is None else np.array(list(classes), dtype=int)).tolist():
        own = reference[predictions == label]
        try:
            allowed_refusals(len(own), promise.share, promise.confidence)
        except ValueError:
            too_few.append(label)
        else:
            thresholds[label] = promised_threshold(own, promise.share, promise.confidence, refuses)
    return ClassThresholds(promise, refuses, of_all, thresholds, tuple(too_few))


def thresholds_by_class(
    choices: Mapping[str, Any], reference: Mapping[str, np.ndarray], sides: Mapping[str, Side]
) -> dict[str, ClassThresholds]:
    """`class_thresholds` of each metric in `choices` whose threshold was chosen by a promise; reference: scores (N,) by
    metric, and "prediction". None where it is not known what was predicted."""
    if "prediction" not in reference:
        return {}
    return {
        name: class_thresholds(reference[name], reference["prediction"], choice, sides[name])
        for name, choice in choices.items()
        if isinstance(choice, Promise)
    }


def _paired(scores: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, predictions = np.asarray(scores, dtype=np.float64), np.asarray(predictions)
    if scores.ndim != 1 or scores.shape != predictions.shape:
        raise ValueError(f"Each score needs its prediction: {scores.shape} scores, {predictions.shape} predictions.")
    return scores, predictions

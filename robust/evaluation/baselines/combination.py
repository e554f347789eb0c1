"""Several metrics as one, so that together they cost one joint FPR."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from robust.decision.thresholds import outlier_scores
from robust.metrics import Metric

EITHER, BOTH, PRODUCT = "either", "both", "product"
WORDS = {
    EITHER: "The most suspicious of {} decides, as if either may refuse, at one joint FPR",
    BOTH: "The least suspicious of {} decides, as if all must refuse, at one joint FPR",
    PRODUCT: "The product of the tail probabilities of {} (Fisher, 1932)",
}


class Combination(Metric):
    """The smallest, the largest or the product of several metrics' tail probabilities.

    A metric's tail probability is the share of good images that it finds at least as suspicious: whatever the
    metrics' units, 1 is the best and nearly 0 the worst. The product is given as its logarithm.
    """

    refuses = "low"
    digits = 3

    def __init__(
        self,
        name: str,
        title: str,
        how: Literal["either", "both", "product"],
        parts: Sequence[Metric],
        reference: dict[str, np.ndarray],
    ):
        """`reference` holds the scores of every part on good images."""
        self.name, self.title, self.how, self.parts = name, title, how, parts
        self.reference = {part.name: np.sort(outlier_scores(reference[part.name], part.refuses)) for part in parts}
        self.about = WORDS[how].format(" and ".join(part.title for part in parts)) + "."

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.combine({part.name: part.scores(images, predictions) for part in self.parts})

    def combine(self, scores: dict[str, np.ndarray]) -> np.ndarray:
        """From the scores of every part, each (N,), to this metric's scores (N,)."""
        tails = np.stack([self.tail(part, scores[part.name]) for part in self.parts])
        if self.how == PRODUCT:
            return np.log(tails).sum(0)
        return tails.min(0) if self.how == EITHER else tails.max(0)

    def tail(self, part: Metric, scores: np.ndarray) -> np.ndarray:
        """Tail probabilities (N,), in (0, 1]: the image itself is counted in, so that none is 0."""
        good = self.reference[part.name]
        at_least = len(good) - np.searchsorted(good, outlier_scores(scores, part.refuses), side="left")
        return (1 + at_least) / (1 + len(good))

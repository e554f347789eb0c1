"""Several metrics as one, so that together they cost one joint FPR."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from robust.metrics import Metric, tail_probability

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
        self.reference = {part.name: reference[part.name] for part in parts}
        self.about = WORDS[how].format(" and ".join(part.title for part in parts)) + "."

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.combine({part.name: part.scores(images, predictions) for part in self.parts})

    def combine(self, scores: dict[str, np.ndarray]) -> np.ndarray:
        """From the scores of every part, each (N,), to this metric's scores (N,)."""
        tails = np.stack([tail_probability(scores[p.name], self.reference[p.name], p.refuses) for p in self.parts])
        if self.how == PRODUCT:
            return np.log(tails).sum(0)
        return tails.min(0) if self.how == EITHER else tails.max(0)

"""What every robustness metric looks like to the rest of the project."""

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor

from robust.decision.thresholds import Side


class Metric(ABC):
    """One number for one input, computed without labels.

    `name` is the key used in files and JSON, `title` what people read, `refuses` the side of the
    threshold on which an input is not reliable, `digits` how many decimals are worth showing, `long_tailed`
    whether nonsense scores so far out that a plot needs a logarithmic axis.
    """

    name: str
    title: str
    refuses: Side
    digits: int = 2
    long_tailed: bool = False

    @abstractmethod
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        """Scores (N,) float64 of images (N, channels, size, size) in [0, 1].

        `predictions` (N,) int64 are the classes the classifier gives to the images. A score does
        not depend on which other images are in the batch.
        """

"""Evidence: does a second net, which can say no, see a proper example of the class that the classifier gave?"""

import numpy as np
import torch
from torch import Tensor

from robust.metrics.base import Metric, Parts
from robust.models.nets import Verifier


class Evidence(Metric):
    """The verifier's log-odds, in nats, that the input is a proper example of the class that the classifier gave it.

    Outlier exposure (Hendrycks, Mazeika & Dietterich, ICLR 2019) without outliers: the verifier learned to say no from
    spoilt training images and random strokes (`robust.data.outliers`); it never saw a real outlier.
    """

    name = "evidence"
    title = "Evidence"
    refuses = "low"
    digits = 1
    nets = ("verifier",)

    @classmethod
    def build(cls, parts: Parts) -> "Evidence":
        return cls(parts.nets["verifier"])

    def __init__(self, verifier: Verifier):
        self.verifier = verifier.eval()

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.verifier(images).gather(1, predictions[:, None]).squeeze(1).double().numpy()

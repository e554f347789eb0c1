"""Evidence: does a second net, which can say no, see a proper example of the class that the classifier gave?"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robust.metrics.base import Metric, Parts
from robust.models.nets import Verifier


class Evidence(Metric):
    """The verifier's log-odds, in nats, that the input is a proper example of the class that the classifier gave it, and of
    no other: log p/(1 - p) with p = σ(v_k) Π (1 - σ(v_j)) over the other classes j, from its answers v.

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
        answers = self.verifier(images).double()
        wanted = F.one_hot(predictions, answers.shape[1]).double()
        log_p = -F.binary_cross_entropy_with_logits(answers, wanted, reduction="none").sum(1)
        log_odds = log_p - torch.log(-torch.expm1(log_p))
        return log_odds.float().double().numpy()  # rounded as references are kept

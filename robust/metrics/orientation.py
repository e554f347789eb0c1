"""Orientation: is it a proper example of the class that the classifier gave, and the right way up?"""

import numpy as np
import torch
from torch import Tensor

from robust.data.changes import WAYS_UP
from robust.metrics.base import Metric, Parts
from robust.models.nets import Orienter


class Orientation(Metric):
    """The orienter's log-odds, in nats, that the input is of the class that the classifier gave it, and the right way up:
    log p/(1 - p), with p its softmax over every class as it is, upside down, mirrored and half turned, and none of them.

    Self-supervised, after Golan & El-Yaniv (NeurIPS 2018) and Hendrycks et al. (NeurIPS 2019), with the flips that the
    likelihoods of digits hardly notice, and the pseudo-outliers of `robust.data.outliers`.
    """

    name = "orientation"
    title = "Orientation"
    refuses = "low"
    digits = 1
    nets = ("orienter",)

    @classmethod
    def build(cls, parts: Parts) -> "Orientation":
        return cls(parts.nets["orienter"])

    def __init__(self, orienter: Orienter):
        self.orienter = orienter.eval()

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        log_p = self.orienter(images).double().log_softmax(1)
        claimed = (len(WAYS_UP) * predictions)[:, None]
        others = log_p.scatter(1, claimed, -torch.inf).logsumexp(1)
        log_odds = log_p.gather(1, claimed).squeeze(1) - others
        return log_odds.float().double().numpy()  # rounded as references are kept

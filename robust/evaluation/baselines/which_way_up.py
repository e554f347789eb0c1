"""Which way up: a net that tells images as they are from the same images mirrored and upside down."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robust.data.changes import WAYS_UP
from robust.evaluation.baselines.training import train
from robust.metrics import Metric
from robust.models.nets import Verifier

EPOCHS = 2


class WhichWayUp(Metric):
    """−log p("as it is"), by a net that was trained to tell four ways up apart.

    Self-supervised, after Golan & El-Yaniv (NeurIPS 2018) and Hendrycks et al. (NeurIPS 2019), with the flips that the
    likelihoods of digits hardly notice.
    """

    name = "which_way_up"
    title = "which way up"
    refuses = "high"
    digits = 4

    def __init__(self, training: Tensor):
        """`training` (N, channels, size, size) in [0, 1]."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Verifier(training.shape[1], training.shape[2], classes=len(WAYS_UP), width=8)
        train(self.net, self._loss, training, EPOCHS, self.title)

    def _loss(self, images: Tensor) -> Tensor:
        ways = torch.arange(len(WAYS_UP)).repeat_interleave(len(images))
        return F.cross_entropy(self.net(torch.cat([turn(images) for turn in WAYS_UP])), ways)

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return -self.net(images).log_softmax(1)[:, 0].double().numpy()

"""Which way up: a net that tells images as they are from the same images mirrored and upside down."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robust.evaluation.baselines.passes import in_batches
from robust.metrics import Metric
from robust.models.nets import Verifier

EPOCHS, RATE = 2, 1e-3
WAYS = ((), (2,), (3,), (2, 3))  # axes that are mirrored: as it is, upside down, mirrored, turned by 180 degrees


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
        torch.manual_seed(0)
        self.net = Verifier(training.shape[1], training.shape[2], classes=len(WAYS), width=8).train()
        adam = torch.optim.Adam(self.net.parameters(), RATE)
        for batch in in_batches(training, EPOCHS, self.title):
            images = training[batch]
            ways = torch.arange(len(WAYS)).repeat_interleave(len(images))
            loss = F.cross_entropy(self.net(torch.cat([images.flip(axes) for axes in WAYS])), ways)
            adam.zero_grad()
            loss.backward()
            adam.step()
        self.net.eval()

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return -self.net(images).log_softmax(1)[:, 0].double().numpy()

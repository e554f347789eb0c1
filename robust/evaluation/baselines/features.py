"""LeNet's features, shared by the metrics that are computed from them."""

import torch
from torch import Tensor

from robust.models.nets import LeNet

BATCH = 256


class Features:
    """Images (N, channels, size, size) to LeNet's penultimate features (N, features).

    The features of the last batch are remembered, since twenty metrics ask for the same ones in turn.
    """

    def __init__(self, lenet: LeNet):
        self.lenet = lenet
        self._images, self._features = None, None

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if images is not self._images:
            self._features = torch.cat([self.lenet.penultimate(part) for part in images.split(BATCH)])
            self._images = images
        return self._features

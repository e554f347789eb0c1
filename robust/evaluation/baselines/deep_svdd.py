"""Deep SVDD: a net that draws all training images to one point."""

import numpy as np
import torch
from torch import Tensor, nn

from robust.evaluation.baselines.training import train
from robust.metrics import Metric

EPOCHS, WIDTH, FEATURES = 5, 16, 32


class DeepSVDD(Metric):
    """Squared distance to the centre that a net learned to map training images to (Ruff et al., ICML 2018).

    The one-class objective. The net has no biases and no bounded activations, as the paper asks: else it would map
    everything to one point.
    """

    name = "deep_svdd"
    title = "Deep SVDD"
    refuses = "high"
    digits = 4

    def __init__(self, training: Tensor):
        """`training` (N, channels, size, size) in [0, 1]."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = _net(*training.shape[1:3])
        with torch.no_grad():
            self.centre = torch.cat([self.net(part) for part in training.split(256)]).mean(0)
        train(self.net, lambda images: self.distances(images).mean(), training, EPOCHS, self.title, weight_decay=1e-6)

    def distances(self, images: Tensor) -> Tensor:
        return (self.net(images) - self.centre).square().sum(1)

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.distances(images).double().numpy()


def _net(channels: int, size: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, WIDTH, 5, padding=2, bias=False), nn.LeakyReLU(), nn.MaxPool2d(2),
        nn.Conv2d(WIDTH, 2 * WIDTH, 5, padding=2, bias=False), nn.LeakyReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(2 * WIDTH * (size // 4) ** 2, FEATURES, bias=False),
    )  # fmt: skip

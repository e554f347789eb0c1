"""Exposure: is the picture as bright, as rich in contrast and as sharp as the training images?"""

import numpy as np
import torch
from torch import Tensor

from robust.metrics.base import Metric, Parts, drawn

MOST = 10_000  # training images that are measured
ENDS = (0.01, 0.99)  # quantiles that stand for the darkest and the brightest pixels


def measures(images: Tensor) -> Tensor:
    """Seven numbers (N, 7) for images (N, channels, size, size): mean, spread, darkest and brightest pixels; mean step
    from a pixel to the next across and down, and the largest steps."""
    grey = images.mean(1)
    across, down = (grey.diff(dim=axis).abs().flatten(1) for axis in (2, 1))
    pixels = grey.flatten(1).sort(1).values
    steps = torch.cat([across, down], 1).sort(1).values
    low, high = (pixels[:, int(end * pixels.shape[1])] for end in ENDS)
    largest = steps[:, int(ENDS[1] * steps.shape[1])]
    return torch.stack([pixels.mean(1), pixels.std(1), low, high, across.mean(1), down.mean(1), largest], 1)


class Exposure(Metric):
    """How unusual brightness, contrast and sharpness are: -Σ ln p over seven measures of the picture.

    p is the share of training images that are at least as far out, on the nearer side, doubled (Fisher 1925). It sees what
    nets are made to overlook: a dark picture, a flat one, one out of focus.
    """

    name = "exposure"
    title = "Exposure"
    refuses = "high"

    @classmethod
    def build(cls, parts: Parts) -> "Exposure":
        return cls()

    def __init__(self):
        self.training = torch.empty(0)

    def fit(self, images: Tensor, labels: Tensor | None, parts: Parts) -> None:
        measured = torch.cat([measures(part.float() / 255) for part in drawn(images, MOST).split(256)])
        self.training = measured.T.sort().values.contiguous()

    def state(self) -> dict[str, Tensor]:
        return {"training": self.training}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.training = state["training"]

    @torch.no_grad()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        found = measures(images).T.contiguous()
        count = self.training.shape[1]
        below = torch.searchsorted(self.training, found, right=True)
        above = count - torch.searchsorted(self.training, found)
        p = (2 * (torch.minimum(below, above) + 1).double() / (count + 1)).clamp_max(1)
        return -p.log().sum(0).numpy()

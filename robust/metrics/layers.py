"""Early and late layers: does the classifier's inside respond as it does to the training images?"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robust.metrics.base import Metric, Parts, drawn, features_of

MOST = 10_000  # training images that mean and covariance are taken from
SHRINKAGE = 1e-3  # of the covariance towards a multiple of the identity, as a share of the mean variance
PATCH, FILTERS = 5, 16  # of the filters that stand in for layers where a classifier shows none


class Layers(Metric):
    """Mahalanobis distance of a layer's responses, mean and spread of every channel, to those on training images.

    After Lee et al. (NeurIPS 2018) and Sastry & Oore (ICML 2020), without classes. For a classifier that shows no layers,
    the principal components of small patches of the training images are the channels.
    """

    refuses = "high"
    digits = 1
    depth: float  # of the layer, among the convolutions: 0 is the first, 1 the last

    @classmethod
    def build(cls, parts: Parts) -> "Layers":
        return cls(parts.classifier)

    def __init__(self, classifier):
        self.classifier = classifier
        self.learned: dict[str, Tensor] = {}

    def fit(self, images: Tensor, labels: Tensor | None, parts: Parts) -> None:
        if not self.classifier.has_layers:
            self.learned = {"filters": principal_patches(drawn(images, MOST))}
        responses = features_of(self.responses, images, MOST).double()
        centred = responses - responses.mean(0)
        covariance = centred.T @ centred / len(centred)
        floor = SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        precision = torch.linalg.inv(covariance + floor)
        self.learned |= {"mean": responses.mean(0).float(), "precision": precision.float().contiguous()}

    def state(self) -> dict[str, Tensor]:
        return self.learned

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.learned = state

    def responses(self, images: Tensor) -> Tensor:
        """Mean and spread (N, 2 * channels) of each channel's response to images (N, channels, size, size)."""
        if "filters" in self.learned:
            return spread_of(F.conv2d(images, self.learned["filters"], padding=PATCH // 2))
        return spread_of(self.classifier.layer(images, self.depth))

    @torch.no_grad()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        away = self.responses(images) - self.learned["mean"]
        return ((away @ self.learned["precision"]) * away).sum(1).double().numpy()


class EarlyLayers(Layers):
    __doc__ = Layers.__doc__
    name = "early_layers"
    title = "Early layers"
    depth = 0.0


class LateLayers(Layers):
    __doc__ = Layers.__doc__
    name = "late_layers"
    title = "Late layers"
    depth = 0.7


def spread_of(maps: Tensor) -> Tensor:
    """Maps (N, channels, height, width) to mean and standard deviation of their positive part, (N, 2 * channels)."""
    maps = maps.clamp_min(0).flatten(2)
    return torch.cat([maps.mean(2), maps.std(2)], 1)


def principal_patches(images: Tensor) -> Tensor:
    """The principal components of random patches of images uint8 (N, channels, size, size), and their negatives, as
    filters (2 * FILTERS, channels, PATCH, PATCH)."""
    randomness = torch.Generator().manual_seed(0)
    images = drawn(images, 2000).float() / 255
    places = torch.randint(0, (images.shape[2] - PATCH + 1) ** 2, (20,), generator=randomness)
    patches = F.unfold(images, PATCH)[:, :, places].transpose(1, 2).flatten(0, 1)
    components = torch.linalg.eigh(patches.double().T.cov())[1].flip(1)[:, :FILTERS].T.float()
    components = components.unflatten(1, (images.shape[1], PATCH, PATCH))
    return torch.cat([components, -components]).contiguous()

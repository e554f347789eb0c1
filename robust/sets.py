"""The image sets that reference distributions are taken from, by name, as the guard sees them."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from robust import data, strokes
from robust.preprocess import prepare

TITLES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "fashion-mnist-scaled": "Fashion-MNIST, small",
    "noise": "Noise",
    "omniglot": "Drawn letters",
}
COMPARISONS = {
    "mnist": ("fashion-mnist", "fashion-mnist-scaled", "noise", "omniglot"),
    "fashion-mnist": ("mnist", "noise"),
}
OWN_COMPARISONS = ("mnist", "fashion-mnist", "noise")  # for a world of the user's own images
NOISE_COUNT = 1000


@dataclass(frozen=True)
class ImageSet:
    """images (N, channels, size, size) in [0, 1]; labels (N,), -1 where an image shows no class of the data set."""

    images: Tensor
    labels: Tensor


def comparisons(dataset: str) -> tuple[str, ...]:
    """The sets that a world is compared with. For one of the user's own images nothing is downloaded."""
    own = (name for name in OWN_COMPARISONS if name not in data.DATASETS or data.is_here(name))
    return COMPARISONS.get(dataset) or tuple(own)


def load(name: str, channels: int = 1, size: int = 28) -> ImageSet | None:
    """A set by name; None for one whose data is not on this machine and cannot be downloaded.

    fashion-mnist-scaled is Fashion-MNIST cut out and scaled to 20 pixels, as the input pipeline does with photos.
    noise is uniform grey, in grains of 1, 2, 4 and 7 pixels. omniglot is Lake et al.'s (2015) characters from
    ROBUST_DATA/omniglot/characters.jsonl, drawn as on the pad. Data sets are scaled to `size`, and repeated over
    `channels`.
    """
    if name in data.DATASETS:
        images, labels = data.load(name, train=False)
        return ImageSet(_fit(data.to_float(images), channels, size), labels)
    if name == "fashion-mnist-scaled":
        images, _ = data.load("fashion-mnist", train=False)
        return _no_class(_prepare_all(_framed(image[0].numpy()) for image in tqdm(images, desc=name)))
    if name == "noise":
        return _no_class(noise(NOISE_COUNT, size, channels))
    path = data.data_root() / "omniglot" / "characters.jsonl"
    if not path.exists():
        return None
    randomness = random.Random(0)
    drawings = (strokes.draw(row["strokes"], randomness) for row in tqdm(strokes.read(path), desc=name))
    return _no_class(_prepare_all(drawings))


def noise(count: int, size: int = 28, channels: int = 1) -> Tensor:
    """Uniform noise (count, channels, size, size), a quarter each in grains of 1, 2, 4 and 7 pixels."""
    randomness = torch.Generator().manual_seed(0)
    parts = []
    for grain in (1, 2, 4, 7):
        side = math.ceil(size / grain)
        grains = torch.rand(count // 4, channels, side, side, generator=randomness)
        parts.append(grains.repeat_interleave(grain, 2).repeat_interleave(grain, 3)[..., :size, :size])
    return torch.cat(parts)


def _fit(images: Tensor, channels: int, size: int) -> Tensor:
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    return images.expand(-1, channels, -1, -1)


def _framed(image: np.ndarray) -> np.ndarray:
    """On a larger black page, so that the pipeline cuts it out."""
    return np.pad(image, 14)


def _prepare_all(pictures: Iterable) -> Tensor:
    return torch.stack([prepare(picture).pixels for picture in pictures])


def _no_class(images: Tensor) -> ImageSet:
    return ImageSet(images, torch.full((len(images),), -1))

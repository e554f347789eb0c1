"""The image sets that reference distributions are taken from, by name, as the guard sees them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
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
NOISE_COUNT = 1000


@dataclass(frozen=True)
class ImageSet:
    """images (N, 1, 28, 28) in [0, 1]; labels (N,), -1 where an image shows no class of the data set."""

    images: Tensor
    labels: Tensor


def load(name: str) -> ImageSet | None:
    """A set by name; None for one whose data is not on this machine and cannot be downloaded.

    fashion-mnist-scaled is Fashion-MNIST cut out and scaled to 20 pixels, as the input pipeline does with photos.
    noise is uniform grey, in grains of 1, 2, 4 and 7 pixels. omniglot is Lake et al.'s (2015) characters from
    ROBUST_DATA/omniglot/characters.jsonl, drawn as on the pad.
    """
    if name in data.DATASETS:
        images, labels = data.load(name, train=False)
        return ImageSet(data.to_float(images), labels)
    if name == "fashion-mnist-scaled":
        images, _ = data.load("fashion-mnist", train=False)
        return _no_class(_prepare_all(_framed(image[0].numpy()) for image in tqdm(images, desc=name)))
    if name == "noise":
        return _no_class(noise(NOISE_COUNT))
    path = data.data_root() / "omniglot" / "characters.jsonl"
    if not path.exists():
        return None
    randomness = random.Random(0)
    drawings = (strokes.draw(row["strokes"], randomness) for row in tqdm(strokes.read(path), desc=name))
    return _no_class(_prepare_all(drawings))


def noise(count: int, size: int = 28) -> Tensor:
    """Uniform grey noise (count, 1, size, size), a quarter each in grains of 1, 2, 4 and 7 pixels."""
    randomness = torch.Generator().manual_seed(0)
    parts = []
    for grain in (1, 2, 4, 7):
        grains = torch.rand(count // 4, 1, size // grain, size // grain, generator=randomness)
        parts.append(grains.repeat_interleave(grain, 2).repeat_interleave(grain, 3))
    return torch.cat(parts)


def _framed(image: np.ndarray) -> np.ndarray:
    """On a larger black page, so that the pipeline cuts it out."""
    return np.pad(image, 14)


def _prepare_all(pictures: Iterable) -> Tensor:
    return torch.stack([prepare(picture).pixels for picture in pictures])


def _no_class(images: Tensor) -> ImageSet:
    return ImageSet(images, torch.full((len(images),), -1))

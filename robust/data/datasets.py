"""The image sets the nets are trained and measured on.

A folder that already holds them (torchvision's layout) is named by the variable ROBUST_DATA;
otherwise torchvision downloads them once into `data/`.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from robust.data.subjects import SUBJECTS, Subject

BATCH, LARGEST_IN_FULL = 256, 64  # images through a net at once, of at most so many pixels a side
DATASETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}  # the names of torchvision's classes


class UnusableDataset(ValueError):
    """The images cannot be trained on; the message says why, and what to do."""


@dataclass(frozen=True)
class Dataset:
    """Images to train a world on. train, test: images (N, channels, size, size) uint8 and labels (N,) int64."""

    name: str
    subject: Subject
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def known(name: str) -> Dataset:
    """'mnist' or 'fashion-mnist'."""
    return Dataset(name, SUBJECTS[name], load(name, train=True), load(name, train=False))


def data_root() -> Path:
    """The folder of ROBUST_DATA, or `data/` in the current folder."""
    return Path(os.environ.get("ROBUST_DATA") or "data")


def load(name: str, train: bool) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) uint8 and labels (N,) int64 of 'mnist' or 'fashion-mnist'.

    Raises UnusableDataset for any other name, and where ROBUST_DATA names a folder that does not hold it.
    """
    if name not in DATASETS:
        raise UnusableDataset(f"{name} is not one of the known data sets: {', '.join(DATASETS)}.")
    root = data_root()
    try:
        dataset = _torchvision(name)(root, train=train, download=not os.environ.get("ROBUST_DATA"))
    except RuntimeError:  # torchvision's "Dataset not found"
        raise UnusableDataset(f"{name} is not in {root}: name the folder that holds it in ROBUST_DATA.") from None
    return dataset.data.unsqueeze(1), dataset.targets


def _torchvision(name: str) -> type:
    from torchvision import datasets  # a second, and 160 MB: not for those who only judge pictures

    return getattr(datasets, DATASETS[name])


def is_here(name: str) -> bool:
    """Whether a known data set is on this machine, so that it need not be downloaded."""
    try:
        _torchvision(name)(data_root(), train=False)
    except RuntimeError:  # torchvision's "Dataset not found"
        return False
    return True


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float 0..1, the form every net takes."""
    return images.float() / 255


def batch_for(images: Tensor) -> int:
    """How many of these images (N, channels, size, size) go through a net at once: fewer of large ones, for the memory's sake."""
    return int(min(max(BATCH * LARGEST_IN_FULL**2 / images.shape[-1] ** 2, 8), BATCH))


def to_bytes(images: Tensor) -> Tensor:
    """float 0..1 to uint8 0..255."""
    return images.mul(255).round().byte()


def checksum(images: Tensor) -> str:
    """SHA-256 of the raw pixels, recorded in the manifest so that a world names its own data."""
    return hashlib.sha256(images.numpy().tobytes()).hexdigest()

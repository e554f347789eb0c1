"""The image sets the nets are trained and measured on.

A folder that already holds them (torchvision's layout) is named by the variable ROBUST_DATA;
otherwise torchvision downloads them once into `data/`.
"""

import hashlib
import os
from pathlib import Path

from torch import Tensor
from torchvision import datasets

DATASETS = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}


def data_root() -> Path:
    """The folder of ROBUST_DATA, or `data/` in the current folder."""
    return Path(os.environ.get("ROBUST_DATA") or "data")


def load(name: str, train: bool) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) uint8 and labels (N,) int64 of 'mnist' or 'fashion-mnist'."""
    root = data_root()
    dataset = DATASETS[name](root, train=train, download=not os.environ.get("ROBUST_DATA"))
    return dataset.data.unsqueeze(1), dataset.targets


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float 0..1, the form every net takes."""
    return images.float() / 255


def checksum(images: Tensor) -> str:
    """SHA-256 of the raw pixels, recorded in the manifest so that a world names its own data."""
    return hashlib.sha256(images.numpy().tobytes()).hexdigest()

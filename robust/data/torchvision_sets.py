"""Data sets that torchvision knows and that nothing here needs: measured on where their files are below ROBUST_DATA."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from robust.data.datasets import data_root, to_float
from robust.inputs.prepare import EVERYWHERE, prepare


def load(name: str) -> tuple[Tensor, Tensor] | None:
    """Test images (N, 1, 28, 28) in [0, 1], white on black, and labels (N,), -1 for what is no digit. None where the files
    are not here: nothing is downloaded."""
    try:
        return SETS[name]()
    except (RuntimeError, FileNotFoundError):  # torchvision says it in either way
        return None


def _kmnist() -> tuple[Tensor, Tensor]:
    from torchvision.datasets import KMNIST

    return _no_digits(to_float(KMNIST(data_root(), train=False).data[:, None]))


def _emnist_letters() -> tuple[Tensor, Tensor]:
    from torchvision.datasets import EMNIST

    images = EMNIST(data_root(), "letters", train=False).data.transpose(1, 2)  # its files lie on their side
    return _no_digits(to_float(images[:, None]))


def _omniglot() -> tuple[Tensor, Tensor]:
    from torchvision.datasets import Omniglot

    pictures = Omniglot(data_root(), background=False)
    return _no_digits(torch.stack([prepare(picture, box=EVERYWHERE).pixels for picture, _ in pictures]))


def _qmnist() -> tuple[Tensor, Tensor]:
    from torchvision.datasets import QMNIST

    found = QMNIST(data_root(), what="test50k")  # those of the test digits that MNIST left out
    return to_float(found.data[:, None]), found.targets[:, 0].long()


def _usps() -> tuple[Tensor, Tensor]:
    from torchvision.datasets import USPS

    found = USPS(data_root(), train=False)
    images = to_float(torch.as_tensor(found.data)[:, None])
    digits = F.interpolate(images, (20, 20), mode="bilinear", antialias=True).clamp(0, 1)
    return F.pad(digits, (4, 4, 4, 4)), torch.as_tensor(found.targets).long()


def _no_digits(images: Tensor) -> tuple[Tensor, Tensor]:
    return images, torch.full((len(images),), -1)


SETS: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "kmnist": _kmnist,
    "emnist-letters": _emnist_letters,
    "omniglot-all": _omniglot,
    "qmnist": _qmnist,
    "usps": _usps,
}

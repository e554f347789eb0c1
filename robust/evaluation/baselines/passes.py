"""Passes over training images, the same each time."""

from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

BATCH = 128


def in_batches(images: Tensor, epochs: int, title: str) -> Iterator[Tensor]:
    """Numbers of the images of each batch."""
    randomness = torch.Generator().manual_seed(0)
    for _ in tqdm(range(epochs), desc=f"train {title}"):
        yield from torch.randperm(len(images), generator=randomness).split(BATCH)

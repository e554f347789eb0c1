"""Random numbers of a generator that is given, so that a training step can be repeated."""

import torch
from torch import Generator, Tensor


def uniform(low: float, high: float, shape: tuple, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def chance(share: float, shape: tuple, generator: Generator) -> Tensor:
    """True with probability `share`."""
    return torch.rand(shape, generator=generator) < share

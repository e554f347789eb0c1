"""Verdicts on a stream of images: in order, batch by batch, however long the stream is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from robust.inputs.decode import UnusableImage
from robust.judge import Report

BATCH = 32


class Inspector(Protocol):
    """What a stream asks of a guard."""

    def read(self, image) -> Tensor: ...

    def inspect_prepared(self, images: Tensor) -> list[Report]: ...


@dataclass(frozen=True)
class Unusable:
    """What a stream yields in the place of a report on an image that cannot be judged.

    `reason` is one sentence that says why. Like a report's, `reliable` says whether there is an answer to rely on.
    """

    reason: str
    reliable: bool = False


def stream(
    guard: Inspector, images: Iterable, batch_size: int = BATCH, prepared: bool = False
) -> Iterator[Report | Unusable]:
    """One verdict for each image, in order.

    `images` yields what `Guard.inspect` takes or, if `prepared`, tensors (channels, size, size) in [0, 1] as the nets
    see them. It may be endless: no image is asked for before the verdicts on the batch before it are taken, and no
    batch is kept. The last batch may be smaller. A verdict waits until its batch is full, so a camera that must be
    answered at once wants a `batch_size` of 1; larger batches cost less time for each image.

    An image that cannot be judged (a damaged file, an empty picture) yields `Unusable` and the stream goes on.
    An error that `images` itself raises ends it. Raises ValueError for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"The batch size must be at least 1, not {batch_size}.")
    return _verdicts(guard, iter(images), batch_size, prepared)


def _verdicts(guard: Inspector, images: Iterator, batch_size: int, prepared: bool) -> Iterator[Report | Unusable]:
    while batch := list(islice(images, batch_size)):
        yield from judge(guard, batch if prepared else [_pixels(guard, image) for image in batch])


def _pixels(guard: Inspector, image) -> Tensor | Unusable:
    try:
        return guard.read(image)
    except UnusableImage as error:
        return Unusable(str(error))


def judge(guard: Inspector, batch: list[Tensor | Unusable]) -> list[Report | Unusable]:
    """Reports on the prepared images (channels, size, size) of a batch; what is unusable stays where it is."""
    usable = [image for image in batch if isinstance(image, Tensor)]
    reports = iter(guard.inspect_prepared(torch.stack(usable)) if usable else ())
    return [next(reports) if isinstance(image, Tensor) else image for image in batch]

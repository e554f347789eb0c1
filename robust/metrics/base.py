"""What every robustness metric looks like to the rest of the project."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from robust.data.datasets import batch_for
from robust.decision.thresholds import Side


@dataclass(frozen=True)
class Parts:
    """What a guard offers its metrics.

    classifier: images (N, channels, size, size) in [0, 1] to logits (N, classes). nets: trained nets, by the names of
    `robust.models`. reference: each metric's scores on good images, by name; empty until they are known.
    """

    classifier: Callable[[Tensor], Tensor]
    nets: Mapping[str, nn.Module] = field(default_factory=dict)
    reference: Mapping[str, np.ndarray] = field(default_factory=dict)


class Metric(ABC):
    """One number for one input, computed without labels.

    `name` is the key used in files and JSON, `title` what people read, `refuses` the side of the
    threshold on which an input is not reliable, `digits` how many decimals are worth showing, `long_tailed`
    whether nonsense scores so far out that a plot needs a logarithmic axis.

    `nets` names the nets that it needs; `Guard.fit` trains them. What else it learns from training images it learns in
    `fit`, and `state` and `load_state` keep it. A class is known by its `name` (or `kind`, where instances have names
    of their own) as soon as its module is imported: so `Guard.load` finds it again.

    A metric of metrics, such as Surprise, names them in `parts`; it has `calibrate`, which takes their scores on good
    images, and `combine`, which makes its own scores of theirs.
    """

    name: str
    title: str
    refuses: Side
    digits: int = 2
    long_tailed: bool = False
    nets: ClassVar[tuple[str, ...]] = ()
    parts: Mapping[str, "Metric"] = MappingProxyType({})

    known: ClassVar[dict[str, type["Metric"]]] = {}

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if kind := cls.__dict__.get("kind") or cls.__dict__.get("name"):
            cls.kind = kind
            Metric.known[kind] = cls

    @classmethod
    def build(cls, parts: Parts, **options) -> Self:
        """A metric ready to score, or to `load_state`. `options` are what `options` gave when it was saved."""
        return cls(**options)

    @classmethod
    def called(cls, **options) -> tuple[str, str]:
        """Name and title of the metric that `build` would make with these options."""
        return cls.name, cls.title

    def fit(self, images: Tensor, labels: Tensor | None, parts: Parts) -> None:
        """Learn from training images uint8 (N, channels, size, size), and labels (N,) where there are some.

        Most metrics need no more than their nets, which are trained only after this. Raises ValueError where something
        is missing.
        """

    def options(self) -> dict:
        """What `build` needs beside the parts, as JSON knows it."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """What `fit` has learned, as tensors by name."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""

    @abstractmethod
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        """Scores (N,) float64 of images (N, channels, size, size) in [0, 1].

        `predictions` (N,) int64 are the classes the classifier gives to the images. A score does
        not depend on which other images are in the batch.
        """


def drawn(images: Tensor, most: int) -> Tensor:
    """At most `most` of the images (N, ...), drawn by chance, always the same."""
    if len(images) <= most:
        return images
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:most]]


@torch.no_grad()
def features_of(compute: Callable[[Tensor], Tensor], images: Tensor, most: int) -> Tensor:
    """What `compute` makes (n, features) of at most `most` training images uint8 (N, channels, size, size), in parts."""
    parts = [compute(part.float() / 255) for part in drawn(images, most).split(batch_for(images))]
    return torch.cat(parts)

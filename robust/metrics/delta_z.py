"""δz: how far the input's latent is from the nearest one that the classifier reads otherwise."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from robust.metrics.base import Metric, Parts
from robust.metrics.search import SearchResult, nearest_counterexample
from robust.metrics.search.gradient import padded
from robust.metrics.search.refine import towards_agreement
from robust.metrics.search.stochastic import hybrid_search
from robust.metrics.search.threads import shared_out
from robust.models.nets import Generator, Inverter

# Algorithm 2 with fewer samples and wider shells than published (5,000 and 0.01): 70 times fewer evaluations, so that
# a reference distribution is within reach. About 1,600 images classified for each δz, 100 at a time.
BLACK_BOX = {"samples": 100, "step": 0.1}
READ = 64  # images at once
REMEMBERED = 256  # searches: those of many visitors at once, each of whom is shown the walk to z* a moment later


class DeltaZ(Metric):
    """δz = |z* - I(x)|₂ for the nearest z* with f(G(z*)) ≠ f(x) (Zhao, Dua & Singh, ICLR 2018).

    Exactly 0 where the classifier already disagrees at I(x), refined by `robust.metrics.search.refine`; ∞ where no other
    class is within reach. A classifier without gradients is searched by the black-box Algorithm 2, which finds counterexamples about twice as far away:
    compare such a δz only with others found the same way.
    """

    name = "delta_z"
    title = "δz"
    refuses = "low"
    digits = 3
    nets = ("generator", "inverter")

    @classmethod
    def build(cls, parts: Parts) -> "DeltaZ":
        has_gradients = getattr(parts.classifier, "has_gradients", True)
        return cls(parts.classifier, parts.nets["generator"], parts.nets["inverter"], has_gradients)

    def __init__(
        self,
        classifier: Callable[[Tensor], Tensor],
        generator: Generator,
        inverter: Inverter,
        has_gradients: bool = True,
    ):
        """`classifier` maps images to logits, and has no randomness; `has_gradients`: differentiably."""
        self.classifier = classifier
        self.generator = generator.eval()
        self.inverter = inverter.eval()
        self.has_gradients = has_gradients
        self.latest: OrderedDict[tuple[bytes, int], SearchResult] = OrderedDict()

    def search(self, images: Tensor, predictions: Tensor) -> SearchResult:
        """The whole result of the search, for pages that show the walk from I(x) to z*."""
        latents = self.latents(images, predictions)
        if not self.has_gradients:
            return hybrid_search(self.classifier, self.generator, latents, predictions, **BLACK_BOX)
        return nearest_counterexample(self.classifier, self.generator, latents, predictions)

    def latents(self, images: Tensor, predictions: Tensor) -> Tensor:
        """I(x) (N, latent), refined where the classifier reads G(I(x)) otherwise and what it should read is close by."""
        return torch.cat(shared_out(self._latents, images, predictions))

    def agrees(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        """Whether the classifier reads G as x where the search begins, bool (N,). Where not, δz is 0."""
        latents = self.latents(images, predictions)
        with torch.inference_mode():
            read = [self.classifier(self.generator(part)).argmax(1) for part in latents.split(READ)]
        return (torch.cat(read) == predictions).numpy()

    def _latents(self, images: Tensor, predictions: Tensor) -> Tensor:
        with torch.no_grad():
            latents = self.inverter(padded(images))[: len(images)]
        if not self.has_gradients:
            return latents
        return towards_agreement(self.classifier, self.generator, latents, predictions)

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        found = self.search(images, predictions)
        if len(images) <= READ:  # single pictures, not a data set
            self._remember(images, predictions, found)
        return found.delta_z.double().numpy()

    def search_again(self, image: Tensor, prediction: int) -> SearchResult:
        """The whole result of the search for one image (channels, size, size): at no cost where its score was asked for
        just now."""
        images, predictions = image.unsqueeze(0), torch.tensor([prediction])
        return self.latest.get(_key(image, prediction)) or self.search(images, predictions)

    def _remember(self, images: Tensor, predictions: Tensor, found: SearchResult) -> None:
        for i, (image, prediction) in enumerate(zip(images, predictions.tolist())):
            one = SearchResult(*(getattr(found, column.name)[i : i + 1] for column in fields(found)))
            self.latest[_key(image, prediction)] = one
        while len(self.latest) > REMEMBERED:
            self.latest.popitem(last=False)


def _key(image: Tensor, prediction: int) -> tuple[bytes, int]:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).digest(), prediction

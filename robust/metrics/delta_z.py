"""δz: how far the input's latent is from the nearest one that the classifier reads otherwise."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from robust.metrics.base import Metric, Parts
from robust.metrics.search import SearchResult, nearest_counterexample
from robust.metrics.search.gradient import padded
from robust.metrics.search.stochastic import hybrid_search
from robust.metrics.search.threads import shared_out
from robust.models.nets import Generator, Inverter

# Algorithm 2 with fewer samples and wider shells than published (5,000 and 0.01): 70 times fewer evaluations, so that
# a reference distribution is within reach. About 1,600 images classified for each δz, 100 at a time.
BLACK_BOX = {"samples": 100, "step": 0.1}


class DeltaZ(Metric):
    """δz = |z* - I(x)|₂ for the nearest z* with f(G(z*)) ≠ f(x) (Zhao, Dua & Singh, ICLR 2018).

    Exactly 0 where the classifier already disagrees at I(x); ∞ where no other class is within reach. A classifier
    without gradients is searched by the black-box Algorithm 2, which finds counterexamples about twice as far away:
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

    def search(self, images: Tensor, predictions: Tensor) -> SearchResult:
        """The whole result of the search, for pages that show the walk from I(x) to z*."""
        latents = torch.cat(shared_out(self._latents, images))
        if not self.has_gradients:
            return hybrid_search(self.classifier, self.generator, latents, predictions, **BLACK_BOX)
        return nearest_counterexample(self.classifier, self.generator, latents, predictions)

    @torch.inference_mode()
    def _latents(self, images: Tensor) -> Tensor:
        return self.inverter(padded(images))[: len(images)]

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.search(images, predictions).delta_z.double().numpy()

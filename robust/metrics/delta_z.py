"""δz: how far the input's latent is from the nearest one that the classifier reads otherwise."""

import numpy as np
import torch
from torch import Tensor, nn

from robust.metrics.base import Metric
from robust.nets import Generator, Inverter
from robust.search import SearchResult, nearest_counterexample


class DeltaZ(Metric):
    """δz = |z* - I(x)|₂ for the nearest z* with f(G(z*)) ≠ f(x) (Zhao, Dua & Singh, ICLR 2018).

    Exactly 0 where the classifier already disagrees at I(x); ∞ where no other class is within reach.
    """

    name = "delta_z"
    title = "δz"
    refuses = "low"
    digits = 3

    def __init__(self, classifier: nn.Module, generator: Generator, inverter: Inverter):
        self.classifier = classifier.eval()
        self.generator = generator.eval()
        self.inverter = inverter.eval()

    def search(self, images: Tensor, predictions: Tensor) -> SearchResult:
        """The whole result of the search, for pages that show the walk from I(x) to z*."""
        with torch.inference_mode():
            latents = self.inverter(images)
        return nearest_counterexample(self.classifier, self.generator, latents.clone(), predictions)

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.search(images, predictions).delta_z.double().numpy()

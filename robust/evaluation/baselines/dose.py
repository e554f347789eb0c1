"""DoSE: how dense are the training images where an image's statistics lie?"""

import numpy as np
import torch
from scipy.stats import gaussian_kde
from torch import Tensor

from robust.metrics import Metric
from robust.models.classifier import AnyClassifier
from robust.models.nets import VAE

MOST = 2000  # training images that carry a density
FLOOR = 1e-300  # of a density, so that its logarithm is a number


class DoSE(Metric):
    """−Σ log density of four statistics, each by its own kernel density (Morningstar et al., AISTATS 2021).

    They are the VAE's reconstruction error and KL divergence, and the classifier's energy and length of the features.
    """

    name = "dose"
    title = "DoSE"
    refuses = "high"

    def __init__(self, vae: VAE, classifier: AnyClassifier, training: Tensor):
        """`training` (N, channels, size, size) in [0, 1]; the first MOST of them are taken."""
        self.vae, self.classifier = vae, classifier
        measured = np.concatenate([self.statistics(part) for part in training[:MOST].split(256)])
        self.densities = [gaussian_kde(column) for column in measured.T]

    @torch.inference_mode()
    def statistics(self, images: Tensor) -> np.ndarray:
        """(N, 4)."""
        energy = -self.classifier(images).logsumexp(1)
        length = self.classifier.features(images).flatten(1).norm(dim=1)
        return torch.stack([*self.vae.losses(images), energy, length], 1).double().numpy()

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        columns = self.statistics(images).T
        return -sum(np.log(density(column) + FLOOR) for density, column in zip(self.densities, columns))

"""KNN: how far the input is from the training images, as the classifier sees them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from robust.metrics.base import Metric, Parts, features_of

MOST = 10_000  # training images that are kept, as features
K = 10


class KNN(Metric):
    """Distance to the tenth nearest of 10,000 training images in features of length 1 (Sun et al., ICML 2022).

    The features are what enters the classifier's last layer; pixels where it shows none.
    """

    name = "knn"
    title = "KNN"
    refuses = "high"
    digits = 3

    @classmethod
    def build(cls, parts: Parts) -> "KNN":
        return cls(parts.classifier)

    def __init__(self, classifier):
        self.classifier = classifier
        self.training = torch.empty(0)

    def fit(self, images: Tensor, labels: Tensor | None, parts: Parts) -> None:
        self.training = normalize(features_of(self.classifier.features, images, MOST)).half()

    def state(self) -> dict[str, Tensor]:
        return {"training": self.training}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.training = state["training"]

    @torch.no_grad()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        distances = torch.cdist(normalize(self.classifier.features(images)), self.training.float())
        nearest = distances.topk(min(K, len(self.training)), largest=False).values
        return nearest[:, -1].double().numpy()

"""Nearest training images, in the classifier's features."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from robust.metrics import Metric
from robust.models.classifier import AnyClassifier

K = 5


class NearestFeatures(Metric):
    """Distance to the fifth nearest training image in the classifier's features of length 1 (Sun et al., ICML 2022)."""

    name = "nearest_features"
    title = "5-NN on features"
    refuses = "high"

    def __init__(self, classifier: AnyClassifier, training: Tensor):
        """`training` (N, features): the classifier's features of the training images."""
        self.classifier, self.training = classifier, normalize(training)

    @torch.no_grad()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        distances = torch.cdist(normalize(self.classifier.features(images)), self.training)
        return distances.topk(K, largest=False).values[:, -1].double().numpy()

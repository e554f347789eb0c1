"""Nearest training images, in LeNet's features."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from robust.evaluation.baselines.features import Features
from robust.metrics import Metric

K = 5


class NearestFeatures(Metric):
    """Distance to the fifth nearest training image in LeNet's features of length 1 (Sun et al., ICML 2022)."""

    name = "nearest_features"
    title = "5-NN on features"
    refuses = "high"

    def __init__(self, features: Features, training: Tensor):
        """`training` (N, features): LeNet's features of the training images."""
        self.features, self.training = features, normalize(training)

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        distances = torch.cdist(normalize(self.features(images)), self.training)
        return distances.topk(K, largest=False).values[:, -1].double().numpy()

"""Nearest training image, in pixels."""

import numpy as np
import torch
from torch import Tensor

from robust.metrics import Metric


class NearestTrainingImage(Metric):
    """Distance in pixels to the nearest training image (Cover & Hart, 1967)."""

    name = "nearest_training_image"
    title = "nearest training image"
    refuses = "high"

    def __init__(self, training: Tensor):
        """`training` (N, channels, size, size) in [0, 1]."""
        self.training = training.flatten(1)

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return torch.cdist(images.flatten(1), self.training).amin(1).double().numpy()

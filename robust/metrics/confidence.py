"""Confidence: how sure the classifier says it is."""

import numpy as np
import torch
from torch import Tensor

from robust.metrics.base import Metric, Parts


class Confidence(Metric):
    """The probability of the predicted class (Hendrycks & Gimpel, *A Baseline for Detecting …*, ICLR 2017)."""

    name = "confidence"
    title = "Confidence"
    refuses = "low"
    digits = 3

    @classmethod
    def build(cls, parts: Parts) -> "Confidence":
        return cls(parts.classifier)

    def __init__(self, classifier):
        self.classifier = classifier

    @torch.no_grad()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        probabilities = self.classifier(images).softmax(1).gather(1, predictions[:, None])
        return probabilities.squeeze(1).double().numpy()

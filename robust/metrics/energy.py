"""Energy: how loudly the classifier says anything at all."""

import numpy as np
import torch
from torch import Tensor, nn

from robust.metrics.base import Metric, Parts


class Energy(Metric):
    """-log Σ exp(logits) of the classifier (Liu et al., *Energy-based Out-of-distribution Detection*, NeurIPS 2020)."""

    name = "energy"
    title = "Energy"
    refuses = "high"

    @classmethod
    def build(cls, parts: Parts) -> "Energy":
        return cls(parts.classifier)

    def __init__(self, classifier: nn.Module):
        self.classifier = classifier

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return -self.classifier(images).double().logsumexp(1).float().double().numpy()  # rounded as references are kept

"""Typicality: too good a VAE loss is suspicious, too."""

import numpy as np
import torch
from torch import Tensor

from robust.metrics import Metric
from robust.models.nets import VAE


class Typicality(Metric):
    """|VAE loss − its mean on training images|: a test for typicality with one image (Nalisnick et al., 2019)."""

    name = "typicality"
    title = "typicality"
    refuses = "high"

    def __init__(self, vae: VAE, training: Tensor):
        """`training` (N, channels, size, size) in [0, 1]."""
        self.vae = vae
        self.mean = np.concatenate([self.losses(part) for part in training.split(256)]).mean()

    @torch.inference_mode()
    def losses(self, images: Tensor) -> np.ndarray:
        return sum(self.vae.losses(images)).double().numpy()

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return np.abs(self.losses(images) - self.mean)

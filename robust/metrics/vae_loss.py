"""VAE loss: how badly a variational autoencoder of the training set explains the input."""

import numpy as np
import torch
from torch import Tensor

from robust.metrics.base import Metric, Parts
from robust.models.nets import VAE


class VAELoss(Metric):
    """Bernoulli reconstruction error + KL divergence in nats, summed over one image, with latent = mean.

    The published talk samples the latent; the mean makes the score repeatable, and about 8 nats lower.
    """

    name = "vae_loss"
    title = "VAE loss"
    refuses = "high"
    digits = 1
    long_tailed = True
    nets = ("vae",)

    @classmethod
    def build(cls, parts: Parts) -> "VAELoss":
        return cls(parts.nets["vae"])

    def __init__(self, vae: VAE):
        self.vae = vae.eval()

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor | None = None) -> np.ndarray:
        reconstruction, kl = self.vae.losses(images)
        return (reconstruction + kl).double().numpy()

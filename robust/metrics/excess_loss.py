"""Excess loss: the VAE loss, less what even a perfect reconstruction of the input would cost."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robust.metrics.vae_loss import VAELoss


class ExcessLoss(VAELoss):
    """VAE loss less the entropy of the input's own pixels, Σ H(x), in nats.

    A grey pixel costs its entropy however well it is reconstructed, a black one nothing: the VAE loss of clothes finds digits
    easy, since most of them is black. Without that bias the loss is KL(x || reconstruction) + KL(q(z|x) || prior) (Chauhan et
    al., *Robust outlier detection by de-biasing VAE likelihoods*, CVPR 2022).
    """

    name = "excess_loss"
    title = "Excess loss"

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor | None = None) -> np.ndarray:
        entropy = F.binary_cross_entropy(images, images, reduction="none").flatten(1).sum(1)
        reconstruction, kl = self.vae.losses(images)
        return (reconstruction - entropy + kl).double().numpy()

"""VAE reconstruction: the VAE loss without its KL term."""

import numpy as np
import torch
from torch import Tensor

from robust.metrics import Metric
from robust.models.nets import VAE


class VAEReconstruction(Metric):
    """What the VAE's reconstruction costs, without the KL term of VAE loss (Kingma & Welling, ICLR 2014)."""

    name = "vae_reconstruction"
    title = "VAE reconstruction"
    refuses = "high"

    def __init__(self, vae: VAE):
        self.vae = vae

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.vae.losses(images)[0].double().numpy()

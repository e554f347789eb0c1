"""f-AnoGAN's anomaly score, from the WGAN and the inverter that δz uses."""

import numpy as np
import torch
from torch import Tensor

from robust.metrics import Metric
from robust.models.nets import Critic, Generator, Inverter, pad_to_canvas


class FAnoGAN(Metric):
    """The generator's version of the image, compared in pixels and in the critic's features (Schlegl et al., 2019).

    A(x) = mean (x − G(I(x)))² + κ mean (c(x) − c(G(I(x))))², where c is the critic before its last layer and κ = 1,
    as published.
    """

    name = "f_anogan"
    title = "f-AnoGAN"
    refuses = "high"

    def __init__(self, generator: Generator, inverter: Inverter, critic: Critic, kappa: float = 1.0):
        self.generator, self.inverter, self.kappa = generator, inverter, kappa
        self.critic_features = critic.layers[:-1]

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        drawn_again = self.generator(self.inverter(images))
        pixels = (drawn_again - images).square().flatten(1).mean(1)
        features = self.critic_features(pad_to_canvas(drawn_again)) - self.critic_features(pad_to_canvas(images))
        return (pixels + self.kappa * features.square().mean(1)).double().numpy()

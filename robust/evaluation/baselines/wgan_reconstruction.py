"""WGAN reconstruction: how far an image is from what the generator draws in its place."""

import numpy as np
import torch
from torch import Tensor

from robust.metrics import Metric
from robust.models.nets import Generator, Inverter


class WGANReconstruction(Metric):
    """‖G(I(x)) − x‖²: how far the generator's version of the image is from the image, in pixels."""

    name = "wgan_reconstruction"
    title = "WGAN reconstruction"
    refuses = "high"

    def __init__(self, generator: Generator, inverter: Inverter):
        self.generator, self.inverter = generator, inverter

    @torch.inference_mode()
    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        residual = self.generator(self.inverter(images)) - images
        return residual.square().flatten(1).sum(1).double().numpy()

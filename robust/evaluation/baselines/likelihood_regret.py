"""Likelihood regret: how much better the VAE could explain an image than its encoder does."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robust.metrics import Metric
from robust.models.nets import VAE

STEPS = 100
RATE = 0.03  # of Adam; it falls to 0, so that the noise of the samples averages out
SAMPLES = 32  # of the latent, and as many mirrored ones, where the ELBO is measured


class LikelihoodRegret(Metric):
    """How much the VAE gains, in nats, when q(z|x) is fitted to this one image (Xiao, Yan & Amit, NeurIPS 2020).

    The regret is max over q of ELBO(x; q) − ELBO(x; encoder). Mean and log-variance of q start at the encoder's and
    follow Adam, with one sample of the latent and its mirror image a step. All images share the same samples and Adam
    treats each number on its own, so a score depends on no other image.
    """

    name = "likelihood_regret"
    title = "likelihood regret"
    refuses = "high"

    def __init__(self, vae: VAE):
        self.vae = vae
        latent = vae.decoder[0].in_features
        randomness = torch.Generator().manual_seed(0)
        self.step_noise = torch.randn(STEPS, latent, generator=randomness)
        self.noise = torch.randn(SAMPLES, latent, generator=randomness)

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        with torch.no_grad():
            encoded = self.vae.encode(images)
            before = self.elbo(images, *encoded)
        mean, log_variance = (values.clone().requires_grad_() for values in encoded)
        adam = torch.optim.Adam([mean, log_variance], lr=RATE)
        falling = torch.optim.lr_scheduler.LinearLR(adam, 1, 1 / STEPS, STEPS)
        for noise in self.step_noise:
            adam.zero_grad()
            (-self.sampled_elbo(images, mean, log_variance, noise).sum()).backward()
            adam.step()
            falling.step()
        with torch.no_grad():
            return (self.elbo(images, mean, log_variance) - before).double().numpy()

    def elbo(self, images: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """The evidence lower bound (N,) in nats, with the reconstruction averaged over the same samples for all."""
        sampled = [self.sampled_elbo(images, mean, log_variance, noise) for noise in self.noise]
        return torch.stack(sampled).mean(0)

    def sampled_elbo(self, images: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """The ELBO (N,) in nats with two samples of each latent, from ±`noise` (latent,), standard normal."""
        spread = noise * (0.5 * log_variance).exp()
        logits = self.vae.decode(torch.cat([mean + spread, mean - spread]))
        pixels = F.binary_cross_entropy_with_logits(logits, images.repeat(2, 1, 1, 1), reduction="none")
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return -(pixels.flatten(1).sum(1).unflatten(0, (2, -1)).mean(0) + kl)

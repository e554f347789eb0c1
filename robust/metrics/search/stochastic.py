"""The two random searches of Zhao, Dua & Singh, *Generating Natural Adversarial Examples* (ICLR 2018).

They ask the classifier for classes only, so they work for any black box; they are also the yardstick
for the gradient search. Both draw noise of uniform direction and of length uniform in a shell (low, high]
around I(x). As published: 5,000 samples a step and shells of width 0.01.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from robust.metrics.search.result import SearchResult

SAMPLES = 5000
STEP = 0.01
RADIUS = 10.0
STOP = 5
CHUNK = 512  # samples at once: the activations stay in the processor's cache, which halves the time


class _Sampler:
    """Draws shells around one latent and remembers the nearest counterexample seen."""

    def __init__(self, classifier: Callable, generator: Callable, latent: Tensor, label: int, samples: int, seed: int):
        self.classifier, self.generator = classifier, generator
        self.latent, self.label, self.samples = latent, label, samples
        self.randomness = torch.Generator().manual_seed(seed)
        self.z_star, self.distance, self.reached, self.evaluations = latent, float("inf"), -1, 0

    def try_latents(self, latents: Tensor, distances: Tensor) -> float | None:
        """Classify candidates; the distance of the nearest counterexample among them, or None."""
        classes = torch.cat([self.classifier(self.generator(part)).argmax(1) for part in latents.split(CHUNK)])
        self.evaluations += len(latents)
        found = torch.where(classes != self.label, distances, torch.inf)
        nearest = int(found.argmin())
        distance = float(found[nearest])
        if distance < self.distance:
            self.z_star, self.distance, self.reached = latents[nearest], distance, int(classes[nearest])
        return distance if distance < float("inf") else None

    def try_shell(self, low: float, high: float) -> float | None:
        noise = torch.randn(self.samples, self.latent.numel(), generator=self.randomness)
        lengths = high - (high - low) * torch.rand(self.samples, generator=self.randomness)
        return self.try_latents(self.latent + noise * (lengths / noise.norm(dim=1)).unsqueeze(1), lengths)


def _grow(sampler: _Sampler, step: float, radius: float) -> None:
    """Algorithm 1: widen the shell until it holds a counterexample."""
    low = 0.0
    while low < radius and sampler.try_shell(low, low + step) is None:
        low += step


def _shrink(sampler: _Sampler, step: float, radius: float, stop: int) -> None:
    """Algorithm 2: halve the range from outside in, then creep inwards shell by shell."""
    low, high, worse = 0.0, radius, 0
    while high - low >= step and worse < stop:
        best_before = sampler.distance
        found = sampler.try_shell(low, high)
        if found is None:
            low, worse = (low + high) / 2, 0
        elif found < best_before:
            low, high, worse = found / 2, found, 0
        else:
            high, worse = (low + high) / 2, worse + 1
    high, empty = min(sampler.distance, radius), 0
    while empty < stop and high > 1e-4:
        low = max(0.0, high - step)
        if sampler.try_shell(low, high) is None:
            empty += 1
        else:
            high, empty = low, 0


@torch.inference_mode()
def _search(algorithm: Callable, classifier, generator, latents, labels, samples, seed) -> SearchResult:
    found = []
    for latent, label in zip(latents, labels):
        sampler = _Sampler(classifier, generator, latent, int(label), samples, seed)
        if sampler.try_latents(latent.unsqueeze(0), torch.zeros(1)) is None:
            algorithm(sampler)
        found.append(sampler)
    return SearchResult(
        latents,
        torch.stack([sampler.z_star for sampler in found]),
        torch.tensor([sampler.distance for sampler in found]),
        torch.tensor([sampler.reached for sampler in found]),
        torch.tensor([sampler.evaluations for sampler in found]),
    )


def iterative_search(
    classifier: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
    latents: Tensor,
    labels: Tensor,
    samples: int = SAMPLES,
    step: float = STEP,
    radius: float = RADIUS,
    seed: int = 0,
) -> SearchResult:
    """Algorithm 1, iterative stochastic search. Arguments and result as in `nearest_counterexample`,
    but `classifier` needs no gradients: it maps images (N, C, H, W) to scores (N, classes), of which the
    largest counts. One image after another; each starts from `seed`, so the order does not matter."""
    return _search(lambda s: _grow(s, step, radius), classifier, generator, latents, labels, samples, seed)


def hybrid_search(
    classifier: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
    latents: Tensor,
    labels: Tensor,
    samples: int = SAMPLES,
    step: float = STEP,
    radius: float = RADIUS,
    stop: int = STOP,
    seed: int = 0,
) -> SearchResult:
    """Algorithm 2, hybrid shrinking search: several times fewer samples than Algorithm 1. Arguments as there;
    `stop` bounds the fruitless steps, as published."""
    return _search(lambda s: _shrink(s, step, radius, stop), classifier, generator, latents, labels, samples, seed)

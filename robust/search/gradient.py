"""The gradient search for z*: minimum norm, through f∘G, in batches.

Each other class k gives a boundary h_k(z) = logit_k - logit_y = 0 of f∘G, and δz is the distance from I(x) to
the nearest of them. Write a point as I(x) + r·u with a unit direction u. At the nearest point of a boundary u is
parallel to grad h_k, so the search repeats, with one forward and one backward pass for each step: turn u a part of
the way towards the gradient, and set r to where the linearised h_k is 0 along the new direction. Full turns are the
Hasofer-Lind-Rackwitz-Fiessler iteration of reliability analysis, and what DeepFool and FAB (Croce & Hein 2020) do in
pixel space; they overshoot where the boundary is curved. Turns that shrink step by step settle down.

1. The gradients of all logits at I(x) rank the other classes by linearised distance; the nearest few are followed.
2. Classes that fall behind are given up; those that remain are also tried from turned-away directions, because
   boundaries have several near points.
3. The leaders are followed to the end, and the best point is drawn straight towards I(x) until it touches the boundary.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from robust.search.result import SearchResult

RADIUS = 10.0
TARGETS = 5  # other classes to follow
STARTS = 2  # turned-away directions tried for each class that remains
CHUNK = 64  # rows at once: the activations stay in the processor's cache
OVERSHOOT = 1.003  # aim a little beyond the boundary, so that the class does change


class _Composition:
    """f∘G with its derivatives, and a count of the evaluations each image cost."""

    def __init__(self, classifier: Callable, generator: Callable, count: int):
        self.classifier, self.generator = classifier, generator
        self.evaluations = torch.zeros(count, dtype=torch.int64)

    def _count(self, images: Tensor, times: int) -> None:
        self.evaluations.index_add_(0, images, torch.full_like(images, times))

    @torch.inference_mode()
    def logits(self, latents: Tensor, images: Tensor) -> Tensor:
        self._count(images, 1)
        return torch.cat([self.classifier(self.generator(part)) for part in latents.split(CHUNK)])

    def jacobian(self, latents: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and their gradients (N, K, latent)."""
        parts = [self._jacobian(part) for part in latents.split(CHUNK)]
        logits, gradients = (torch.cat(columns) for columns in zip(*parts))
        self._count(images, 1 + logits.shape[1])
        return logits, gradients

    @torch.enable_grad()
    def _jacobian(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        latents = latents.detach().requires_grad_()
        logits = self.classifier(self.generator(latents))
        each = [torch.autograd.grad(column.sum(), latents, retain_graph=True)[0] for column in logits.unbind(1)]
        return logits.detach(), torch.stack(each, 1)

    def gap(self, latents: Tensor, images: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """h = logit_target - logit_label (N,), its gradient (N, latent), and the logits (N, K)."""
        self._count(images, 2)
        parts = [self._gap(*part) for part in zip(latents.split(CHUNK), labels.split(CHUNK), targets.split(CHUNK))]
        return tuple(torch.cat(columns) for columns in zip(*parts))

    @torch.enable_grad()
    def _gap(self, latents: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latents = latents.detach().requires_grad_()
        logits = self.classifier(self.generator(latents))
        gap = (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None])).squeeze(1)
        (gradient,) = torch.autograd.grad(gap.sum(), latents)
        return gap.detach(), gradient, logits.detach()


def nearest_counterexample(
    classifier: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
    latents: Tensor,
    labels: Tensor,
    radius: float = RADIUS,
    targets: int = TARGETS,
    starts: int = STARTS,
    patience: float = 1.0,
) -> SearchResult:
    """The nearest z* to each latent with argmax f(G(z*)) ≠ label.

    `classifier` maps images (N, C, H, W) to logits (N, classes) and `generator` latents (N, latent) to images,
    both differentiable. `latents` (N, latent) are I(x), `labels` (N,) int64 are f(x). Counterexamples farther
    than `radius` count as out of reach: δz is then ∞. `targets` other classes are followed, each from 1 + `starts`
    directions; `patience` multiplies the steps. Deterministic; no input's result depends on the others.
    Raises ValueError when the shapes do not fit.
    """
    if latents.ndim != 2 or labels.shape != latents.shape[:1]:
        raise ValueError(f"Give latents (N, latent) and labels (N,), not {tuple(latents.shape)} and {tuple(labels.shape)}.")
    composition = _Composition(classifier, generator, len(latents))
    best = _Best(latents, labels, radius)
    everything = torch.arange(len(latents))
    best.offer(everything, latents, composition.logits(latents, everything))
    open_images = (best.distance > 0).nonzero().squeeze(1)
    if len(open_images):
        rows = _first_rows(composition, best, open_images, targets)
        rows = _follow(composition, best, rows, 0, round(5 * patience)).within(1.5, best)
        rows = _follow(composition, best, rows.and_turned_away(starts), 3, round(9 * patience)).within(1.15, best)
        _follow(composition, best, rows.leaders(2), 12, round(12 * patience))
        _shorten(composition, best, halvings=9)
    return SearchResult(best.points, best.distance, best.reached, composition.evaluations)


class _Best:
    """The nearest counterexample of each image so far."""

    def __init__(self, latents: Tensor, labels: Tensor, radius: float):
        self.latents, self.labels, self.radius = latents, labels, radius
        self.points = latents.clone()
        self.distance = torch.full((len(latents),), torch.inf)
        self.reached = torch.full((len(latents),), -1)

    def offer(self, images: Tensor, points: Tensor, logits: Tensor) -> Tensor:
        """Take the points (M, latent) of `images` (M,) that are nearer counterexamples. Says which are any (M,)."""
        classes = logits.argmax(1)
        otherwise = classes != self.labels[images]
        distance = (points - self.latents[images]).norm(dim=1)
        distance = torch.where(otherwise & (distance <= self.radius), distance, torch.inf)
        nearest = self.distance.scatter_reduce(0, images, distance, "amin")
        wins = (distance == nearest[images]) & (distance < self.distance[images])
        self.points[images[wins]] = points[wins]
        self.reached[images[wins]] = classes[wins]
        self.distance = nearest
        return otherwise


@dataclass
class _Rows:
    """Searches under way, M of them: of which image, for which class, and where: at I(x) + radius * direction."""

    images: Tensor
    classes: Tensor
    directions: Tensor
    radii: Tensor
    nearest: Tensor  # distance of the nearest counterexample that this row has met

    def take(self, chosen: Tensor) -> "_Rows":
        return _Rows(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def within(self, factor: float, best: _Best) -> "_Rows":
        """Those not farther than `factor` times the best of their image."""
        reach = torch.minimum(self.nearest, self.radii)
        return self.take(reach <= factor * best.distance[self.images])

    def leaders(self, count: int) -> "_Rows":
        """The nearest `count` rows of each image."""
        order = torch.argsort(self.nearest, stable=True)
        order = order[torch.argsort(self.images[order], stable=True)]
        images = self.images[order]
        first = torch.searchsorted(images, images, right=False)
        return self.take(order[torch.arange(len(order)) - first < count])

    def and_turned_away(self, starts: int) -> "_Rows":
        """These rows, and each again from directions turned away by 45 degrees on average, the same for every image."""
        latent = self.directions.shape[1]
        noise = F.normalize(torch.randn(starts, latent, generator=torch.Generator().manual_seed(0)), dim=1)
        more = [
            _Rows(self.images, self.classes, F.normalize(self.directions + turn, dim=1), self.radii, self.nearest)
            for turn in noise
        ]
        return _Rows(*(torch.cat([getattr(rows, field.name) for rows in (self, *more)]) for field in fields(self)))


def _first_rows(composition: _Composition, best: _Best, images: Tensor, targets: int) -> _Rows:
    """One row for each of the classes whose linearised boundary is nearest to I(x)."""
    logits, gradients = composition.jacobian(best.latents[images], images)
    own = best.labels[images][:, None]
    gap = logits - logits.gather(1, own)
    normals = gradients - gradients.gather(1, own[..., None].expand(-1, -1, gradients.shape[2]))
    distance = (-gap / normals.norm(dim=2).clamp_min(1e-12)).scatter(1, own, torch.inf)
    classes = distance.topk(min(targets, distance.shape[1] - 1), largest=False).indices
    chosen = classes[..., None].expand(-1, -1, gradients.shape[2])
    return _Rows(
        images.repeat_interleave(classes.shape[1]),
        classes.reshape(-1),
        F.normalize(normals.gather(1, chosen).flatten(0, 1), dim=1),
        distance.gather(1, classes).reshape(-1).clamp(max=best.radius),
        torch.full((classes.numel(),), torch.inf),
    )


def _follow(composition: _Composition, best: _Best, rows: _Rows, done: int, steps: int) -> _Rows:
    """Take `steps` steps with all rows; `done` steps before them have shrunk the turns already."""
    start, labels = best.latents[rows.images], best.labels[rows.images]
    u, r, nearest = rows.directions, rows.radii, rows.nearest
    for step in range(done, done + steps):
        length = (OVERSHOOT * r).clamp(max=best.radius)
        points = start + length[:, None] * u
        gap, gradient, logits = composition.gap(points, rows.images, labels, rows.classes)
        crossed = best.offer(rows.images, points, logits)
        nearest = torch.where(crossed, torch.minimum(nearest, length), nearest)
        turn = max(0.1, 0.8 * 0.93**step)
        turned = F.normalize((1 - turn) * u + turn * F.normalize(gradient, dim=1), dim=1)
        # h ≈ gap + gradient·(r' turned - length u) = 0, with r' at most doubled or halved
        slope = (gradient * turned).sum(1)
        along = (length * (gradient * u).sum(1) - gap) / slope.clamp_min(1e-9)
        r = torch.where(slope > 1e-9, along, 2 * r).clamp(min=r / 2, max=2 * r)
        u = turned
    return _Rows(rows.images, rows.classes, u, r, nearest)


def _shorten(composition: _Composition, best: _Best, halvings: int) -> None:
    """Bisect the straight line from I(x) to the best point for where the class changes."""
    images = ((best.distance > 0) & best.distance.isfinite()).nonzero().squeeze(1)
    start, end = best.latents[images], best.points[images].clone()
    low, high = torch.full((len(images),), 0.9), torch.ones(len(images))
    for _ in range(halvings):
        middle = (low + high) / 2
        points = start + middle[:, None] * (end - start)
        crossed = best.offer(images, points, composition.logits(points, images))
        low, high = torch.where(crossed, low, middle), torch.where(crossed, middle, high)

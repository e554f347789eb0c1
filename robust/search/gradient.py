"""The gradient search for z*: minimum norm, through f∘G, in batches.

Each other class k gives a boundary h_k(z) = logit_k - logit_y = 0 of f∘G, and δz is the distance from I(x) to
the nearest of them. Write a point as I(x) + r·u with a unit direction u. At the nearest point of a boundary u is
parallel to grad h_k, so the search repeats, with one forward and one backward pass for each step: turn u a part of
the way towards the gradient, and set r to where the linearised h_k is 0 along the new direction. Full turns are the
Hasofer-Lind-Rackwitz-Fiessler iteration of reliability analysis, and what DeepFool and FAB (Croce & Hein 2020) do in
pixel space; they overshoot where the boundary is curved. Turns that shrink step by step settle down.

Points beyond the nearest counterexample of an image are of no use, so none of its searches looks farther out: there
they turn towards their boundary on the sphere of that radius.

1. Every other class is followed for a few steps, from the direction of its gradient at I(x); the nearest go on.
2. The leaders are also followed from turned-away directions, because a boundary has several near points.
3. The leaders among those are followed to the end, and the best point is drawn straight towards I(x) until it touches
   the boundary.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from robust.search.result import SearchResult

RADIUS = 10.0
CHUNK = 64  # rows at once: the activations stay in the processor's cache
ALIKE = 4  # rows for a thread: for other numbers, matrix products round otherwise, and a search may end elsewhere
OVERSHOOT = 1.003  # aim a little beyond the boundary, so that the class does change
AWAY = 0.6  # how far searches are turned away, as the tangent of the angle


def padded(rows: Tensor) -> Tensor:
    """Rows (N, ...) with the last one repeated, so that what is computed of a row depends on no other: a multiple of
    ALIKE for each thread."""
    return torch.cat([rows, rows[-1:].expand(-len(rows) % (ALIKE * torch.get_num_threads()), *rows.shape[1:])])


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
        return torch.cat([self.classifier(self.generator(padded(part)))[: len(part)] for part in latents.split(CHUNK)])

    def jacobian(self, latents: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and their gradients (N, K, latent)."""
        parts = [self._jacobian(part) for part in latents.split(CHUNK)]
        logits, gradients = (torch.cat(columns) for columns in zip(*parts))
        self._count(images, 1 + logits.shape[1])
        return logits, gradients

    @torch.enable_grad()
    def _jacobian(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        count, latents = len(latents), padded(latents.detach()).requires_grad_()
        logits = self.classifier(self.generator(latents))
        each = [torch.autograd.grad(column.sum(), latents, retain_graph=True)[0] for column in logits.unbind(1)]
        return logits.detach()[:count], torch.stack(each, 1)[:count]

    def gap(self, latents: Tensor, images: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """h = logit_target - logit_label (N,), its gradient (N, latent), and the logits (N, K)."""
        self._count(images, 2)
        parts = [self._gap(*part) for part in zip(latents.split(CHUNK), labels.split(CHUNK), targets.split(CHUNK))]
        return tuple(torch.cat(columns) for columns in zip(*parts))

    @torch.enable_grad()
    def _gap(self, latents: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count, latents = len(latents), padded(latents.detach()).requires_grad_()
        logits = self.classifier(self.generator(latents))[:count]
        gap = (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None])).squeeze(1)
        (gradient,) = torch.autograd.grad(gap.sum(), latents)
        return gap.detach(), gradient[:count], logits.detach()


def nearest_counterexample(
    classifier: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
    latents: Tensor,
    labels: Tensor,
    radius: float = RADIUS,
    effort: int = 1,
) -> SearchResult:
    """The nearest z* to each latent with argmax f(G(z*)) ≠ label.

    `classifier` maps images (N, C, H, W) to logits (N, classes) and `generator` latents (N, latent) to images,
    both differentiable. `latents` (N, latent) are I(x), `labels` (N,) int64 are f(x). Counterexamples farther
    than `radius` count as out of reach: δz is then ∞. `effort` multiplies the classes and directions followed, and
    its square root the steps. Deterministic; no input's result depends on the others. Raises ValueError when the
    shapes do not fit.
    """
    if latents.ndim != 2 or labels.shape != latents.shape[:1]:
        raise ValueError(
            f"Give latents (N, latent) and labels (N,), not {tuple(latents.shape)} and {tuple(labels.shape)}."
        )

    def steps(count: int) -> int:
        return round(count * effort**0.5)

    composition = _Composition(classifier, generator, len(latents))
    best = _Best(latents, labels, radius)
    everything = torch.arange(len(latents))
    best.offer(everything, latents, composition.logits(latents, everything))
    open_images = (best.distance > 0).nonzero().squeeze(1)
    if len(open_images):
        rows = _first_rows(composition, best, open_images)
        rows = _follow(composition, best, rows, 0, steps(3)).leaders(4 * effort)
        rows = _follow(composition, best, rows, 3, steps(4)).leaders(2 * effort).and_turned_away(2 * effort)
        rows = _follow(composition, best, rows, 5, steps(5)).leaders(2 * effort)
        rows = _follow(composition, best, rows, 10, steps(8))
        _touch(composition, best, rows.images, rows.directions * 1.03 * rows.radii[:, None], 0.94, 9)
        found = ((best.distance > 0) & best.distance.isfinite()).nonzero().squeeze(1)
        _touch(composition, best, found, best.points[found] - best.latents[found], 0.99, 6)
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

    def leaders(self, count: int) -> "_Rows":
        """The `count` rows of each image that are nearest, or promise to be."""
        order = torch.argsort(torch.minimum(self.nearest, self.radii), stable=True)
        order = order[torch.argsort(self.images[order], stable=True)]
        images = self.images[order]
        first = torch.searchsorted(images, images, right=False)
        return self.take(order[torch.arange(len(order)) - first < count])

    def and_turned_away(self, starts: int) -> "_Rows":
        """These rows, and each again from directions turned away by some 30 degrees, the same turns for every image."""
        latent = self.directions.shape[1]
        noise = F.normalize(torch.randn(starts, latent, generator=torch.Generator().manual_seed(0)), dim=1)
        more = [replace(self, directions=F.normalize(self.directions + AWAY * turn, dim=1)) for turn in noise]
        return _Rows(*(torch.cat([getattr(rows, field.name) for rows in (self, *more)]) for field in fields(self)))


def _first_rows(composition: _Composition, best: _Best, images: Tensor) -> _Rows:
    """One row for each image and other class: towards its boundary as linearised at I(x)."""
    logits, gradients = composition.jacobian(best.latents[images], images)
    count, classes = logits.shape
    every = torch.arange(classes).expand(count, classes)
    others = every[every != best.labels[images][:, None]].view(count, classes - 1)
    own = best.labels[images][:, None]
    gap = logits.gather(1, others) - logits.gather(1, own)
    rows = torch.arange(count)[:, None]
    normals = gradients[rows, others] - gradients[rows, own]
    distance = -gap / normals.norm(dim=2).clamp_min(1e-12)
    return _Rows(
        images.repeat_interleave(classes - 1),
        others.reshape(-1),
        F.normalize(normals.flatten(0, 1), dim=1),
        distance.reshape(-1).clamp(max=best.radius),
        torch.full((others.numel(),), torch.inf),
    )


def _follow(composition: _Composition, best: _Best, rows: _Rows, done: int, steps: int) -> _Rows:
    """Take `steps` steps with all rows; `done` steps before them have shrunk the turns already."""
    start, labels = best.latents[rows.images], best.labels[rows.images]
    u, r, nearest = rows.directions, rows.radii, rows.nearest
    for step in range(done, done + steps):
        length = torch.minimum((OVERSHOOT * r).clamp(max=best.radius), best.distance[rows.images])
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


def _touch(composition: _Composition, best: _Best, images: Tensor, steps: Tensor, low: float, halvings: int) -> None:
    """Bisect the lines from I(x) to I(x) + step, from the share `low` on, for where the class changes."""
    if len(images) == 0:
        return
    start = best.latents[images]
    lows, highs = torch.full((len(images),), low), torch.ones(len(images))
    best.offer(images, start + steps, composition.logits(start + steps, images))
    for _ in range(halvings):
        middle = (lows + highs) / 2
        points = start + middle[:, None] * steps
        crossed = best.offer(images, points, composition.logits(points, images))
        lows, highs = torch.where(crossed, lows, middle), torch.where(crossed, middle, highs)

"""The gradient search for z*: minimum norm, through f∘G, in batches.

Each other class k gives a boundary h_k(z) = logit_k - logit_y = 0 of f∘G, and δz is the distance from I(x) to
the nearest of them. Write a point as I(x) + r·u with a unit direction u. At the nearest point of a boundary u is
parallel to grad h_k, so the search repeats, with one forward and one backward pass for each step: turn u a part of
the way towards the gradient, and set r to where the linearised h_k is 0 along the new direction. Full turns are the
Hasofer-Lind-Rackwitz-Fiessler iteration of reliability analysis, and what DeepFool and FAB (Croce & Hein 2020) do in
pixel space; they overshoot where the boundary is curved. Turns that shrink step by step settle down, and Anderson's
mixing (1965) of the last two steps settles them sooner.

Points beyond the nearest counterexample of an image are of no use, so none of its searches looks farther out: there
they turn towards their boundary on the sphere of that radius.

1. The classes with the highest logits at I(x) are followed for two steps, each from the direction of its gradient there.
2. From then on every search goes for whichever class is nearest to winning where it stands: the classes gave different
   places to start from, and the nearest boundary is often not that of the class whose gradient led there.
3. Searches that go the same way are merged, one whose direction has settled rests, the leaders are followed to the
   end, and the line through the best point is looked at closely.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from robust.metrics.search.result import SearchResult
from robust.metrics.search.threads import shared_out

RADIUS = 10.0
CHUNK = 64  # rows at once: the activations stay in the processor's cache
ALIKE = 4  # for other numbers of rows, matrix products round otherwise, and a search may end elsewhere
STARTS = 8  # classes followed, for each image
SAME_WAY = 0.97  # cosine between directions of which one is enough
SETTLED = 1 - 5e-5  # cosine between a direction and the next, from which on its row rests
OVERSHOOT = 1.003  # aim a little beyond the boundary, so that the class does change
MIX_FROM = 4  # the first step that looks back at the one before it
RUNGS = 6  # points on a line that are looked at together
AWAY = 0.6  # how far searches are turned away, as the tangent of the angle


def padded(rows: Tensor) -> Tensor:
    """Rows (N, ...) with the last one repeated up to a multiple of ALIKE, so that what is computed of a row on one core
    depends on no other."""
    return torch.cat([rows, rows[-1:].expand(-len(rows) % ALIKE, *rows.shape[1:])])


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

    def gaps(self, latents: Tensor, images: Tensor, labels: Tensor, classes: Tensor | None) -> tuple[Tensor, ...]:
        """h = logit_k - logit_label (N,), its gradient (N, latent), and the logits (N, K). k is given by `classes` (N,),
        or is the nearest to winning at each latent."""
        self._count(images, 2)
        rows = (latents, labels) if classes is None else (latents, labels, classes)
        parts = [self._gaps(*part) for part in zip(*(column.split(CHUNK) for column in rows))]
        return tuple(torch.cat(columns) for columns in zip(*parts))

    @torch.enable_grad()
    def _gaps(self, latents: Tensor, labels: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        count, latents = len(latents), padded(latents.detach()).requires_grad_()
        logits = self.classifier(self.generator(latents))[:count]
        if classes is None:
            classes = logits.detach().scatter(1, labels[:, None], -torch.inf).argmax(1)
        gaps = (logits.gather(1, classes[:, None]) - logits.gather(1, labels[:, None])).squeeze(1)
        (gradients,) = torch.autograd.grad(gaps.sum(), latents)
        return gaps.detach(), gradients[:count], logits.detach()


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
    its square root the steps. Deterministic; no input's result depends on the others, or on how many threads torch has.
    Both nets are called in threads of the search's own, several at once. Raises ValueError when the shapes do not fit.
    """
    if latents.ndim != 2 or labels.shape != latents.shape[:1]:
        raise ValueError(
            f"Give latents (N, latent) and labels (N,), not {tuple(latents.shape)} and {tuple(labels.shape)}."
        )

    def search(latents: Tensor, labels: Tensor) -> SearchResult:
        return _search(classifier, generator, latents, labels, radius, effort)

    parts = shared_out(search, latents, labels)
    return SearchResult(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(SearchResult)))


def _search(
    classifier: Callable, generator: Callable, latents: Tensor, labels: Tensor, radius: float, effort: int
) -> SearchResult:
    def steps(count: int) -> int:
        return round(count * effort**0.5)

    composition = _Composition(classifier, generator, len(latents))
    best = _Best(latents, labels, radius)
    everything = torch.arange(len(latents))
    logits = composition.logits(latents, everything)
    best.offer(everything, latents, logits)
    open_images = (best.distance > 0).nonzero().squeeze(1)
    if len(open_images):
        rows = _first_rows(composition, best, open_images, logits[open_images], STARTS * effort).and_turned_away(
            effort - 1
        )
        rows = _follow(composition, best, rows, 0, steps(2)).merged().to_any_class()
        rows = _follow(composition, best, rows, 2, steps(2)).merged()
        rows = _follow(composition, best, rows, 4, steps(3)).merged(4 * effort)
        rows = _follow(composition, best, rows, 7, steps(3)).merged(2 * effort)
        rows = _follow(composition, best, rows, 10, steps(4)).merged(effort)
        rows = _follow(composition, best, rows, 14, steps(12))
        _touch(composition, best, rows.images, rows.radii[:, None] * rows.directions, 0.97, 1.03)
        found = ((best.distance > 0) & best.distance.isfinite()).nonzero().squeeze(1)
        for low in (0.99, 0.998, 0.9996):
            _touch(composition, best, found, best.points[found] - best.latents[found], low, 1.0)
    return SearchResult(latents, best.points, best.distance, best.reached, composition.evaluations)


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
    classes: Tensor | None  # None: whichever is nearest to winning
    directions: Tensor
    radii: Tensor
    nearest: Tensor  # distance of the nearest counterexample that this row has met
    before: Tensor  # the directions one step ago
    pulls: Tensor  # and what the gradient wanted changed of them
    moving: Tensor  # False for a row whose direction has settled

    @staticmethod
    def joined(*parts: "_Rows") -> "_Rows":
        columns = ([getattr(part, field.name) for part in parts] for field in fields(_Rows))
        return _Rows(*(None if column[0] is None else torch.cat(column) for column in columns))

    def take(self, chosen: Tensor) -> "_Rows":
        columns = (getattr(self, field.name) for field in fields(self))
        return _Rows(*(None if column is None else column[chosen] for column in columns))

    def to_any_class(self) -> "_Rows":
        """These rows, no longer bound to one class."""
        return replace(self, classes=None)

    def merged(self, count: int | None = None) -> "_Rows":
        """Without those that go the way of another row of their image that is nearer, or promises to be; of the others
        the `count` leaders of each image, or all."""
        rows = self.take(torch.argsort(torch.minimum(self.nearest, self.radii), stable=True))
        rows = rows.take(torch.argsort(rows.images, stable=True))
        _, image = torch.unique_consecutive(rows.images, return_inverse=True)
        place = torch.arange(len(image)) - torch.searchsorted(image, image)
        shape = (int(image.max()) + 1, int(place.max()) + 1)
        directions = torch.zeros(*shape, rows.directions.shape[1])
        directions[image, place] = rows.directions
        alike = directions @ directions.mT > SAME_WAY
        kept = torch.zeros(shape, dtype=torch.bool)
        kept[image, place] = True
        for i in range(1, shape[1]):
            kept[:, i] &= ~(alike[:, i, :i] & kept[:, :i]).any(1)
        if count is not None:
            kept &= kept.cumsum(1) <= count
        return rows.take(kept[image, place])

    def and_turned_away(self, starts: int) -> "_Rows":
        """These rows, and each again from directions turned away by some 30 degrees, the same turns for every image."""
        latent = self.directions.shape[1]
        noise = F.normalize(torch.randn(starts, latent, generator=torch.Generator().manual_seed(0)), dim=1)
        more = [replace(self, directions=F.normalize(self.directions + AWAY * turn, dim=1)) for turn in noise]
        return _Rows.joined(self, *more)


def _first_rows(composition: _Composition, best: _Best, images: Tensor, logits: Tensor, count: int) -> _Rows:
    """`count` rows for each image, or as many as there are other classes: towards the boundary of each, as linearised
    at I(x). `logits` (M, K) are those of `images` (M,) there."""
    others = logits.scatter(1, best.labels[images][:, None], -torch.inf)
    classes = others.topk(min(count, logits.shape[1] - 1)).indices
    images, classes = images.repeat_interleave(classes.shape[1]), classes.flatten()
    gaps, normals, _ = composition.gaps(best.latents[images], images, best.labels[images], classes)
    radii = (-gaps / normals.norm(dim=1).clamp_min(1e-12)).clamp(max=best.radius)
    directions = F.normalize(normals, dim=1)
    nearest = torch.full_like(radii, torch.inf)
    moving = torch.ones(len(images), dtype=torch.bool)
    return _Rows(images, classes, directions, radii, nearest, directions, torch.zeros_like(directions), moving)


def _follow(composition: _Composition, best: _Best, rows: _Rows, done: int, steps: int) -> _Rows:
    """Take `steps` steps with all rows that still move; `done` steps before them have shrunk the turns already."""
    for step in range(done, done + steps):
        if rows.moving.all():
            rows = _step(composition, best, rows, step)
        elif rows.moving.any():
            rows = _Rows.joined(rows.take(~rows.moving), _step(composition, best, rows.take(rows.moving), step))
    return rows


def _step(composition: _Composition, best: _Best, rows: _Rows, step: int) -> _Rows:
    u, r, labels = rows.directions, rows.radii, best.labels[rows.images]
    length = torch.minimum((OVERSHOOT * r).clamp(max=best.radius), best.distance[rows.images])
    points = best.latents[rows.images] + length[:, None] * u
    gap, gradient, logits = composition.gaps(points, rows.images, labels, rows.classes)
    crossed = best.offer(rows.images, points, logits)
    nearest = torch.where(crossed, torch.minimum(rows.nearest, length), rows.nearest)
    turn = max(0.1, 0.8 * 0.93**step)
    pull = F.normalize(gradient, dim=1) - u
    aim = u + turn * pull
    if step >= MIX_FROM:
        change = pull - rows.pulls
        share = (pull * change).sum(1) / change.square().sum(1).clamp_min(1e-12)
        aim = aim - share.clamp(-1.5, 0.9)[:, None] * (u - rows.before + turn * change)
    turned = F.normalize(aim, dim=1)
    # h ≈ gap + gradient·(r' turned - length u) = 0, with r' at most doubled or halved
    slope = (gradient * turned).sum(1)
    along = (length * (gradient * u).sum(1) - gap) / slope.clamp_min(1e-9)
    r = torch.where(slope > 1e-9, along, 2 * r).clamp(min=r / 2, max=2 * r)
    moving = (turned * u).sum(1) < SETTLED
    return _Rows(rows.images, rows.classes, turned, r, nearest, u, pull, moving)


def _touch(composition: _Composition, best: _Best, images: Tensor, ways: Tensor, low: float, high: float) -> None:
    """Look for the class change on each line from I(x) to I(x) + way, at RUNGS points between its shares low and high."""
    if len(images) == 0:
        return
    shares = torch.linspace(low, high, RUNGS).repeat(len(images))
    images, ways = images.repeat_interleave(RUNGS), ways.repeat_interleave(RUNGS, 0)
    points = best.latents[images] + shares[:, None] * ways
    best.offer(images, points, composition.logits(points, images))

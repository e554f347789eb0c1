"""Pseudo-outliers: images that are none of the training set's, made of its own images and of random pen strokes.

They stand in for everything that people draw and that is not a digit, so that a detector can be trained
without ever seeing a real outlier (outlier exposure, Hendrycks et al. 2019, with synthetic outliers).
All functions work on batches (N, channels, H, W) in [0, 1] and draw their randomness from the generator given.
"""

import math
from itertools import pairwise

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from robust.data import written
from robust.data.augment import fit_to_frame, partly_written
from robust.data.randomness import chance, uniform
from robust.data.written import POINTS, STROKES

# Digits that, seen in a mirror, upside down or turned by a quarter, are certainly no digit (a 6 upside down is a 9).
MIRRORED, UPSIDE_DOWN, TURNED = [3, 4, 6, 7, 9], [4, 7], [2, 3, 4, 5, 6, 7, 9]

LEGIBLE_BENT, LEGIBLE_MISSHAPEN = [0, 1], [0, 1, 7]
TAKES_STROKES = [0, 1, 7, 9]  # slashed zeros, ones with a flag, crossed sevens, nines with a hook


def random_paths(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pen paths (count, STROKES, POINTS, 2) and which strokes exist (count, STROKES).

    A stroke is up to three pieces, each straight or an arc, with a corner or a smooth change between them. It starts
    anywhere, or on a stroke before it, as the strokes of letters do.
    """
    shape = (count, STROKES)

    pieces = (*shape, 3)
    turn = (
        torch.where(chance(0.4, pieces, generator), 0.0, 1.0) * torch.randn(pieces, generator=generator) * 2.5
    )  # radians a piece
    corner = torch.where(chance(0.4, pieces, generator), 1.0, 0.0) * uniform(-2.6, 2.6, pieces, generator)
    cuts = torch.rand((*shape, 2), generator=generator).sort(-1).values
    angular = chance(0.25, (count, 1), generator)  # drawings of straight strokes alone, as in T, H and K
    turn = torch.where(angular[..., None], 0.0, turn)
    one_piece = angular | chance(0.45, shape, generator)  # many strokes of real letters are one line or one bow
    time = torch.linspace(0, 1, POINTS).expand(*shape, POINTS)
    piece = torch.where(one_piece[..., None], 0, (time[..., None] > cuts[..., None, :]).sum(-1))
    bend = turn.gather(-1, piece) * torch.where(one_piece[..., None], 1.0, 2.5) / POINTS
    jump = F.pad((piece[..., 1:] != piece[..., :-1]).float(), (1, 0)) * corner.gather(-1, piece)
    straight = torch.randint(0, 8, shape, generator=generator) * (math.pi / 4)
    start = torch.where(chance(0.6, shape, generator), straight, 0.0) + torch.randn(shape, generator=generator) * 0.15
    start = torch.where(chance(0.7, shape, generator), start, uniform(0, 2 * math.pi, shape, generator))
    heading = start[..., None] + (bend + jump).cumsum(-1)
    length = torch.where(chance(0.12, shape, generator), 0.1, uniform(0.35, 1.8, shape, generator))
    steps = torch.stack([heading.cos(), heading.sin()], -1) * (length / POINTS)[..., None, None]
    # Two mirrored arcs would be a 0.
    path = _every_second_mirrored(steps.cumsum(-2), angular.squeeze(1) & chance(0.5, (count,), generator))
    origin = torch.rand((*shape, 2), generator=generator)
    joined = chance(0.55, shape, generator)
    picks = torch.randint(0, POINTS, shape, generator=generator)
    where_on_me = torch.where(chance(0.5, shape, generator), 0, torch.randint(0, POINTS, shape, generator=generator))
    rows = torch.arange(count)
    placed = []
    for k in range(STROKES):
        anchor = origin[:, k]
        if k:
            before = placed[k - 1][rows, picks[:, k]]
            anchor = torch.where(joined[:, k, None], before, anchor)
        mine = path[:, k]
        placed.append(mine - mine[rows, where_on_me[:, k]][:, None] + anchor[:, None])
    how_many = 1 + torch.multinomial(torch.tensor([0.15, 0.4, 0.3, 0.1, 0.05]), count, True, generator=generator)
    how_many = how_many.clamp(min=2).where(angular.squeeze(1), how_many)  # one straight stroke would be a 1
    return torch.stack(placed, 1), torch.arange(STROKES) < how_many[:, None]


def _every_second_mirrored(path: Tensor, chosen: Tensor) -> Tensor:
    """In the drawings `chosen` (count,), strokes 1 and 3 repeat strokes 0 and 2 left to right: letters like symmetry."""
    mirrored = path.clone()
    mirrored[:, 1::2] = path[:, 0:-1:2] * torch.tensor([-1.0, 1.0])
    return torch.where(chosen[:, None, None, None], mirrored, path)


def scribbles(count: int, generator: Generator) -> Tensor:
    return written.draw(*random_paths(count, generator), generator)


def characters(count: int, generator: Generator) -> Tensor:
    return written.draw(*written.characters(count, generator), generator)


def misshapen(labels: Tensor, generator: Generator) -> Tensor:
    """Digits written with so unsteady a hand that they are none; characters for those that stay legible."""
    drawn = written.draw(*written.digits(labels, generator, written.ILLEGIBLE), generator)
    legible = torch.isin(labels, torch.tensor(LEGIBLE_MISSHAPEN))[:, None, None, None]
    return torch.where(legible, characters(len(labels), generator), drawn)


def half_planes(count: int, side: int, generator: Generator) -> Tensor:
    """Masks (count, 1, side, side): one side of a random line near the middle."""
    angle = torch.where(
        torch.rand(count, generator=generator) < 0.6,
        torch.randint(0, 4, (count,), generator=generator) * (math.pi / 2),
        uniform(0, 2 * math.pi, (count,), generator),
    )
    offset = uniform(-4, 4, (count,), generator)
    middle = torch.arange(side) + 0.5 - side / 2
    along = angle.cos()[:, None, None] * middle + angle.sin()[:, None, None] * middle[:, None]
    return (along > offset[:, None, None]).float()[:, None]


def moved(images: Tensor, generator: Generator, turn: float, shift: float, shrink: float) -> Tensor:
    count = len(images)
    angle = uniform(-turn, turn, (count,), generator)
    scale = uniform(1, shrink, (count,), generator)
    x, y = uniform(-shift, shift, (2, count), generator)
    theta = torch.stack(
        [
            torch.stack([scale * angle.cos(), -scale * angle.sin(), x], 1),
            torch.stack([scale * angle.sin(), scale * angle.cos(), y], 1),
        ],
        1,
    )
    return F.grid_sample(images, F.affine_grid(theta, list(images.shape), align_corners=False), align_corners=False)


def recombined(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """One half of a digit, and the other half of the next one, turned or mirrored half of the time and if it is equal."""
    others, same = images.roll(1, 0), labels == labels.roll(1, 0)
    mask = half_planes(len(images), images.shape[-1], generator)
    flip = torch.rand((len(images), 1, 1, 1), generator=generator) * torch.where(same, 0.5, 1.0)[:, None, None, None]
    others = torch.where(flip < 0.25, others.flip(3), torch.where(flip < 0.5, others.transpose(2, 3), others))
    return images * mask + others * (1 - mask)


def overlaid(images: Tensor, generator: Generator) -> Tensor:
    """Two digits on top of or beside each other."""
    return torch.maximum(moved(images, generator, 0.3, 0.5, 1.8), moved(images.roll(1, 0), generator, 3.1, 0.5, 1.8))


def with_stroke(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """A digit and a stroke or two too many; bent where a stroke may make it the same digit by another hand."""
    extra = moved(scribbles(len(images), generator), generator, 3.1, 0.6, 2.5)
    risky = torch.isin(labels, torch.tensor(TAKES_STROKES))[:, None, None, None]
    return torch.where(risky, bent(images, labels, generator), torch.maximum(images, extra))


def bent(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """Digits under displacements too strong to stay legible; scribbles for 0 and 1, which stay legible."""
    count, _, side, _ = images.shape
    grid = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), list(images.shape), align_corners=False)
    coarse = torch.randn((count, 2, 5, 5), generator=generator) * uniform(0.25, 0.45, (count, 1, 1, 1), generator)
    field = F.interpolate(coarse, side, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    result = F.grid_sample(images, grid + field, align_corners=False)
    legible = torch.isin(labels, torch.tensor(LEGIBLE_BENT))[:, None, None, None]
    return torch.where(legible, scribbles(count, generator), result)


def reflected(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """Digits mirrored, upside down or turned by a quarter, where that makes no other digit; else turned and bent."""
    way = torch.randint(0, 4, labels.shape, generator=generator)
    result = bent(images, labels, generator)
    ways = (
        (MIRRORED, images.flip(3)),
        (UPSIDE_DOWN, images.flip(2)),
        (TURNED, images.transpose(2, 3)),
        (TURNED, images.transpose(2, 3).flip(3)),
    )
    for i, (classes, changed) in enumerate(ways):
        allowed = torch.isin(labels, torch.tensor(classes)) & (way == i)
        result = torch.where(allowed[:, None, None, None], changed, result)
    return result


def blotches(count: int, side: int, generator: Generator) -> Tensor:
    """Filled, shaded, patterned shapes: what photos look like after the input pipeline."""
    grid = int(torch.randint(3, 8, (1,), generator=generator))

    def smooth(cells: int) -> Tensor:
        noise = torch.randn((count, 1, cells, cells), generator=generator)
        return F.interpolate(noise, side, mode="bicubic", align_corners=True)

    middle = (torch.arange(side) + 0.5 - side / 2).abs() / (side / 2)
    box = torch.maximum(
        middle[:, None] * uniform(1.0, 2.2, (count, 1, 1, 1), generator),
        middle * uniform(1.0, 2.2, (count, 1, 1, 1), generator),
    )
    shape = ((0.95 - box + 0.25 * smooth(grid)) * 12).sigmoid()
    shade = (0.6 + 0.35 * smooth(2) + uniform(0, 0.4, (count, 1, 1, 1), generator) * smooth(14)).clamp(0.05, 1)
    return shape * shade


def spoilt_digits(digits: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """As many pseudo-outliers as there are digits (N, 1, H, W): half of them strokes, the rest made of the digits."""
    side = digits.shape[-1]
    digits = partly_written(digits, labels, generator)
    makers = (
        (0.22, lambda s: scribbles(s.stop - s.start, generator)),
        (0.46, lambda s: characters(s.stop - s.start, generator)),
        (0.5, lambda s: misshapen(labels[s], generator)),
        (0.6, lambda s: recombined(digits[s], labels[s], generator)),
        (0.7, lambda s: overlaid(digits[s], generator)),
        (0.8, lambda s: with_stroke(digits[s], labels[s], generator)),
        (0.85, lambda s: bent(digits[s], labels[s], generator)),
        (0.93, lambda s: reflected(digits[s], labels[s], generator)),
        (1.0, lambda s: blotches(s.stop - s.start, side, generator)),
    )
    images = fit_to_frame(_in_parts(makers, len(digits)))
    return images / images.amax((1, 2, 3), keepdim=True).clamp(min=0.1)


def spoilt_images(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """As many pseudo-outliers as there are images (N, channels, H, W) of anything: strokes, blotches, and halves or
    layers of two images."""
    channels, side = images.shape[1], images.shape[-1]

    def coloured(shapes: Tensor) -> Tensor:
        colours = torch.rand((len(shapes), channels, 1, 1), generator=generator) if channels > 1 else 1.0
        return F.interpolate(shapes, (side, side), mode="bilinear", antialias=True) * colours

    makers = (
        (0.3, lambda s: coloured(scribbles(s.stop - s.start, generator))),
        (0.5, lambda s: recombined(images[s], labels[s], generator)),
        (0.7, lambda s: overlaid(images[s], generator)),
        (1.0, lambda s: coloured(blotches(s.stop - s.start, side, generator))),
    )
    return _in_parts(makers, len(images)).clamp(0, 1)


def _in_parts(makers: tuple, count: int) -> Tensor:
    """Concatenate what each maker gives for its slice of 0..count; with each stands where its slice ends, as a share."""
    ends = [0, *(round(share * count) for share, _ in makers)]
    parts = [(make, slice(*part)) for (_, make), part in zip(makers, pairwise(ends)) if part[0] < part[1]]
    return torch.cat([make(part) for make, part in parts])

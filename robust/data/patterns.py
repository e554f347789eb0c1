"""Pictures of nothing: noise, and patterns without meaning, the same each time."""

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

LEAVES = 150  # discs of one picture of dead leaves
POINTS, STEPS = 200, 40  # of the chaos game that draws a fractal


def noise(count: int, size: int = 28, channels: int = 1) -> Tensor:
    """Uniform noise (count, channels, size, size), a quarter each in grains of 1, 2, 4 and 7 pixels."""
    randomness = torch.Generator().manual_seed(0)
    parts = []
    for grain in (1, 2, 4, 7):
        side = math.ceil(size / grain)
        grains = torch.rand(count // 4, channels, side, side, generator=randomness)
        parts.append(grains.repeat_interleave(grain, 2).repeat_interleave(grain, 3)[..., :size, :size])
    return torch.cat(parts)


def structured_noise(count: int, size: int = 28) -> Tensor:
    """Patterns without meaning (count, 1, size, size) in [0, 1], a quarter each: stripes, rings, clouds and blots."""
    randomness = np.random.default_rng(0)
    makers = (_stripes, _rings, _clouds, _blots)
    return _stacked(makers[i % len(makers)](randomness, size) for i in range(count))


def dead_leaves(count: int, size: int = 28) -> Tensor:
    """Grey discs in front of each other (count, 1, size, size): edges and scales as in photos (Lee, Mumford & Huang 2001)."""
    randomness = np.random.default_rng(0)
    return _stacked(_leaves(randomness, size) for _ in range(count))


def fractals(count: int, size: int = 28) -> Tensor:
    """Attractors of two to four random affine maps (count, 1, size, size), by the chaos game (Barnsley 1988)."""
    randomness = np.random.default_rng(0)
    return _stacked(_attractor(randomness, size) for _ in range(count))


def _stacked(images) -> Tensor:
    return torch.from_numpy(np.stack([*images])[:, None].astype(np.float32))


def _wave(distance: np.ndarray, randomness: np.random.Generator) -> np.ndarray:
    """A sine of a random length, 4 to 14 pixels, along a distance in pixels; values in [0, 1]."""
    return 0.5 + 0.5 * np.sin(2 * np.pi * (distance / randomness.uniform(4, 14) + randomness.random()))


def _stripes(randomness: np.random.Generator, size: int) -> np.ndarray:
    angle = randomness.uniform(0, np.pi)
    y, x = np.mgrid[:size, :size]
    return _wave(x * np.cos(angle) + y * np.sin(angle), randomness)


def _rings(randomness: np.random.Generator, size: int) -> np.ndarray:
    centre_y, centre_x = randomness.uniform(0, size, 2)
    y, x = np.mgrid[:size, :size]
    return _wave(np.hypot(y - centre_y, x - centre_x), randomness)


def _clouds(randomness: np.random.Generator, size: int) -> np.ndarray:
    smooth = ndimage.gaussian_filter(randomness.random((size, size)), randomness.uniform(1, 4))
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def _blots(randomness: np.random.Generator, size: int) -> np.ndarray:
    """Clouds in black and white, 15 to 50 % of them white."""
    clouds = _clouds(randomness, size)
    return clouds > np.quantile(clouds, randomness.uniform(0.5, 0.85))


def _leaves(randomness: np.random.Generator, size: int) -> np.ndarray:
    """The radius r has the density r^-3, between 1.5 pixels and half the picture: the same at every scale."""
    least, most = 1.5, size / 2
    shares = randomness.random(LEAVES)
    radii = (least**-2 + shares * (most**-2 - least**-2)) ** -0.5
    y, x = np.mgrid[:size, :size]
    picture = np.full((size, size), randomness.random())
    for radius, centre, grey in zip(radii, randomness.uniform(0, size, (LEAVES, 2)), randomness.random(LEAVES)):
        picture[np.hypot(y - centre[0], x - centre[1]) < radius] = grey
    return picture


def _attractor(randomness: np.random.Generator, size: int) -> np.ndarray:
    """Where the points of a chaos game come to lie, the densest place white; 28 pixels of it 20 wide, as a digit is."""
    count = randomness.integers(2, 5)
    turns = np.linalg.svd(randomness.normal(size=(count, 2, 2)))
    maps = turns[0] * randomness.uniform(0.3, 0.85, (count, 1, 2)) @ turns[2]
    shifts = randomness.uniform(-1, 1, (count, 2))
    points, visited = randomness.uniform(-1, 1, (POINTS, 2)), []
    for step in range(STEPS):
        chosen = randomness.integers(count, size=POINTS)
        points = np.einsum("nij,nj->ni", maps[chosen], points) + shifts[chosen]
        if step >= 10:  # by then they are on the attractor
            visited.append(points)
    places = np.concatenate(visited)
    low, high = places.min(0), places.max(0)
    ink = size * 20 / 28
    places = (places - (low + high) / 2) / max(*(high - low), 1e-6) * ink + size / 2
    hits = np.histogram2d(*places.T, bins=size, range=[[0, size], [0, size]])[0]
    return np.minimum(hits / max(np.quantile(hits[hits > 0], 0.75), 1), 1)

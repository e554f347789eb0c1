"""Ways to spoil images (N, channels, size, size) in [0, 1] of a class that is known, the same each time."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from robust.data.randomness import uniform
from robust.data.written import segments

PATCHES = 4  # a side: shuffled pictures are cut into 16
GAP = 4.0  # pixels that an eraser is wide
CENTRED = 1.0  # pixels by which the middles of images spread that were centred on purpose


def rotated(images: Tensor) -> Tensor:
    """Each image turned by 30 to 90 degrees, either way."""
    from torchvision.transforms import functional as transforms  # slow to import: see datasets.py

    randomness = np.random.default_rng(0)
    angles = randomness.uniform(30, 90, len(images)) * randomness.choice([-1, 1], len(images))
    bilinear = transforms.InterpolationMode.BILINEAR
    return torch.stack([transforms.rotate(image, angle, bilinear) for image, angle in zip(images, angles)])


def inverted(images: Tensor) -> Tensor:
    """Black on white, as the input pipeline would not let it pass."""
    return 1 - images


def blurred(images: Tensor) -> Tensor:
    """Out of focus: a Gaussian of 2 pixels."""
    from torchvision.transforms import functional as transforms  # slow to import: see datasets.py

    return transforms.gaussian_blur(images, 13, 2.0)


def mirrored(images: Tensor) -> Tensor:
    return _centred_as(images, images.flip(3))


def upside_down(images: Tensor) -> Tensor:
    """Mirrored from top to bottom."""
    return _centred_as(images, images.flip(2))


def half_turned(images: Tensor) -> Tensor:
    """Turned by 180 degrees: a 6 becomes a 9, see `BECOME`."""
    return _centred_as(images, images.flip(2).flip(3))


def _centred_as(images: Tensor, flipped: Tensor) -> Tensor:
    """`flipped`, and where all `images` are centred in one place, moved by whole pixels until they are centred there, too.

    MNIST's digits are centred in pixel 14 of 28, counted from 0. Flips about the frame's middle leave them in pixel 13: enough
    to tell them from the others without a look at the digit.
    """
    centres = _centres(images)
    if centres.std(0, correction=0).max() > CENTRED:
        return flipped
    moves = (centres - _centres(flipped)).mean(0).round().int().tolist()
    return flipped.roll(moves, (2, 3))


def _centres(images: Tensor) -> Tensor:
    """Row and column of the middle of the ink of each image, (N, 2)."""
    ink = images.double().sum(1) + 1e-9
    middle = torch.arange(images.shape[-1], dtype=torch.float64)
    return torch.stack([ink.sum(2) @ middle, ink.sum(1) @ middle], 1) / ink.sum((1, 2))[:, None]


WAYS_UP = (torch.clone, upside_down, mirrored, half_turned)  # as it is, first


def stroke_added(images: Tensor) -> Tensor:
    """One straight stroke too many, 10 to 20 pixels long, across the middle."""
    return torch.maximum(images, _straight_strokes(images, 10, 20, 1.3))


def part_erased(images: Tensor) -> Tensor:
    """As if an eraser had gone across the middle once, GAP pixels wide."""
    return images * (1 - _straight_strokes(images, 28, 28, GAP / 2))


def _straight_strokes(images: Tensor, shortest: float, longest: float, radius: float) -> Tensor:
    """One for each image (N, 1, size, size), in any direction, near the middle; lengths and radius in pixels of 28."""
    count, size = len(images), images.shape[-1]
    randomness = torch.Generator().manual_seed(0)
    angle, length = uniform(0, np.pi, (count,), randomness), uniform(shortest, longest, (count,), randomness)
    half = torch.stack([angle.cos(), angle.sin()], 1) * length[:, None] / 2
    middle = 14 + uniform(-4, 4, (count, 2), randomness)
    scale = size / 28
    return segments(scale * (middle - half), scale * (middle + half), torch.tensor([[scale * radius]]), size)


def shuffled_patches(images: Tensor) -> Tensor:
    """Images (N, channels, size, size) whose 16 patches have changed places, in one order for all; what is left over at
    the right and below is cut off and filled with black."""
    side = images.shape[2] // PATCHES
    order = np.random.default_rng(0).permutation(PATCHES**2)
    whole = images[:, :, : side * PATCHES, : side * PATCHES]
    patches = whole.unfold(2, side, side).unfold(3, side, side).flatten(2, 3)[:, :, order]
    rows = patches.unflatten(2, (PATCHES, PATCHES)).permute(0, 1, 2, 4, 3, 5)
    shuffled = torch.zeros_like(images)
    shuffled[:, :, : side * PATCHES, : side * PATCHES] = rows.reshape(whole.shape)
    return shuffled


BECOME = {"half-turned": {6: 9, 9: 6}}  # digits that a change makes another one, rightly read as that

CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "rotated": rotated,
    "inverted": inverted,
    "blurred": blurred,
    "half-turned": half_turned,
    "mirrored": mirrored,
    "upside-down": upside_down,
    "stroke-added": stroke_added,
    "part-erased": part_erased,
    "shuffled": shuffled_patches,
}

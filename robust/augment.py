"""Training-time augmentation: the ways in which a digit drawn by hand differs from MNIST's.

All of it works on a batch (N, 1, H, W) in [0, 1] and draws its randomness from the generator given,
so that a training step can be repeated.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def _uniform(low: float, high: float, shape: tuple, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def affine_grid(count: int, generator: Generator) -> Tensor:
    """Random rotation, shear, scale on each axis and shift, as (N, 2, 3) matrices for `F.affine_grid`."""
    angle = _uniform(-0.26, 0.26, (count,), generator)  # 15 degrees
    shear = _uniform(-0.25, 0.25, (count,), generator)
    scale_x = _uniform(0.9, 1.35, (count,), generator)  # above 1 shrinks: drawn digits are often narrow
    scale_y = _uniform(0.9, 1.2, (count,), generator)
    shift = _uniform(-0.12, 0.12, (count, 2), generator)
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([scale_x * cos, scale_x * (shear * cos - sin), shift[:, 0]], 1)
    row_y = torch.stack([scale_y * sin, scale_y * (shear * sin + cos), shift[:, 1]], 1)
    return torch.stack([row_x, row_y], 1)


def elastic_field(count: int, side: int, generator: Generator) -> Tensor:
    """Smooth random displacements (Simard et al. 2003), (N, side, side, 2) in `F.grid_sample` units."""
    coarse = torch.randn((count, 2, 5, 5), generator=generator)
    amount = _uniform(0.0, 0.1, (count, 1, 1, 1), generator)
    return (F.interpolate(coarse, side, mode="bicubic", align_corners=True) * amount).permute(0, 2, 3, 1)


def change_thickness(images: Tensor, generator: Generator) -> Tensor:
    """Make strokes thicker or thinner by up to about a pixel a side, by blending with a max or min filter."""
    thick = F.max_pool2d(images, 3, stride=1, padding=1)
    thin = -F.max_pool2d(-images, 3, stride=1, padding=1)
    amount = _uniform(-0.6, 0.9, (len(images), 1, 1, 1), generator)
    return torch.where(amount > 0, images + amount * (thick - images), images - amount * (thin - images))


def augment(images: Tensor, generator: Generator) -> Tensor:
    """Affine, elastic and thickness changes for every image, and stronger or weaker contrast."""
    count, _, side, _ = images.shape
    grid = F.affine_grid(affine_grid(count, generator), list(images.shape), align_corners=False)
    grid = grid + elastic_field(count, side, generator)
    warped = F.grid_sample(change_thickness(images, generator), grid, align_corners=False)
    gain = _uniform(0.9, 1.6, (count, 1, 1, 1), generator)  # the pad's ink is harder than a scanner's
    return (warped * gain).clamp(0, 1)

"""Training-time augmentation: the ways in which a digit drawn by hand differs from MNIST's.

All of it works on a batch (N, 1, H, W) in [0, 1] and draws its randomness from the generator given,
so that a training step can be repeated.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from robust.data import written
from robust.data.randomness import uniform


def affine_grid(count: int, generator: Generator) -> Tensor:
    """Random rotation, shear, scale on each axis and shift, as (N, 2, 3) matrices for `F.affine_grid`."""
    angle = uniform(-0.26, 0.26, (count,), generator)  # 15 degrees
    shear = uniform(-0.25, 0.25, (count,), generator)
    scale_x = uniform(0.9, 1.35, (count,), generator)  # above 1 shrinks: drawn digits are often narrow
    scale_y = uniform(0.9, 1.2, (count,), generator)
    shift = uniform(-0.12, 0.12, (count, 2), generator)
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([scale_x * cos, scale_x * (shear * cos - sin), shift[:, 0]], 1)
    row_y = torch.stack([scale_y * sin, scale_y * (shear * sin + cos), shift[:, 1]], 1)
    return torch.stack([row_x, row_y], 1)


def elastic_field(count: int, side: int, generator: Generator) -> Tensor:
    """Smooth random displacements (Simard et al. 2003), (N, side, side, 2) in `F.grid_sample` units."""
    coarse = torch.randn((count, 2, 5, 5), generator=generator)
    amount = uniform(0.0, 0.1, (count, 1, 1, 1), generator)
    return (F.interpolate(coarse, side, mode="bicubic", align_corners=True) * amount).permute(0, 2, 3, 1)


def change_thickness(images: Tensor, generator: Generator) -> Tensor:
    """Make strokes thicker or thinner by up to about a pixel a side, by blending with a max or min filter."""
    thick = F.max_pool2d(images, 3, stride=1, padding=1)
    thin = -F.max_pool2d(-images, 3, stride=1, padding=1)
    amount = uniform(-0.6, 0.9, (len(images), 1, 1, 1), generator)
    return torch.where(amount > 0, images + amount * (thick - images), images - amount * (thin - images))


def augment(images: Tensor, generator: Generator) -> Tensor:
    """Affine, elastic and thickness changes for every image, and stronger or weaker contrast."""
    count, _, side, _ = images.shape
    grid = F.affine_grid(affine_grid(count, generator), list(images.shape), align_corners=False)
    grid = grid + elastic_field(count, side, generator)
    warped = F.grid_sample(change_thickness(images, generator), grid, align_corners=False)
    gain = uniform(0.9, 1.6, (count, 1, 1, 1), generator)  # the pad's ink is harder than a scanner's
    return (warped * gain).clamp(0, 1)


def fit_to_frame(images: Tensor, ink: float = 20.0) -> Tensor:
    """What the input pipeline does: longest side of the ink `ink` pixels long, centre of mass in pixel side / 2."""
    count, _, side, _ = images.shape
    middle = torch.arange(side) + 0.5
    mass = images.sum((1, 2, 3)).clamp(min=1e-6)
    bounds, centres = [], []
    for axis in (2, 3):
        profile = images.amax(dim=(1, axis))  # along x when rows are reduced, then along y
        is_ink = profile > 0.12
        first = torch.where(is_ink, middle, side).amin(1) - 0.5
        last = torch.where(is_ink, middle, 0).amax(1) + 0.5
        bounds.append((last - first).clamp(min=1))
        centres.append((images.sum((1, axis)) * middle).sum(1) / mass)  # of the middle of pixel 0: 0.5
    scale = torch.maximum(*bounds) / ink
    x, y = (2 * centre / side - 1 - scale / side for centre in centres)
    zero = torch.zeros(count)
    theta = torch.stack([torch.stack([scale, zero, x], 1), torch.stack([zero, scale, y], 1)], 1)
    return F.grid_sample(images, F.affine_grid(theta, list(images.shape), align_corners=False), align_corners=False)


def other_hands(images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """Give some digits the strokes that other schools teach: a flag and a foot to 1, a bar to 7, a hook to 9; a 0 whose
    end passes its start, a 4 whose right arm is short."""
    count, _, side, _ = images.shape
    rows = (images > 0.5).any(3)[:, 0].float()
    top, bottom = rows.argmax(1), side - 1 - rows.flip(1).argmax(1)
    column = torch.arange(side) + 0.5

    def ink_at(row: Tensor) -> Tensor:
        line = images[torch.arange(count), 0, row]
        return torch.stack([(line * column).sum(1) / line.sum(1).clamp(min=1e-6), row + 0.5], 1)

    def random(low: float, high: float) -> Tensor:
        return uniform(low, high, (count,), generator)

    def polar(length: Tensor, angle: Tensor) -> Tensor:  # angle from straight left, downwards
        return torch.stack([-length * angle.cos(), length * angle.sin()], 1)

    def chance(share: float) -> Tensor:
        return random(0, 1) < share

    head, tail = ink_at(top), ink_at(bottom)
    crossing = ink_at((top + random(0.35, 0.65) * (bottom - top)).long())
    tilt, radius = random(-0.25, 0.25), random(0.7, 1.7)[:, None]
    strokes = {
        "flag": (head, head + polar(random(4, 17), random(0.6, 1.25))),
        "foot": (tail + polar(random(2, 6), tilt), tail - polar(random(2, 6), tilt)),
        "bar": (crossing + polar(random(3, 8), tilt), crossing - polar(random(3, 8), tilt)),
        "hook": (tail, tail + polar(random(3, 11), random(-0.9, 0.1))),
        "end": (head, head + polar(random(3, 8), random(0.3, 2.8))),
    }
    is_zero, is_one, is_four, is_seven, is_nine = (labels == digit for digit in (0, 1, 4, 7, 9))
    flagged = is_one & chance(0.6)
    given = {
        "flag": flagged,
        "foot": flagged & chance(0.4),
        "bar": is_seven & chance(0.6),
        "hook": is_nine & chance(0.5),
        "end": is_zero & chance(0.3),
    }
    arm_below = top + random(0.1, 0.45) * (bottom - top)
    right_arm = (column > side / 2 + random(-1, 2)[:, None])[:, None] & (column < arm_below[:, None])[:, :, None]
    result = images * ~(right_arm & (is_four & chance(0.35))[:, None, None])[:, None]
    for name, chosen in given.items():
        drawn = torch.maximum(result, written.segments(*strokes[name], radius, side))
        result = torch.where(chosen[:, None, None, None], drawn, result)
    return torch.where((result != images).flatten(1).any(1)[:, None, None, None], fit_to_frame(result), images)


def harden(images: Tensor, generator: Generator) -> Tensor:
    """Full ink with edges up to three times as sharp: a screen's pen has no grey, a scanned one's has a lot."""
    shape = (len(images), 1, 1, 1)
    middle, gain = uniform(0.25, 0.5, shape, generator), uniform(1.0, 3.0, shape, generator)
    full = images / images.amax((1, 2, 3), keepdim=True).clamp(min=0.1)
    return ((full - middle) * gain + middle).clamp(0, 1)


def partly_written(images: Tensor, labels: Tensor, generator: Generator, every: int = 4) -> Tensor:
    """Digits (N, 1, H, W), one of `every` so many written anew, in any of the hands that its class is written in."""
    mixed = images.clone()
    mixed[1::every] = written.draw(*written.digits(labels[1::every], generator), generator, images.shape[-1])
    return mixed


def as_others_draw(images: Tensor, labels: Tensor, generator: Generator, every: int = 4) -> Tensor:
    """Digits (N, 1, H, W) as other people would draw them, seen through the input pipeline; every fourth as it was, and one
    of `every` so many written anew."""
    mixed = partly_written(other_hands(images, labels, generator), labels, generator, every)
    drawn = harden(fit_to_frame(augment(mixed, generator)), generator)
    drawn[::4] = images[::4]
    return drawn

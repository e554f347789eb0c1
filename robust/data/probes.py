"""What a guard is tried on after every fit: images that are not what it was fitted to, made from its own and from nothing."""

import torch
from torch import Tensor

from robust.data import changes
from robust.data.datasets import to_bytes, to_float
from robust.data.examples import samples
from robust.data.image_sets import fit
from robust.data.patterns import noise, structured_noise

SAMPLES = {"mnist": "mnist", "fashion-mnist": "fashion"}  # sets that ship, and their keys there
FLAT = {"black": 0.0, "grey": 0.5, "white": 1.0}


def probes(own: Tensor, count: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Sets by name: images uint8 (at most `count`, channels, size, size) and labels (N,), -1 where there are none.

    `own`: good images uint8 (N, channels, size, size), which are spoilt in several ways. The shipped digits and clothes
    join unless they are among them.
    """
    channels, size = own.shape[1], own.shape[2]
    some = to_float(own[:count])
    structured = structured_noise(count, size)[:, :1].expand(-1, channels, -1, -1)
    sets = {
        "noise": noise(max(count, 4), size, channels),
        "structured-noise": structured,
        **{name: torch.full((1, channels, size, size), level) for name, level in FLAT.items()},
        "inverted": changes.inverted(some),
        "upside-down": changes.upside_down(some),
        "half-contrast": some * 0.5,
        "shuffled": changes.shuffled_patches(some),
    }
    found = {name: (to_bytes(images), torch.full((len(images),), -1)) for name, images in sets.items()}
    return shipped(own, count) | found


def shipped(own: Tensor, count: int) -> dict[str, tuple[Tensor, Tensor]]:
    """The digits and clothes that ship, fitted to the shape of the `own` images, unless they are among those."""
    every = -(-len(samples()["mnist_labels"]) // count)
    known = {image.numpy().tobytes() for image in own} if own.shape[1:] == (1, 28, 28) else set()
    found = {}
    for name, key in SAMPLES.items():
        images, labels = samples()[f"{key}_images"], samples()[f"{key}_labels"]
        if not any(image.numpy().tobytes() in known for image in images):
            found[name] = (to_bytes(fit(to_float(images[::every]), *own.shape[1:3])), labels[::every])
    return found

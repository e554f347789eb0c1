"""The image sets that reference distributions are taken from, by name, as the guard sees them."""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from robust.data import datasets, strokes
from robust.inputs.prepare import EVERYWHERE, prepare

TITLES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "fashion-mnist-scaled": "Fashion-MNIST, small",
    "noise": "Noise",
    "omniglot": "Drawn letters",
    "structured-noise": "Structured noise",
    "rotated": "Rotated",
    "inverted": "Inverted",
    "upside-down": "Upside down",
    "half-contrast": "Half contrast",
    "shuffled": "Shuffled patches",
    "black": "Black",
    "grey": "Grey",
    "white": "White",
    "blurred": "Blurred",
    "pendigits": "Drawn digits",
}
COMPARISONS = {
    "mnist": ("fashion-mnist", "fashion-mnist-scaled", "noise", "omniglot"),
    "fashion-mnist": ("mnist", "noise"),
}
OWN_COMPARISONS = ("mnist", "fashion-mnist", "noise")  # for a world of the user's own images
NOISE_COUNT = 1000
DRAWN = {
    "omniglot": "characters.jsonl",
    "pendigits": "train.jsonl",
}  # pen strokes: their file, in a folder of that name


@dataclass(frozen=True)
class ImageSet:
    """images (N, channels, size, size) in [0, 1]; labels (N,), -1 where an image shows no class of the data set."""

    images: Tensor
    labels: Tensor


def comparisons(dataset: str) -> tuple[str, ...]:
    """The sets that a world is compared with. For one of the user's own images nothing is downloaded."""
    own = (name for name in OWN_COMPARISONS if name not in datasets.DATASETS or datasets.is_here(name))
    return COMPARISONS.get(dataset) or tuple(own)


def load(name: str, channels: int = 1, size: int = 28) -> ImageSet | None:
    """A set by name; None for one whose data is not on this machine and cannot be downloaded.

    fashion-mnist-scaled is Fashion-MNIST cut out and scaled to 20 pixels, as the input pipeline does with photos.
    noise is uniform grey, in grains of 1, 2, 4 and 7 pixels; structured-noise is stripes, rings, clouds and blots.
    omniglot is Lake et al.'s (2015) characters from ROBUST_DATA/omniglot/characters.jsonl, pendigits Alimoglu &
    Alpaydin's (1996) digits from ROBUST_DATA/pendigits/train.jsonl, both drawn as on the pad. Data sets are scaled to
    `size`, and repeated over `channels`.
    """
    if name in datasets.DATASETS:
        images, labels = datasets.load(name, train=False)
        return ImageSet(fit(datasets.to_float(images), channels, size), labels)
    if name == "fashion-mnist-scaled":
        images, _ = datasets.load("fashion-mnist", train=False)
        return _no_class(_prepare_all(_framed(image[0].numpy()) for image in tqdm(images, desc=name)))
    if name == "noise":
        return _no_class(noise(NOISE_COUNT, size, channels))
    if name == "structured-noise":
        return _no_class(structured_noise(NOISE_COUNT, size))
    path = datasets.data_root() / name / DRAWN[name]
    if not path.exists():
        return None
    randomness, rows = random.Random(0), strokes.read(path)
    images = _prepare_all(strokes.draw(row["strokes"], randomness) for row in tqdm(rows, desc=name))
    return ImageSet(images, torch.tensor([row.get("label", -1) for row in rows]))


def noise(count: int, size: int = 28, channels: int = 1) -> Tensor:
    """Uniform noise (count, channels, size, size), a quarter each in grains of 1, 2, 4 and 7 pixels."""
    randomness = torch.Generator().manual_seed(0)
    parts = []
    for grain in (1, 2, 4, 7):
        side = math.ceil(size / grain)
        grains = torch.rand(count // 4, channels, side, side, generator=randomness)
        parts.append(grains.repeat_interleave(grain, 2).repeat_interleave(grain, 3)[..., :size, :size])
    return torch.cat(parts)


def fit(images: Tensor, channels: int, size: int) -> Tensor:
    """Images (N, 1, h, h) in [0, 1] scaled to `size`, and repeated over `channels`."""
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    return images.expand(-1, channels, -1, -1)


def structured_noise(count: int, size: int = 28) -> Tensor:
    """Patterns without meaning (count, 1, size, size) in [0, 1], a quarter each: stripes, rings, clouds and blots."""
    randomness = np.random.default_rng(0)
    makers = (_stripes, _rings, _clouds, _blots)
    images = [makers[i % len(makers)](randomness, size) for i in range(count)]
    return torch.from_numpy(np.stack(images)[:, None].astype(np.float32))


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


# Ways to spoil images (N, 1, size, size) in [0, 1] of a class that is known.
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {"rotated": rotated, "inverted": inverted, "blurred": blurred}
LETTERS = "AEFGHKMNPRTUWXY"  # those that no digit looks like


def letters(count: int) -> Tensor:
    """Printed capital letters (count, 1, 28, 28) in Pillow's own font, of many sizes and a little tilted."""
    randomness = random.Random(0)
    pictures = []
    for letter in islice(cycle(LETTERS), count):
        page = Image.new("L", (280, 280))
        font = ImageFont.load_default(randomness.randint(100, 200))
        ImageDraw.Draw(page).text((140, 140), letter, fill=255, font=font, anchor="mm", stroke_width=4)
        pictures.append(page.rotate(randomness.uniform(-15, 15), Image.Resampling.BICUBIC))
    return _prepare_all(pictures)


def _framed(image: np.ndarray) -> np.ndarray:
    """On a larger black page, so that the pipeline cuts it out."""
    return np.pad(image, 14)


def _prepare_all(pictures: Iterable) -> Tensor:
    """All ink of a picture is one object, even where a user would be asked which of two to read."""
    return torch.stack([prepare(picture, box=EVERYWHERE).pixels for picture in pictures])


def _no_class(images: Tensor) -> ImageSet:
    return ImageSet(images, torch.full((len(images),), -1))

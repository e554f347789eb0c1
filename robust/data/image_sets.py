"""The image sets that reference distributions are taken from, by name, as the guard sees them."""

import random
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from robust.data import datasets, patterns, strokes, torchvision_sets
from robust.inputs.prepare import EVERYWHERE, prepare

TITLES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "fashion-mnist-scaled": "Fashion-MNIST, small",
    "noise": "Noise",
    "omniglot": "Drawn letters",
    "structured-noise": "Structured noise",
    "dead-leaves": "Dead leaves",
    "fractals": "Fractals",
    "two-digits": "Two digits",
    "glyphs": "Printed glyphs",
    "kmnist": "Kuzushiji-MNIST",
    "emnist-letters": "EMNIST letters",
    "omniglot-all": "Omniglot, all of it",
    "rotated": "Rotated",
    "inverted": "Inverted",
    "blurred": "Blurred",
    "half-turned": "Turned by 180°",
    "mirrored": "Mirrored",
    "upside-down": "Upside down",
    "stroke-added": "A stroke too many",
    "part-erased": "A part erased",
    "shuffled": "Shuffled patches",
    "half-contrast": "Half contrast",
    "black": "Black",
    "grey": "Grey",
    "white": "White",
    "pendigits": "Drawn digits",
    "qmnist": "QMNIST",
    "usps": "USPS",
}
COMPARISONS = {
    "mnist": ("fashion-mnist", "fashion-mnist-scaled", "noise", "omniglot"),
    "fashion-mnist": ("mnist", "noise"),
}
OWN_COMPARISONS = ("mnist", "fashion-mnist", "noise")  # for a world of the user's own images
PATTERNS: dict[str, Callable[[int, int], Tensor]] = {
    "noise": patterns.noise,
    "structured-noise": patterns.structured_noise,
    "dead-leaves": patterns.dead_leaves,
    "fractals": patterns.fractals,
}
PATTERN_COUNT = 1000
STROKES = {  # pen strokes: their file, in a folder of that name
    "omniglot": "characters.jsonl",
    "pendigits": "train.jsonl",
}
SCRIPTS = {  # first and last letter of alphabets whose Noto fonts may be installed
    "Armenian": "ԱՖ",
    "Bengali": "কহ",
    "Devanagari": "कह",
    "Ethiopic": "ሀኮ",
    "Georgian": "აჰ",
    "Gujarati": "કહ",
    "Hebrew": "את",
    "Khmer": "កអ",
    "Tamil": "கஹ",
    "Telugu": "కహ",
    "Thai": "กฮ",
}


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
    noise and the other patterns are those of `robust.data.patterns`; two-digits are pairs of MNIST's test digits, side by
    side; glyphs are letters of the Noto fonts that are installed. omniglot is Lake et al.'s (2015) characters from
    ROBUST_DATA/omniglot/characters.jsonl, pendigits Alimoglu & Alpaydin's (1996) digits from
    ROBUST_DATA/pendigits/train.jsonl, both drawn as on the pad. The rest is `robust.data.torchvision_sets`'s. All are scaled to
    `size`, and repeated over `channels`.
    """
    if name == "noise":  # of every channel its own
        return _no_class(patterns.noise(PATTERN_COUNT, size, channels))
    if name in PATTERNS:
        return _no_class(PATTERNS[name](PATTERN_COUNT, size).expand(-1, channels, -1, -1))
    found = _grey_set(name)
    return found and ImageSet(fit(found.images, channels, size), found.labels)


def _grey_set(name: str) -> ImageSet | None:
    """The sets that have a size of their own, images (N, 1, 28, 28)."""
    if name in datasets.DATASETS:
        images, labels = datasets.load(name, train=False)
        return ImageSet(datasets.to_float(images), labels)
    if name in torchvision_sets.SETS:
        found = torchvision_sets.load(name)
        return found and ImageSet(*found)
    if name == "fashion-mnist-scaled":
        images, _ = datasets.load("fashion-mnist", train=False)
        return _no_class(_prepare_all(_framed(image[0].numpy()) for image in tqdm(images, desc=name)))
    if name == "two-digits":
        images, _ = datasets.load("mnist", train=False)
        pairs = np.concatenate([images[::2, 0, :, 4:24], images[1::2, 0, :, 4:24]], 2)
        return _no_class(_prepare_all(_framed(pair) for pair in tqdm(pairs, desc=name)))
    if name == "glyphs":
        pictures = [*glyphs()]
        return _no_class(_prepare_all(pictures)) if pictures else None
    path = datasets.data_root() / name / STROKES[name]
    if not path.exists():
        return None
    randomness, rows = random.Random(0), strokes.read(path)
    images = _prepare_all(strokes.draw(row["strokes"], randomness) for row in tqdm(rows, desc=name))
    return ImageSet(images, torch.tensor([row.get("label", -1) for row in rows]))


def fit(images: Tensor, channels: int, size: int) -> Tensor:
    """Images (N, 1, h, h) in [0, 1] scaled to `size`, and repeated over `channels`."""
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    return images.expand(-1, channels, -1, -1)


LETTERS = "AEFGHKMNPRTUWXY"  # those that no digit looks like


def letters(count: int) -> Tensor:
    """Printed capital letters (count, 1, 28, 28) in Pillow's own font, of many sizes and a little tilted."""
    randomness = random.Random(0)

    def printed(letter: str) -> Image.Image:
        page = _printed(letter, ImageFont.load_default(randomness.randint(100, 200)))
        return page.rotate(randomness.uniform(-15, 15), Image.Resampling.BICUBIC)

    return _prepare_all(printed(letter) for letter in islice(cycle(LETTERS), count))


def glyphs() -> Iterator[Image.Image]:
    """The letters of SCRIPTS, of those whose Noto font is installed."""
    for script, (first, last) in SCRIPTS.items():
        try:
            font = ImageFont.truetype(f"NotoSans{script}-Regular.ttf", 150)
        except OSError:
            continue
        letters = (chr(code) for code in range(ord(first), ord(last) + 1))
        yield from (_printed(letter, font) for letter in letters if unicodedata.category(letter).startswith("L"))


def _printed(letter: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    page = Image.new("L", (280, 280))
    ImageDraw.Draw(page).text((140, 140), letter, fill=255, font=font, anchor="mm", stroke_width=4)
    return page


def _framed(image: np.ndarray) -> np.ndarray:
    """On a larger black page, so that the pipeline cuts it out."""
    return np.pad(image, 14)


def _prepare_all(pictures: Iterable) -> Tensor:
    """All ink of a picture is one object, even where a user would be asked which of two to read."""
    return torch.stack([prepare(picture, box=EVERYWHERE).pixels for picture in pictures])


def _no_class(images: Tensor) -> ImageSet:
    return ImageSet(images, torch.full((len(images),), -1))

"""Example pictures that ship with Robust (LICENCES.md says whose they are)."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from robust.data.examples.drawings import DRAWINGS

FOLDER = Path(__file__).parent
DIGITS = tuple(f"Digit {label}" for label in range(10))
CLOTHES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@cache
def samples() -> dict[str, Tensor]:
    """The first 20 test images of each class of MNIST and of Fashion-MNIST, class by class.

    Keys mnist_images, fashion_images: uint8 (200, 1, 28, 28); mnist_labels, fashion_labels: int64 (200,).
    """
    return load_file(FOLDER / "samples.safetensors")


def _sample(dataset: str, label: int, which: int) -> Image.Image:
    position = int((samples()[f"{dataset}_labels"] == label).nonzero()[which])
    return Image.fromarray(samples()[f"{dataset}_images"][position, 0].numpy())


def _picture(name: str) -> Image.Image:
    with Image.open(FOLDER / name) as image:
        return image.convert("RGB")


def _noise() -> Image.Image:
    """Uniform greys in blocks of 10 pixels: finer grains would average to plain grey at 28x28."""
    blocks = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    return Image.fromarray(blocks).resize((280, 280), Image.Resampling.NEAREST)


def _blank_page() -> Image.Image:
    return Image.new("L", (280, 280), 255)


def _file(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


# The second test image of each digit: some of the first are oddly written, and rightly refused.
EXAMPLES: dict[str, Callable[[], Image.Image]] = {
    **{name: partial(_sample, "mnist", label, 1) for label, name in enumerate(DIGITS)},
    **{name: partial(_sample, "fashion", label, 0) for label, name in enumerate(CLOTHES)},
    "Chicken": partial(_picture, "chicken.png"),
    "Falafel": partial(_picture, "falafel.png"),
    **DRAWINGS,
    "Random noise": _noise,
    "Blank page": _blank_page,
}

OF_DATASET = {"mnist": DIGITS, "fashion-mnist": CLOTHES}  # the examples that show what a data set's nets know
OWN_SHOWN = 20  # examples of the user's own images


def own_examples(dataset: str, folder: Path) -> dict[str, Callable[[], Image.Image]]:
    """The examples that show what a world's nets know, by name; `folder` is the world's."""
    if dataset in OF_DATASET:
        return {name: EXAMPLES[name] for name in OF_DATASET[dataset]}
    files = sorted((folder / "examples").glob("*.png"))
    return {file.stem.partition(" ")[2]: partial(_file, file) for file in files}


def write_examples(folder: Path, classes: tuple[str, ...], images: Tensor, labels: Tensor) -> None:
    """Write the first image of each class, of (N, channels, size, size) uint8, as `examples/NUMBER CLASS.png`."""
    (folder / "examples").mkdir(exist_ok=True)
    for label, name in enumerate(classes[:OWN_SHOWN]):
        levels = images[labels == label][0].permute(1, 2, 0).numpy()
        picture = Image.fromarray(levels.squeeze(2) if levels.shape[2] == 1 else levels)
        picture.save(folder / "examples" / f"{label:02d} {name}.png")

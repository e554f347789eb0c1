"""Small worlds made in seconds from the shipped samples: nets of a few thousand weights, trained for a moment."""

import os
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from robust.data import datasets, image_sets
from robust.data.examples import samples
from robust.evaluation import calibration
from robust.models import training
from robust.models.config import Config
from robust.models.store import DEFAULT_WORLD, SCORES, read_scores, write_manifest, write_scores

TINY = {"lenet_width": 2, "verifier_width": 2, "latent": 4, "wgan_width": 2, "inverter_width": 2, "augment": False}
STEPS = {"lenet_steps": 40, "verifier_steps": 10, "vae_steps": 100, "wgan_steps": 2, "inverter_steps": 2}


def few_samples(name: str, train: bool) -> tuple:
    """In place of `datasets.load`: the 200 shipped images of a known data set, every fifth of them for testing."""
    key, step = {"mnist": "mnist", "fashion-mnist": "fashion"}[name], 1 if train else 5
    return samples()[f"{key}_images"][::step].contiguous(), samples()[f"{key}_labels"][::step].contiguous()


def make_fashion(folder: Path) -> Path:
    """A tiny Fashion-MNIST world, trained and calibrated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", few_samples)
        patch.setattr(image_sets, "PATTERN_COUNT", 20)
        training.train("fashion-mnist", folder, Config(**TINY, **STEPS))
        calibration.calibrate(folder)
    scores = read_scores(folder / SCORES)
    scores["mnist"]["vae_loss"] /= 2  # as a longer training would have it
    write_scores(folder, scores)
    write_manifest(folder, {})
    return folder


def make_worlds(weights: Path) -> Path:
    """A folder with MNIST as shipped, a tiny Fashion-MNIST, and a damaged world."""
    weights.mkdir()
    os.symlink(DEFAULT_WORLD, weights / "mnist")
    make_fashion(weights / "fashion-mnist")
    (weights / "scratched").mkdir()
    (weights / "scratched" / "manifest.json").write_text('{"dataset": "scratched"')
    return weights


def draw_folder(folder: Path, count: int = 250, colour: bool = True) -> Path:
    """Pictures of the user's own: discs and squares, `count` of each, of 40x36 pixels."""
    for name in ("disc", "square"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            picture = Image.new("RGB", (40, 36), "white")
            ink = (200, i % 200, 60) if colour else (i % 200,) * 3
            shape = ImageDraw.Draw(picture)
            (shape.ellipse if name == "disc" else shape.rectangle)((8, 6, 24 + i % 8, 28), fill=ink)
            picture.save(folder / name / f"{i:03d}.png")
    return folder

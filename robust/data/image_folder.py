"""The user's own images as a data set: one folder for each class, in torchvision's `ImageFolder` layout."""

import random
from pathlib import Path

import torch
from PIL import Image
from torchvision import datasets
from torchvision.transforms.functional import pil_to_tensor
from tqdm import tqdm

from robust.data.datasets import DATASETS, Dataset, UnusableDataset
from robust.data.image_sets import TITLES
from robust.data.subjects import Subject
from robust.inputs.decode import UnusableImage, open_image
from robust.inputs.prepare import whole

TEST_SHARE = 0.2  # of each class, where there is no test/
MIN_TRAIN, MIN_TEST = 200, 100  # a threshold that refuses 5 % rests on five of 100 test images
COLOUR = 8  # of 255: grey pictures saved as JPEG may differ by less between their channels
LISTED = 10  # unreadable files named in the message


def read_image_folder(path: Path, size: int = 28) -> Dataset:
    """Read `path`/CLASS/... or `path`/train/CLASS/... and `path`/test/CLASS/...; images are cropped to squares and scaled.

    Without train/ and test/ a fifth of each class, always the same, is the test set. The images are grey
    (N, 1, size, size) when no picture has colour, else (N, 3, size, size). The data set's name is the folder's.
    Raises UnusableDataset when this is no such folder, holds too few images or unreadable ones, or has a name in use.
    """
    path = path.resolve()
    if path.name in TITLES:
        raise UnusableDataset(f"{path.name} is the name of a data set that Robust knows: rename the folder.")
    train, test, classes = _files(path)
    _check_counts(path, classes, train, test)
    pictures = _read(train + test, size)
    channels = 3 if any(map(_has_colour, pictures)) else 1
    images = torch.stack([pil_to_tensor(picture.convert({1: "L", 3: "RGB"}[channels])) for picture in pictures])
    labels = torch.tensor([label for _, label in train + test])
    parts = [(images[part].contiguous(), labels[part]) for part in (slice(len(train)), slice(len(train), None))]
    return Dataset(path.name, Subject(classes), *parts)


Files = list[tuple[str, int]]  # path and label


def _files(path: Path) -> tuple[Files, Files, tuple[str, ...]]:
    """Training files, test files, and the names of the classes."""
    if not path.is_dir():
        raise UnusableDataset(f"There is no folder {path}. A known data set is one of: {', '.join(DATASETS)}.")
    halves = [path / "train", path / "test"]
    if all(half.is_dir() for half in halves):
        train, test = map(_listed, halves)
        if train.classes != test.classes:
            odd = sorted(set(train.classes) ^ set(test.classes))
            raise UnusableDataset(f"{path}: train and test must hold the same classes. Only in one: {', '.join(odd)}.")
        return train.samples, test.samples, tuple(train.classes)
    for half in halves:
        if half.is_dir() and any(inside.is_dir() for inside in half.iterdir()):
            raise UnusableDataset(f"{path} has {half.name}/ alone: add the other of train/ and test/, or remove it.")
    found = _listed(path)
    train, test = _split(found.samples)
    return train, test, tuple(found.classes)


def _listed(path: Path) -> datasets.ImageFolder:
    try:
        return datasets.ImageFolder(path, allow_empty=True)
    except FileNotFoundError:  # no class folder at all
        raise UnusableDataset(f"{path} is empty: put one folder of images for each class in it.") from None


def _split(files: Files) -> tuple[Files, Files]:
    """A fixed share of every class for the test set."""
    train, test = [], []
    for label in sorted({label for _, label in files}):
        own = sorted(file for file in files if file[1] == label)
        random.Random(0).shuffle(own)
        count = max(1, round(TEST_SHARE * len(own)))
        test += own[:count]
        train += own[count:]
    return sorted(train), sorted(test)


def _check_counts(path: Path, classes: tuple[str, ...], train: Files, test: Files) -> None:
    if len(classes) < 2:
        raise UnusableDataset(f"{path} has one class, {classes[0]}: a classifier needs at least two class folders.")
    for words, files, needed in (("train on", train, MIN_TRAIN), ("test with", test, MIN_TEST)):
        missing = [name for label, name in enumerate(classes) if label not in {label for _, label in files}]
        if missing:
            raise UnusableDataset(f"{path} has no image to {words} in: {', '.join(missing)}.")
        if len(files) < needed:
            raise UnusableDataset(f"{path} has {len(files)} images to {words}: at least {needed} are needed.")


def _read(files: Files, size: int) -> list[Image.Image]:
    pictures, unreadable = [], []
    for file, _ in tqdm(files, desc="read images"):
        try:
            pictures.append(whole(open_image(file), size))
        except UnusableImage:
            unreadable.append(file)
    if unreadable:
        more = f"\n  and {len(unreadable) - LISTED} more" if len(unreadable) > LISTED else ""
        names = "".join(f"\n  {file}" for file in unreadable[:LISTED])
        raise UnusableDataset(f"Images that cannot be read; mend or remove them:{names}{more}")
    return pictures


def _has_colour(picture: Image.Image) -> bool:
    if picture.mode == "L":
        return False
    channels = pil_to_tensor(picture)
    return int((channels.amax(0) - channels.amin(0)).max()) > COLOUR

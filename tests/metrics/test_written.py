"""Digits and characters made stroke by stroke: what the nets learn of other hands and of what is no digit."""

import torch

from robust import Guard
from robust.data import written


def drawn(labels: torch.Tensor, wobble=written.WOBBLE) -> torch.Tensor:
    randomness = torch.Generator().manual_seed(3)
    return written.draw(*written.digits(labels, randomness, wobble), randomness)


def test_written_digits_are_what_they_should_be():
    labels = torch.arange(10).repeat_interleave(60)
    images = drawn(labels)
    assert images.shape == (600, 1, 28, 28) and images.min() >= 0 and images.max() <= 1
    read = Guard.load().probabilities(images).argmax(1)
    right = [(read == labels)[labels == digit].float().mean() for digit in range(10)]
    assert min(right) > 0.85, right


def test_no_two_written_digits_are_the_same_and_the_seed_tells_which():
    ones = torch.ones(20, dtype=torch.int64)
    assert len({image.numpy().tobytes() for image in drawn(ones)}) == 20
    assert (drawn(ones) == drawn(ones)).all()


def test_every_stroke_is_unbroken_however_thin_the_pen():
    """A pen's path has no gap: ink that a thin pen leaves of a straight 1 is on every row between its ends."""
    paths = torch.zeros(1, written.STROKES, written.POINTS, 2)
    paths[0, 0, :, 1] = torch.linspace(0, 1, written.POINTS)
    exists = torch.arange(written.STROKES)[None] < 1
    for seed in range(20):
        image = written.draw(paths, exists, torch.Generator().manual_seed(seed))[0, 0]
        rows = image.amax(1)
        ink = (rows > 0.5).nonzero()[:, 0]
        assert rows[ink[0] : ink[-1] + 1].min() > 0.65 and len(ink) >= 18


def test_characters_and_unsteady_digits_are_refused():
    guard = Guard.load()
    randomness = torch.Generator().manual_seed(4)
    characters = written.draw(*written.characters(300, randomness), randomness)
    labels = torch.tensor([2, 3, 4, 5, 6, 8, 9]).repeat(40)
    for images, most in ((characters, 0.1), (drawn(labels, written.ILLEGIBLE), 0.25)):
        predictions = guard.probabilities(images).argmax(1)
        scores = guard.metrics["surprise"].scores(images, predictions)
        assert (scores <= guard.thresholds["surprise"]).mean() < most

"""Streams: in order, the same as one at a time, lazy, and in flat memory."""

import subprocess
import sys
import weakref
from itertools import cycle, islice

import numpy as np
import pytest
import torch
from browser import REPOSITORY

from robust import Guard, Report, Unusable
from robust.data.examples import EXAMPLES, samples

DIGITS = samples()["mnist_images"].float() / 255


@pytest.fixture(scope="module")
def fast():
    """A guard with the VAE loss alone."""
    whole = Guard.load()
    return Guard(whole.classifier, [whole.metrics["vae_loss"]], whole.reference, rule="vae_loss")


def digit(place: int) -> np.ndarray:
    return samples()["mnist_images"][place, 0].numpy()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_the_same_as_one_at_a_time_and_in_order(batch_size):
    guard = Guard.load()
    pictures = [digit(0), EXAMPLES["Chicken"](), digit(60), digit(199), EXAMPLES["Sandal"](), digit(111)]
    verdicts = list(guard.stream(pictures, batch_size))
    for verdict, picture in zip(verdicts, pictures, strict=True):
        alone = guard.inspect(picture)
        assert (verdict.prediction, verdict.reliable) == (alone.prediction, alone.reliable)
        assert verdict.vae_loss == pytest.approx(alone.vae_loss, rel=1e-5)
        assert verdict.delta_z == pytest.approx(alone.delta_z, abs=1e-4)


def test_prepared_images_are_judged_as_they_are(fast):
    verdicts = list(fast.stream(DIGITS[:70], batch_size=32, prepared=True))
    expected = fast.inspect_prepared(DIGITS[:70])
    assert [v.vae_loss for v in verdicts] == pytest.approx([v.vae_loss for v in expected], rel=1e-5)


def test_an_unusable_image_keeps_its_place_and_the_stream_goes_on(fast, tmp_path):
    (tmp_path / "notes.png").write_bytes(b"hello")
    pictures = [digit(0), tmp_path / "notes.png", EXAMPLES["Blank page"](), tmp_path / "gone.png", digit(5)]
    verdicts = list(fast.stream(pictures, batch_size=2))
    assert [type(verdict) for verdict in verdicts] == [Report, Unusable, Unusable, Unusable, Report]
    assert [word in verdicts[i].reason for i, word in [(1, "not a picture"), (2, "empty"), (3, "no picture file")]]
    assert not any(verdict.reliable for verdict in verdicts[1:4])


def test_reads_no_further_ahead_than_one_batch_of_an_endless_stream(fast):
    asked = []

    def camera():
        for place in cycle(range(200)):
            asked.append(place)
            yield DIGITS[place]

    verdicts = fast.stream(camera(), batch_size=8, prepared=True)
    assert asked == []
    for taken, verdict in enumerate(islice(verdicts, 20), start=1):
        assert isinstance(verdict, Report)
        assert len(asked) == -(-taken // 8) * 8


def test_holds_no_more_than_two_batches_of_images(fast):
    alive, most = weakref.WeakSet(), 0

    def camera():
        for place in range(1000):
            image = DIGITS[place % 200].clone()
            alive.add(image)
            yield image

    for _ in fast.stream(camera(), batch_size=16, prepared=True):
        most = max(most, len(alive))
    assert 16 <= most <= 32


def test_memory_is_flat():
    """20,000 images are 63 MB of pixels; the process may grow by a quarter of that after the first 1,000."""
    program = """
import resource
from itertools import cycle, islice
from robust import Guard
from robust.data.examples import samples
from robust.metrics import VAELoss
whole = Guard.load()
guard = Guard(whole.classifier, [whole.metrics["vae_loss"]], whole.reference, rule="vae_loss")
images = cycle(samples()["mnist_images"])
def peak_mb(count):
    for _ in guard.stream(((image.float() / 255).clone() for image in islice(images, count)), 64, prepared=True):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
first = peak_mb(1000)
print(peak_mb(20_000) - first)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert float(run.stdout) < 16


def test_a_batch_size_of_zero_is_refused_at_once(fast):
    with pytest.raises(ValueError, match="at least 1"):
        fast.stream([], batch_size=0)


def test_an_empty_stream_is_no_error(fast):
    assert list(fast.stream(torch.empty(0, 1, 28, 28), prepared=True)) == []

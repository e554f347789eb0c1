"""Training on a handful of digits: the stages, and what resuming must not change."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from robust.data import datasets
from robust.data.augment import augment
from robust.data.examples import samples
from robust.models import training
from robust.models.config import Config
from robust.models.store import read_contents, read_manifest

SHORT = Config(lenet_steps=6, verifier_steps=10, orienter_steps=10, vae_steps=6, wgan_steps=4, inverter_steps=6)


@pytest.fixture
def few_digits(monkeypatch):
    """The shipped sample in place of the 60,000."""
    monkeypatch.setattr(datasets, "load", lambda name, train: (samples()["mnist_images"], samples()["mnist_labels"]))


def test_one_call_trains_a_world_that_loads(few_digits, tmp_path):
    training.train("mnist", tmp_path, SHORT)
    manifest = read_manifest(tmp_path)
    world = read_contents(tmp_path, manifest, ("generator", "inverter"))
    assert set(manifest["training_seconds"]) == set(training.STAGES)
    images = world.nets["generator"](world.nets["inverter"](datasets.to_float(samples()["mnist_images"][:5])))
    assert images.shape == (5, 1, 28, 28)


def test_only_digits_get_a_net_that_knows_which_way_up():
    assert "orienter" not in training.stages_of(replace(SHORT, augment=False))


@pytest.mark.parametrize(
    ("stage", "net", "part"),
    [
        ("lenet", "lenet", "as_others_draw"),
        ("orienter", "orienter", "hard_digits"),
        ("wgan", "generator", "gradient_penalty"),
    ],
)
def test_an_interrupted_run_ends_with_the_same_weights(few_digits, tmp_path, monkeypatch, stage, net, part):
    training.train("mnist", tmp_path / "whole", SHORT, (stage,))
    original, calls = getattr(training, part), []

    def interrupted(*arguments):
        calls.append(part)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(training, part, interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train("mnist", tmp_path / "resumed", SHORT, (stage,))
    training.train("mnist", tmp_path / "resumed", SHORT, (stage,))

    whole = load_file(tmp_path / "whole" / f"{net}.safetensors")
    resumed = load_file(tmp_path / "resumed" / f"{net}.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_another_configuration_is_not_used(few_digits, tmp_path):
    training.train("mnist", tmp_path, SHORT, ("vae",))
    before = load_file(tmp_path / "vae.safetensors")
    training.train("mnist", tmp_path, replace(SHORT, seed=1), ("vae",))
    after = load_file(tmp_path / "vae.safetensors")
    assert not torch.equal(before["decoder.0.weight"], after["decoder.0.weight"])


def test_every_pass_shows_every_digit_once():
    seen = torch.cat([training.batch_indices(200, 50, seed=0, step=step) for step in range(4)])
    assert sorted(seen.tolist()) == list(range(200))


def test_augmented_digits_stay_images():
    images = datasets.to_float(samples()["mnist_images"])
    changed = augment(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert changed.min() >= 0 and changed.max() <= 1
    assert torch.equal(changed, augment(images, torch.Generator().manual_seed(0)))
    assert not torch.equal(changed, images)

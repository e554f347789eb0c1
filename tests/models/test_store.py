"""A guard's folder: what is damaged is said in one sentence, and nothing of it is believed."""

import json
import random
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from robust import DamagedWorld, Guard
from robust.models import store
from robust.models.store import DEFAULT_WORLD, FORMAT, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    """A copy of the default guard, without what training left."""
    shutil.copytree(DEFAULT_WORLD, tmp_path / "mnist", ignore=shutil.ignore_patterns("history", "*.md", "benchmark*"))
    return tmp_path / "mnist"


def test_no_flipped_bit_of_a_manifest_is_believed(folder):
    path, randomness = folder / "manifest.json", random.Random(0)
    whole = path.read_bytes()
    for _ in range(300):
        place = randomness.randrange(8 * len(whole))
        spoilt = bytearray(whole)
        spoilt[place // 8] ^= 1 << place % 8
        path.write_bytes(bytes(spoilt))
        try:
            assert read_manifest(folder) == json.loads(whole)  # white space may flip
        except DamagedWorld:
            pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": FORMAT + 1}, "newer version"),
        ({"format": "3"}, "damaged"),
        ({"config": {"vae_latent": 10**9}}, "config.vae_latent"),
        ({"config": {"wgan_width": 10**6}}, "config.wgan_width"),
        ({"config": {"size": 28, "brightness": 3}}, "config"),
        ({"subject": {"classes": "0123456789"}}, "subject.classes"),
        ({"classifier": {"net": "pickle"}}, "classifier"),
        ({"metrics": ["vae_loss"]}, "metrics.0"),
        ({"sha256": {"vae.safetensors": 7}}, "sha256"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_refused(folder, change, words):
    write_manifest(folder, change)  # with its checksum
    if "sha256" in change:
        manifest = json.loads((folder / "manifest.json").read_text()) | change
        (folder / "manifest.json").write_text(json.dumps(manifest | {"checksum": store._checksum(manifest)}))
    with pytest.raises(DamagedWorld, match=words) as error:
        read_manifest(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": 3}', "[" * 100_000, '{"format": NaN}', "\x00\xff"])
def test_what_is_no_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DamagedWorld, match="is damaged"):
        Guard.load(folder)


@pytest.mark.parametrize("name", ["vae", "scores"])
def test_numbers_that_are_none_are_refused(folder, name):
    values = load_file(folder / f"{name}.safetensors")
    first = next(key for key, value in values.items() if value.is_floating_point())
    values[first].view(-1)[0] = torch.nan
    save_file(values, folder / f"{name}.safetensors")
    write_manifest(folder, {})
    with pytest.raises(DamagedWorld, match="not numbers"):
        Guard.load(folder)


def test_nets_of_another_width_are_refused(folder):
    write_manifest(folder, {"config": read_manifest(folder)["config"] | {"wgan_width": 8}})
    with pytest.raises(DamagedWorld, match="another net than manifest.json describes"):
        Guard.load(folder)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_scores_that_meant_something_else_are_not_believed(folder, version):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    since = ("checksum", "reader", "classifier", "metrics", "thresholds", "rule", "subject") if version < 3 else ()
    old = {key: value for key, value in manifest.items() if key not in since} | {"format": version}
    path.write_text(json.dumps(old | ({"checksum": store._checksum(old)} if version == 3 else {})))
    with pytest.raises(DamagedWorld, match="older version of Robust, which measured evidence otherwise: make it again"):
        Guard.load(folder)


def test_a_guard_of_format_3_without_evidence_loads_as_it_is(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    surprise = {"kind": "surprise", "options": {"of": ["vae_loss", "energy"]}}
    manifest = manifest | {"format": 3, "metrics": [*manifest["metrics"][:2], surprise]}
    path.write_text(json.dumps(manifest | {"checksum": store._checksum(manifest)}))
    assert list(Guard.load(folder).metrics) == ["delta_z", "vae_loss", "surprise"]


def test_a_world_is_saved_and_loaded_like_any_guard(folder, tmp_path):
    guard = Guard.load(folder)
    guard.with_thresholds({"vae_loss": 99.0}, "vae_loss").save(tmp_path / "stricter")
    back = Guard.load(tmp_path / "stricter")
    assert (back.thresholds["vae_loss"], back.rule.decides, back.class_names) == (99.0, "vae_loss", guard.class_names)
    assert back.scores.keys() == guard.scores.keys()

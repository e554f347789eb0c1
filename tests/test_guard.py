"""The guard as an engineer uses it, on real digits and real nonsense."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from robust import DamagedWorld, EmptyImage, Guard, NotReliableClassification
from robust.data.augment import augment
from robust.data.examples import EXAMPLES, samples
from robust.models.store import DEFAULT_WORLD


@pytest.fixture(scope="module")
def guard():
    return Guard.load()


def digit(label: int, which: int = 0) -> np.ndarray:
    return samples()["mnist_images"][samples()["mnist_labels"] == label][which, 0].numpy()


def test_reads_and_accepts_good_digits(guard):
    reports = guard.inspect_prepared(samples()["mnist_images"].float() / 255)
    right = [report.prediction == label for report, label in zip(reports, samples()["mnist_labels"])]
    assert np.mean(right) >= 0.98
    assert np.mean([report.reliable for report in reports]) >= 0.85


def test_the_digits_of_the_gallery_are_accepted(guard):
    for label in range(10):
        assert guard.classify(EXAMPLES[f"Digit {label}"]()) == label


@pytest.mark.parametrize("name", ["Chicken", "Falafel"])
def test_refuses_nonsense_and_says_what_the_net_claimed(guard, name):
    with pytest.raises(NotReliableClassification) as refusal:
        guard.classify(EXAMPLES[name]())
    report = refusal.value.report
    assert refusal.value.prediction == report.prediction
    assert not report.verdicts["vae_loss"].reliable
    assert not report.verdicts["delta_z"].reliable
    assert "Surprise refuses, and so do δz and VAE loss" in str(refusal.value)


@pytest.mark.parametrize("name", ["Chicken", "Falafel"])
@pytest.mark.parametrize(("side", "left", "top"), [(60, 5, 8), (120, 180, 30), (240, 20, 40)])
def test_refuses_nonsense_of_any_size_anywhere(guard, name, side, left, top):
    page = Image.new("RGB", (320, 300), "white")
    page.paste(EXAMPLES[name]().resize((side, side)), (left, top))
    report = guard.inspect(page)
    assert not report.verdicts["vae_loss"].reliable
    assert not report.verdicts["delta_z"].reliable


@pytest.mark.parametrize("name", ["Chicken", "Falafel", "Painted chicken", "Painted falafels"])
def test_a_half_of_a_thing_is_refused_its_body_is_no_shadow(guard, name):
    picture = EXAMPLES[name]().convert("RGB")
    width, height = picture.size
    across, down = width // 2, height // 2
    for box in ((0, 0, width, down), (0, down, width, height), (0, 0, across, height), (across, 0, width, height)):
        for half in (picture.crop(box), ImageOps.mirror(picture.crop(box).reduce(2))):
            report = guard.inspect(half)
            assert not any(verdict.reliable for verdict in report.verdicts.values()), (name, box)


def test_same_scores_from_array_tensor_picture_and_file(guard, tmp_path):
    array = digit(3)
    Image.fromarray(array).save(tmp_path / "three.png")
    sources = [
        array,
        torch.from_numpy(array)[None],
        torch.from_numpy(array) / 255,
        Image.fromarray(array),
        tmp_path / "three.png",
    ]
    reports = [guard.inspect(source) for source in sources]
    assert {report.prediction for report in reports} == {3}
    assert np.ptp([report.vae_loss for report in reports]) < 1e-3
    assert np.ptp([report.delta_z for report in reports]) < 1e-4


def test_batches_score_like_single_images(guard):
    images = samples()["mnist_images"][::20].float() / 255
    together = guard.inspect_prepared(images)
    for image, report in zip(images, together):
        alone = guard.inspect_prepared(image[None])[0]
        assert alone.vae_loss == pytest.approx(report.vae_loss, rel=1e-5)
        assert alone.delta_z == pytest.approx(report.delta_z, abs=1e-4)


def test_default_thresholds_refuse_five_per_cent_of_the_test_set(guard):
    for name, metric in guard.metrics.items():
        scores, threshold = guard.reference[name], guard.thresholds[name]
        share = np.mean(scores < threshold if metric.refuses == "low" else scores > threshold)
        assert len(scores) == 10_000
        assert share == pytest.approx(0.05, abs=1e-4)


def test_thresholds_and_rule_are_the_callers(guard):
    image = digit(7)
    loss = guard.inspect(image).vae_loss
    assert Guard.load(thresholds={"vae_loss": loss + 1}, rule="vae_loss").classify(image) == 7
    with pytest.raises(NotReliableClassification):
        Guard.load(thresholds={"vae_loss": loss - 1}, rule="vae_loss").classify(image)
    with pytest.raises(ValueError, match="no metric named"):
        Guard.load(thresholds={"loss": 1.0})
    with pytest.raises(ValueError, match="no rule named"):
        Guard.load(rule="sometimes")


def test_a_blank_page_is_not_classified(guard):
    with pytest.raises(EmptyImage):
        guard.inspect(EXAMPLES["Blank page"]())


def copy_of_weights(folder):
    for file in DEFAULT_WORLD.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_damaged_or_missing_weights_are_named(tmp_path):
    with pytest.raises(DamagedWorld, match="no trained nets"):
        Guard.load(tmp_path / "nowhere")
    folder = copy_of_weights(tmp_path)
    damaged = bytearray((folder / "vae.safetensors").read_bytes())
    damaged[-1] ^= 1
    (folder / "vae.safetensors").write_bytes(damaged)
    with pytest.raises(DamagedWorld, match="vae.safetensors is damaged"):
        Guard.load(folder)
    (folder / "vae.safetensors").unlink()
    with pytest.raises(DamagedWorld, match="vae.safetensors is missing"):
        Guard.load(folder)


def test_the_report_is_valid_json(guard):
    row = json.loads(json.dumps(guard.inspect(digit(5)).as_json(), allow_nan=False))
    assert list(row) == [
        "prediction", "class", "probability", "delta_z", "vae_loss", "surprise",
        "delta_z_reliable", "vae_loss_reliable", "surprise_reliable", "reliable",
    ]  # fmt: skip


def test_augmented_digits_stay_readable(guard):
    images = augment(samples()["mnist_images"].float() / 255, torch.Generator().manual_seed(0))
    right = guard.probabilities(images).argmax(1) == samples()["mnist_labels"]
    assert right.float().mean() > 0.95


def test_the_library_does_without_streamlit():
    command = "import robust, robust.cli, robust.evaluation.calibration, robust.models.training, sys; sys.exit('streamlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=Path(__file__).parent.parent).returncode == 0


def test_judging_a_picture_imports_nothing_that_it_does_not_need():
    command = (
        "import sys; from robust import DriftWatch, Guard; from robust.data.examples import EXAMPLES;"
        "Guard.load().inspect(EXAMPLES['Digit 4']());"
        "heavy = {'torchvision', 'torch._dynamo', 'scipy.stats', 'streamlit', 'robust.models.training'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", command], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr

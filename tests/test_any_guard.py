"""Every command on a guard of one's own, as it is on a shipped one."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from robust import Guard
from robust.cli import main
from robust.data import datasets, image_sets
from robust.data.examples import samples
from robust.evaluation import detectors, figures
from robust.serving.source import named_object

PROJECT = """
import torch
from torch import nn
from robust.data.examples import samples

torch.manual_seed(0)
classifier = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)).eval()
images, labels = samples()["fashion_images"].float() / 255, samples()["fashion_labels"]
optimizer = torch.optim.Adam(classifier.parameters(), 1e-3)
for _ in range(40):
    optimizer.zero_grad()
    nn.functional.cross_entropy(classifier(images), labels).backward()
    optimizer.step()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a classifier's module and the guard of it, `mine`."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "clothes_at_home.py").write_text(PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        clothes = samples()["fashion_images"]
        classifier = named_object("clothes_at_home:classifier")
        guard = Guard.fit(classifier, clothes.roll(1, 3), clothes, metrics=["vae_loss", "surprise"], steps=20)
        guard.save("mine")
    return folder


@pytest.fixture
def run(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))

    def run(*command: str):
        options = ("--guard", "mine", "--classifier", "clothes_at_home:classifier")
        return CliRunner().invoke(main, [*command, *options])

    return run


def few(name: str, train: bool):
    key = {"mnist": "mnist", "fashion-mnist": "fashion"}[name]
    return samples()[f"{key}_images"][train::2], samples()[f"{key}_labels"][train::2]


def test_report_shows_its_own_metrics_and_writes_a_card(run, project):
    shown = run("report").output
    assert "vae_loss above its 95th percentile" in shown and "any of the two at 5 %" in shown
    assert "δz" not in shown and "LeNet" not in shown
    assert run("report", "--card").exit_code == 0
    card = (project / "mine" / "README.md").read_text()
    assert "classifier=your_classifier" in card and "surprise above its 95th percentile" in card


def test_calibrate_takes_a_folder_of_pictures(run, project):
    (project / "good").mkdir()
    for place, image in enumerate(samples()["fashion_images"][:120]):
        Image.fromarray(image[0].numpy() // 2).save(project / "good" / f"{place:03d}.png")
    before = json.loads((project / "mine" / "manifest.json").read_text())["sha256"]
    result = run("calibrate", "--dataset", "good")
    assert result.exit_code == 0, result.output
    after = json.loads((project / "mine" / "manifest.json").read_text())["sha256"]
    assert before["vae.safetensors"] == after["vae.safetensors"]
    assert before["scores.safetensors"] != after["scores.safetensors"]
    assert "120 images" in result.output


def test_benchmarks_measure_what_it_has(run, monkeypatch):
    monkeypatch.setattr(datasets, "load", few)
    monkeypatch.setattr(image_sets, "PATTERN_COUNT", 20)
    monkeypatch.setattr(figures, "RESAMPLES", 5)
    monkeypatch.setattr(detectors, "NEAR", ("two-digits", "kmnist"))
    monkeypatch.setattr(detectors, "ALONE", 1)
    result = run("benchmark", "detectors", "--dataset", "fashion-mnist", "--images", "20", "--slow-images", "20")
    assert result.exit_code == 0, result.output
    assert "VAE loss" in result.output and "KNN" in result.output and "δz" not in result.output


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("calibrate",), "Good pictures are needed"),
        (("calibrate", "--dataset", "nowhere"), "nowhere"),
        (("benchmark", "search", "--dataset", "mnist"), "no metric named delta_z"),
        (("benchmark", "detectors"), "Training and test images are needed"),
        (("benchmark", "batch"), "no metric named delta_z"),
        (("benchmark", "inputs"), "takes pictures as they are"),
    ],
)
def test_what_it_lacks_is_said_in_a_sentence(run, command, words):
    result = run(*command)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())

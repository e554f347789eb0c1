"""The page *In production*: the stream in a real browser, and the recipe as an engineer would run it."""

import os
import shlex
import subprocess
import sys
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from browser import REPOSITORY
from PIL import Image
from playwright.sync_api import Page, expect

from pages.components.session.live_stream import LiveStream, pools
from pages.components.views import recipe
from robust import Guard
from robust.data.augment import as_others_draw
from robust.data.examples import samples
from robust.serving.drift import DRIFT, STEADY
from robust.serving.source import named_object


@pytest.fixture
def live(page: Page, address) -> Page:
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    page.goto(f"{address}/in_production")
    page.locator("[data-count=seen] b").wait_for()
    return page


def count(live: Page, name: str) -> int:
    return int(live.locator(f"[data-count={name}] b").inner_text().replace(",", ""))


def wait_until(live: Page, condition) -> None:
    for _ in range(600):
        if condition():
            return
        live.wait_for_timeout(100)
    pytest.fail("It did not happen within a minute.")


def test_watch_mix_in_clothes_pause_and_reset(live):
    first = count(live, "seen")
    wait_until(live, lambda: count(live, "seen") > first)
    assert live.locator("[data-count=fnr] b").inner_text() == "–"

    slider = live.locator(".st-key-live_share input")
    slider.focus()
    slider.press("End")
    before = count(live, "refused")
    wait_until(live, lambda: count(live, "refused") > before + 5)
    expect(live.locator("[data-count=fnr] b")).to_contain_text("%")
    expect(live.locator(".strip .right").first).to_contain_text("✓ rightly")

    live.get_by_text("Pause", exact=True).click()
    live.wait_for_timeout(2000)
    held = count(live, "seen")
    live.wait_for_timeout(2000)
    assert count(live, "seen") == held
    assert count(live, "accepted") + count(live, "refused") == held

    live.get_by_role("button", name="Reset").click()
    expect(live.locator("[data-count=seen] b")).to_have_text("0")
    live.get_by_text("Pause", exact=True).click()
    wait_until(live, lambda: count(live, "seen") > 0)


def test_a_phone_can_watch(chromium, address):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    phone = context.new_page()
    phone.goto(f"{address}/in_production")
    phone.locator("[data-count=seen] b").wait_for(timeout=60_000)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.fixture
def stream() -> LiveStream:
    """The page's stream under the VAE loss alone, which is quick."""
    whole = Guard.load()
    guard = Guard(whole.classifier, [whole.metrics["vae_loss"]], whole.reference, rule="vae_loss")
    return LiveStream(guard, pools("mnist"), known={})


def test_the_counts_are_numpys(stream):
    stream.run(200, 0, "letters", seconds=60)
    images = samples()["mnist_images"].float() / 255
    refused = sum(not report.reliable for report in stream.guard.inspect_prepared(images))
    assert stream.false_positives == (refused, 200)  # each of the 200 digits came once
    assert stream.false_negatives == (0, 0)
    stream.run(100, 1, "noise", seconds=60)
    assert stream.false_positives == (refused, 200)
    assert stream.false_negatives == (0, 100)
    assert (stream.seen, stream.all_refused) == (300, refused + 100)
    assert stream.history[-1].refused == stream.history[-1].foreign == 1


def test_the_watch_is_silent_on_digits_and_alarms_on_each_kind(stream):
    for _ in range(30):
        stream.run(40, 0, "letters", seconds=60)
        assert stream.drift.state != DRIFT
    assert stream.drift.state == STEADY
    for kind in stream.kinds[1:]:
        stream.run(200, 0.5, kind, seconds=60)
        assert stream.drift.state == DRIFT
        stream.run(220, 0, kind, seconds=60)
        assert stream.drift.state == STEADY


def test_a_slow_computer_gets_fewer_images_not_a_longer_wait(stream):
    stream.run(1000, 0, "letters", seconds=0)
    assert stream.seen == 0
    stream.run(1000, 0, "letters", seconds=1e-6)
    assert stream.seen <= 8


# --- The recipe ----------------------------------------------------------------------------------------------------


@pytest.fixture
def camera(tmp_path, monkeypatch):
    """A working folder with pictures in camera/ and a photo: 120 digits, then 100 clothes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camera").mkdir()
    shuffled = samples()["mnist_images"][torch.randperm(200, generator=torch.Generator().manual_seed(0))[:120]]
    for number, image in enumerate([*shuffled, *samples()["fashion_images"][:100]]):
        Image.fromarray(image[0].numpy()).save(tmp_path / "camera" / f"{number:04}.png")
    Image.fromarray(np.asarray(samples()["fashion_images"][100, 0])).save(tmp_path / "photo.png")
    return tmp_path


@pytest.fixture
def my_guard(monkeypatch):
    """Guard.load("my_guard") is a guard with the VAE loss alone."""
    whole = Guard.load()
    guard = Guard(whole.classifier, [whole.metrics["vae_loss"]], whole.reference, rule="vae_loss")
    monkeypatch.setattr(Guard, "load", lambda name, classifier: guard)


@pytest.mark.usefixtures("camera", "my_guard")
def test_recipe_classify(capsys):
    exec(recipe.CLASSIFY, {"classifier": None})  # noqa: S102
    assert "not reliable: VAE loss refuses" in capsys.readouterr().out


@pytest.mark.usefixtures("camera", "my_guard")
def test_recipe_stream(capsys):
    exec(recipe.STREAM, {"classifier": None})  # noqa: S102
    lines = capsys.readouterr().out.splitlines()
    assert sum("not reliable: VAE loss refuses" in line for line in lines) >= 90
    assert sum(line.startswith("Drift since image 200: ") for line in lines) == 1


@pytest.mark.usefixtures("camera")
def test_recipe_fit(monkeypatch):
    monkeypatch.setattr(Guard, "fit", partial(Guard.fit, steps=20))
    digits, labels = samples()["mnist_images"].float() / 255, samples()["mnist_labels"]
    others = as_others_draw(digits, labels, torch.Generator().manual_seed(0))
    train_data = others[torch.arange(len(others)) % 4 != 0]  # every fourth is as it was, and in the test set
    names = {"classifier": Guard.load().classifier, "test_data": digits, "train_data": train_data}
    exec(recipe.FIT, names)  # noqa: S102
    assert 0 <= Guard.load("my_guard", classifier=names["classifier"]).inspect(digits[0]).prediction <= 9


PROJECT = """
from robust import Guard

lenet = Guard.load(metrics=["vae_loss"]).classifier


def classifier(images):  # every digit is one too many
    return lenet(images).roll(1, 1)
"""


def test_recipe_batch_is_answered_by_ones_own_classifier(camera, monkeypatch):
    (camera / "my_project.py").write_text(PROJECT)
    classifier = named_object("my_project:classifier")
    digits = samples()["mnist_images"].float() / 255
    Guard.fit(classifier, digits.roll(1, 3), digits, metrics=["vae_loss"], steps=3).save("my_guard")
    python, *arguments = shlex.split(recipe.BATCH.replace("\\\n", " "))  # as a shell joins the lines
    assert python == "python"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, *arguments], cwd=camera, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(camera / "scores.parquet").to_pylist()
    pictures = torch.stack([Guard.load().read(row["path"]) for row in rows[:120]])
    assert [row["prediction"] for row in rows[:120]] == classifier(pictures).argmax(1).tolist()

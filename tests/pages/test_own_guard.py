"""The app on a guard of one's own, as an engineer opens it: every page in a real browser."""

import torch
from browser import REPOSITORY, streamlit_app
from playwright.sync_api import Page, expect

from robust import Guard
from robust.data.examples import samples
from robust.serving.source import named_object

PROJECT = """
import torch
from torch import nn

torch.manual_seed(0)
classifier = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""


def test_every_page_opens_on_a_guard_of_ones_own(page: Page, tmp_path, monkeypatch):
    (tmp_path / "clothes_project.py").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    classifier = named_object("clothes_project:classifier")
    clothes = samples()["fashion_images"]
    Guard.fit(classifier, clothes.roll(1, 3), clothes, metrics=["vae_loss", "surprise"], steps=20).save("my_guard")
    options = ("--", "--guard", "my_guard", "--classifier", "clothes_project:classifier")
    with streamlit_app(REPOSITORY / "app.py", *options) as address:
        page.set_default_timeout(60_000)
        page.goto(f"{address}/?example=Test+image+1")
        stored = Guard.load("my_guard", classifier=classifier).contents.fingerprint["images"][:1].float() / 255
        with torch.inference_mode():
            answer = int(classifier(stored).argmax(1))
        expect(page.locator(".verdict[role=status] .digit")).to_have_text(str(answer), timeout=60_000)
        expect(page.locator(".verdict[role=status]")).to_contain_text("The classifier says")
        expect(page.locator(".why-card")).to_have_count(2)
        for path, words in [
            ("thresholds", "Your test set"),
            ("compare", "not been compared"),
            ("how_it_works", "has no δz"),
            ("in_production", "no pictures of its own"),
            ("talk", "The classifier says"),
        ]:
            page.goto(f"{address}/{path}")
            expect(page.locator(".stMain")).to_contain_text(words, timeout=60_000)
            expect(page.get_by_test_id("stException")).to_have_count(0)


def test_thresholds_of_a_guard_of_one_metric(page: Page, tmp_path, monkeypatch):
    """As `Guard.fit` makes it by default: Surprise alone."""
    (tmp_path / "clothes_project.py").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    clothes = samples()["fashion_images"]
    Guard.fit(named_object("clothes_project:classifier"), clothes.roll(1, 3), clothes).save("my_guard")
    options = ("--", "--guard", "my_guard", "--classifier", "clothes_project:classifier")
    with streamlit_app(REPOSITORY / "app.py", *options) as address:
        page.goto(f"{address}/thresholds?example=Digit+3")
        expect(page.locator(".stMain")).to_contain_text("All thresholds at once: the ROC curve", timeout=60_000)
        expect(page.locator(".stMain")).to_contain_text("Take it home", timeout=60_000)
        expect(page.locator(".stMain")).not_to_contain_text("Two metrics at once")
        expect(page.get_by_test_id("stException")).to_have_count(0)
        page.goto(f"{address}/?example=Digit+3")
        expect(page.locator(".why-card")).to_contain_text("Of the test images", timeout=60_000)
        expect(page.get_by_test_id("stException")).to_have_count(0)

"""While a line is dragged, every number on the page is the one that NumPy counts at the lines as they stand."""

import re

import numpy as np
import pytest
from browser import idle
from playwright.sync_api import Page, expect

from pages.components.widgets.live import in_hundred
from robust import Guard
from robust.data.image_sets import TITLES
from robust.decision.promise import fpr_interval, upper_fpr
from robust.decision.rule import ALL, ANY, Rule
from robust.decision.tradeoff import refusal_levels

GUARD = Guard.load()
SIDES = {name: metric.refuses for name, metric in GUARD.metrics.items()}
SHIPPED = 20  # of each class


@pytest.fixture
def visit(page: Page, visit):
    page.set_viewport_size({"width": 1366, "height": 2600})  # all of the page, so that the hand reaches everything
    return visit


def next_frames(page: Page) -> None:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def lines(page: Page, metrics=SIDES) -> dict[str, float]:
    handles = {name: page.locator(f".st-key-plot_{name}").get_by_role("slider") for name in metrics}
    return {name: float(handle.get_attribute("aria-valuenow")) for name, handle in handles.items()}


def text(page: Page, name: str) -> str:
    return page.locator(f"[data-live='{name}']").first.text_content()


def grab(page: Page, name: str) -> tuple[float, float]:
    box = page.locator(f".st-key-plot_{name} .line").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    return x, y


def assert_thresholds_page(page: Page, decides: str) -> None:
    """Cards, sentence, bound, curves and strips, against NumPy."""
    rule = Rule(lines(page), SIDES, decides)
    comparison = GUARD.scores["fashion-mnist"]
    good, other = rule.refused(GUARD.reference), rule.refused(comparison)
    for name, mask in {
        "good refused": good,
        "good accepted": ~good,
        "nonsense refused": other,
        "nonsense accepted": ~other,
    }.items():
        assert text(page, name) == f"{mask.sum():,}"
        assert text(page, f"{name} share") == f"{mask.mean():.2%}"
    assert text(page, "good refused of 100") == in_hundred(float(good.mean()))
    assert text(page, "nonsense accepted of 100") == in_hundred(float((~other).mean()))
    if decides in SIDES:
        assert text(page, "bound 0") == f"{upper_fpr(int(good.sum()), len(good)):.2%}"
    else:
        low, high = fpr_interval(int(good.sum()), len(good))
        assert [text(page, "bound 0"), text(page, "bound 1")] == [f"{low:.2%}", f"{high:.2%}"]
    for rule_shown, output in zip(
        [*SIDES, *([] if decides in SIDES else [decides])],
        page.locator(".st-key-roc output").all_text_contents(),
        strict=True,
    ):
        fpr, fnr = rule.deciding(rule_shown).rates(GUARD.reference, comparison)
        assert output == f"FPR {fpr:.2%} · {1 - fnr:.2%}"
    for key, name, wants in (("refused", "mnist", True), ("accepted", "fashion-mnist", False)):
        columns = GUARD.scores[name]
        places = np.concatenate([np.flatnonzero(columns["label"] == label)[:SHIPPED] for label in range(10)])
        shown = {column: values[places] for column, values in columns.items()}
        meant = np.flatnonzero(rule.refused(shown) == wants)
        strip = page.locator(f".st-key-strip_{key}")
        assert strip.locator("h3").text_content().endswith(f": {len(meant)} of {len(places)}")
        levels = refusal_levels(rule, GUARD.reference, shown)[meant]
        first = meant[np.argsort(levels if wants else -levels, kind="stable")][:12]
        buttons = strip.get_by_role("button").all()
        assert [int(button.get_attribute("data-place")) for button in buttons] == first.tolist()


@pytest.mark.parametrize("decides, moved", [("surprise", "surprise"), (ANY, "vae_loss"), (ALL, "delta_z")])
def test_all_numbers_of_thresholds_follow_the_hand(visit, decides, moved):
    page = visit(f"thresholds?rule={decides}&example=Sandal")
    x, y = grab(page, moved)
    for way in (25, 60, 110, -30):
        page.mouse.move(x + way, y)
        next_frames(page)
        assert_thresholds_page(page, decides)
    held, url = lines(page)[moved], page.url
    seen = page.locator(".confusion").inner_text()
    page.mouse.up()
    expect(page).to_have_url(re.compile(f"{moved}={held}"))
    assert page.url != url
    idle(page)
    assert page.locator(".confusion").inner_text() == seen, "the numbers jumped after the release"
    assert_thresholds_page(page, decides)


def test_the_scatter_moves_the_plots_and_the_plots_the_scatter(visit):
    page = visit("thresholds")
    x, y = grab(page, "vae_loss")
    page.mouse.move(x + 40, y)
    next_frames(page)
    scatter = page.locator(".st-key-scatter").get_by_role("slider").nth(1)
    assert float(scatter.get_attribute("aria-valuenow")) == lines(page)["vae_loss"]
    page.mouse.up()
    idle(page)
    box = page.locator(".st-key-scatter .knob").bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 70, box["y"] - 20)
    next_frames(page)
    assert float(scatter.get_attribute("aria-valuenow")) == lines(page)["vae_loss"]
    assert_thresholds_page(page, "surprise")
    page.mouse.up()
    idle(page)
    assert_thresholds_page(page, "surprise")
    assert TITLES["fashion-mnist"] in page.locator("p.say").first.text_content()

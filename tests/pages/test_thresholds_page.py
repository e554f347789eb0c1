"""The Thresholds page in a real browser: lines, fields, link and NumPy's counts agree."""

import re

import numpy as np
import pytest
from browser import idle
from playwright.sync_api import Page, expect

from robust import Guard
from robust.data.examples import samples
from robust.decision.rule import Rule
from robust.decision.thresholds import refused

WORLD = Guard.load()
METRICS = WORLD.metrics
SIDES = {name: metric.refuses for name, metric in METRICS.items()}
LINK = {"delta_z": 0.31, "vae_loss": 131.27}


def plot(page: Page, metric: str):
    return page.locator(f".st-key-plot_{metric}")


def line_value(page: Page, metric: str) -> float:
    return float(plot(page, metric).get_by_role("slider").get_attribute("aria-valuenow"))


def thresholds(page: Page) -> dict[str, float]:
    return {metric: line_value(page, metric) for metric in SIDES}


def assert_rates_are_numpys(page: Page, metric: str, comparison: str = "fashion-mnist") -> None:
    """The plot's FPR and FNR, in its frame now."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    value = line_value(page, metric)
    good = refused(WORLD.reference[metric], value, SIDES[metric])
    nonsense = ~refused(WORLD.scores[comparison][metric], value, SIDES[metric])
    for cell, mask in (".fpr", good), (".fnr", nonsense):
        assert plot(page, metric).locator(f"{cell} small").text_content() == f"{mask.sum():,} of {len(mask):,}"


def assert_page_agrees(page: Page, rule: str = "surprise", comparison: str = "fashion-mnist") -> None:
    """Line, field, link and the confusion table tell of the same thresholds; its counts are NumPy's."""
    idle(page)
    now = thresholds(page)
    for metric, value in now.items():
        shown = plot(page, metric).locator(".at input").input_value()
        assert shown == f"{value:.{METRICS[metric].digits}f}"
        # float() of both, since a long number may be written in several ways
        written = re.search(rf"[?&]{metric}=([^&]*)", page.url)
        assert written is None or float(written[1]) == value
    good = Rule(now, SIDES, rule).refused(WORLD.reference)
    nonsense = Rule(now, SIDES, rule).refused(WORLD.scores[comparison])
    counts = {"good refused": good.sum(), "nonsense accepted": (~nonsense).sum()}
    for words, count in counts.items():
        expect(page.locator(f"[data-cell='{words}'] b")).to_have_text(f"{count:,}")
    scatter, both = page.locator(".st-key-scatter"), dict(list(SIDES.items())[:2])  # of the two metrics on its axes
    good = Rule(now, both, "all").refused(WORLD.reference)
    nonsense = Rule(now, both, "all").refused(WORLD.scores[comparison])
    for cell, mask in (".fpr", good), (".fnr", ~nonsense):
        shown = scatter.locator(f"{cell} td[data-rule=all]")
        for _ in range(100):  # it is drawn again a moment after the plots
            share = float(shown.text_content().removesuffix(" %"))
            if share == pytest.approx(100 * mask.mean(), abs=0.051):
                break
            page.wait_for_timeout(100)
        assert share == pytest.approx(100 * mask.mean(), abs=0.051)


def middle(locator) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_mouse_drag_moves_everything(visit):
    page = visit("thresholds")
    page.locator(".st-key-scatter").evaluate("node => node.tagged = true")
    x, y = middle(plot(page, "vae_loss").locator(".line"))
    before = line_value(page, "vae_loss")
    page.mouse.move(x, y)
    page.mouse.down()
    for way in (20, 45, 70):
        page.mouse.move(x + way, y)
        assert_rates_are_numpys(page, "vae_loss")
    held = line_value(page, "vae_loss")
    page.mouse.up()
    assert held > before
    expect(page).to_have_url(re.compile(f"vae_loss={held}"))
    assert line_value(page, "vae_loss") == held
    assert_page_agrees(page)
    assert page.locator(".st-key-scatter").evaluate("node => node.tagged") is True, "the page was mounted anew"


def test_touch_drag(visit):
    page = visit("thresholds")
    x, y = middle(plot(page, "delta_z").locator(".line"))
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x + 8, "y": y}]})
    for way in (30, 60, 90):
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x + way, "y": y}]})
        assert_rates_are_numpys(page, "delta_z")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page).to_have_url(re.compile(f"delta_z={line_value(page, 'delta_z')}"))
    assert_page_agrees(page)


def test_keyboard_and_presets(visit):
    page = visit("thresholds?set=fashion-mnist")
    handle = plot(page, "vae_loss").get_by_role("slider")
    handle.focus()
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowRight"):
        page.keyboard.press(key)
        assert_rates_are_numpys(page, "vae_loss")
    expect(page).to_have_url(re.compile(f"vae_loss={line_value(page, 'vae_loss')}"))
    assert_page_agrees(page)
    page.get_by_role("button", name="Maximum").click()
    expect(plot(page, "vae_loss").locator(".fpr b")).to_have_text("FPR 0.0 %")
    assert line_value(page, "vae_loss") == WORLD.reference["vae_loss"].max()
    assert_page_agrees(page)


def test_scatter_lines_are_the_same_thresholds(visit):
    page = visit("thresholds?delta_z=0.5")
    cross = page.locator(".st-key-scatter .knob")
    cross.scroll_into_view_if_needed()
    x, y = middle(cross)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 25, steps=4)
    page.mouse.up()
    handles = page.locator(".st-key-scatter").get_by_role("slider")
    dragged = [float(handles.nth(i).get_attribute("aria-valuenow")) for i in (0, 1)]
    expect(page).to_have_url(re.compile(f"vae_loss={dragged[1]}"))
    idle(page)
    assert dragged == list(thresholds(page).values())[:2]
    assert dragged[0] > 0.5
    assert_page_agrees(page)


def test_a_link_brings_back_what_was_shown_on_every_page(visit):
    page = visit("thresholds?delta_z=0.31&vae_loss=131.27&rule=both&example=Sandal")
    assert thresholds(page).items() >= LINK.items()
    assert_page_agrees(page, "all")
    page.reload()
    page.locator(".fpr b").first.get_by_text("%").wait_for()
    assert_page_agrees(page, "all")
    assert thresholds(page).items() >= LINK.items()
    page.get_by_role("link", name="Talk", exact=True).click()
    page.locator(".talk .sentence").wait_for()
    idle(page)
    for part in ("talk?", "delta_z=0.31", "vae_loss=131.27", "rule=all", "example=Sandal"):
        assert part in page.url


def test_a_link_with_mistakes_gets_one_clear_sentence(visit):
    page = visit("thresholds?delta_z=lots&vae_loss=131.27&rule=maybe&set=none&step=99")
    toast = page.locator("[data-testid=stToast]")
    for mistake in ("delta_z=lots", "rule=maybe", "set=none", "step=99"):
        expect(toast).to_contain_text(mistake)
    expect(page).to_have_url(re.compile(r"/thresholds\?vae_loss=131\.27$"))
    assert_page_agrees(page)


def test_find_me_the_threshold(visit):
    page = visit("thresholds?surprise=9")
    expect(page.locator(".st-key-use_found")).to_be_visible()
    page.get_by_role("radio", name="all refuse").click()
    idle(page)
    page.locator(".st-key-use_found button").click()
    idle(page)
    good = Rule(thresholds(page), SIDES, "all").refused(WORLD.reference)
    assert good.mean() <= 0.05
    assert_page_agrees(page, "all")


def test_a_refused_digit_opens_on_try_it(visit):
    page = visit("thresholds?vae_loss=90")
    page.locator(".st-key-strip_refused button").first.click()
    expect(page.locator(".verdict.unreliable")).to_be_visible()
    assert "/thresholds" not in page.url


def test_saved_svg_is_a_picture(visit, tmp_path):
    page = visit("thresholds")
    for kind, start in ("SVG", b"<svg"), ("PNG", b"\x89PNG"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save VAE loss as {kind}").click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        assert file.read_bytes().startswith(start)
        assert file.stat().st_size > 3000


def test_shipped_images_have_the_scores_of_the_strips():
    """The strips show shipped images beside scores of the whole test set: they must be the same images."""
    for name, key in ("mnist", "mnist"), ("fashion-mnist", "fashion"):
        labels = WORLD.scores[name]["label"]
        places = np.concatenate([np.flatnonzero(labels == label)[:20] for label in range(10)])
        images = samples()[f"{key}_images"].float() / 255
        assert METRICS["vae_loss"].scores(images) == pytest.approx(WORLD.scores[name]["vae_loss"][places], rel=1e-3)


def test_a_risk_that_one_may_bear_moves_the_line(visit):
    page = visit("thresholds")
    wrong = WORLD.reference["label"] != WORLD.reference["prediction"]
    expect(page.locator(".st-key-risk output").last).to_contain_text("FPR 5.00%")
    button = page.locator(".st-key-use_risk button")
    button.scroll_into_view_if_needed()
    button.click()
    expect(page).to_have_url(re.compile("surprise="))
    idle(page)
    answered = ~refused(WORLD.reference["surprise"], line_value(page, "surprise"), "high")
    assert answered.mean() > 0.8
    assert wrong[answered].mean() <= 0.003

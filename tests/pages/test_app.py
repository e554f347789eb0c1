"""The app in a real browser, used as on stage."""

import io
import re

import pytest
from browser import REPOSITORY
from PIL import Image
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from robust.data.examples import EXAMPLES

THREE = [(80, 70), (140, 50), (190, 80), (180, 120), (130, 140), (190, 160), (200, 210), (140, 235), (80, 215)]
ANSWER = ".stHtml .verdict"
REFUSED = f"{ANSWER}.unreliable"
VERDICT = f"{ANSWER}.reliable, {REFUSED}"


@pytest.fixture
def app(page: Page, address) -> Page:
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(address)
    page.locator(ANSWER).wait_for()
    return page


def draw(app: Page, points) -> None:
    canvas = app.locator("canvas").last
    canvas.wait_for()
    box = canvas.bounding_box()
    app.mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
    app.mouse.down()
    for x, y in points[1:]:
        app.mouse.move(box["x"] + x, box["y"] + y, steps=5)
    app.mouse.up()


def pick(app: Page, example: str) -> None:
    app.get_by_role("radio", name="Gallery").click()
    app.locator(f"button[data-name='{example}']").click()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_draw_a_three_and_read_the_verdict(app):
    expect(app.locator(ANSWER)).to_contain_text("Draw a digit")
    draw(app, THREE)
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("3")
    expect(app.locator(VERDICT)).to_contain_text("Of 10,000 real digits,")
    app.get_by_role("radio", name="numbers").click()
    expect(app.locator(".scores")).to_contain_text("VAE loss")
    expect(app).to_have_url(re.compile("view=numbers"))


def test_a_drawing_survives_other_pages_and_a_reload(app):
    draw(app, THREE)
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("3")
    app.get_by_role("link", name="Compare").click()
    expect(app.locator(ANSWER)).to_be_hidden()
    app.get_by_role("link", name="Try it").click()
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("3")
    app.reload()
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("3")
    app.get_by_role("button", name="Clear").click()
    expect(app.locator(ANSWER)).to_contain_text("Draw a digit")
    app.wait_for_timeout(500)
    app.reload()
    expect(app.locator(ANSWER)).to_contain_text("Draw a digit")


def test_an_upload_survives_other_pages_and_goes_when_it_is_taken_away(app):
    app.get_by_role("radio", name="Upload").click()
    app.locator("input[type=file]").set_input_files(
        {"name": "chicken.png", "mimeType": "image/png", "buffer": png(EXAMPLES["Chicken"]())}
    )
    expect(app.locator(REFUSED)).to_be_visible()
    app.get_by_role("link", name="Compare").click()
    expect(app.locator(ANSWER)).to_be_hidden()
    app.get_by_role("link", name="Try it").click()
    expect(app.locator(REFUSED)).to_be_visible()
    app.locator("input[type=file]").set_input_files(
        {"name": "three.png", "mimeType": "image/png", "buffer": png(EXAMPLES["Digit 3"]())}
    )
    expect(app.locator(f"{ANSWER}.reliable")).to_be_visible()
    app.get_by_role("button", name=re.compile("Remove")).click()
    expect(app.locator(ANSWER)).to_contain_text("Choose a picture")


def test_one_entry_of_the_history_for_a_page(app):
    pick(app, "Digit 3")
    expect(app).to_have_url(re.compile("example=Digit"))
    before = app.evaluate("history.length")
    line = app.locator(".st-key-plot_surprise").get_by_role("slider")
    for key in ("Home", "End"):
        line.press(key)
        expect(app.get_by_role("button", name="Reset thresholds")).to_be_enabled()
        app.wait_for_timeout(600)
    app.get_by_role("button", name="Reset thresholds").click()
    expect(app.get_by_role("button", name="Reset thresholds")).to_be_disabled()
    assert "surprise=" not in app.url
    assert app.evaluate("history.length") == before


def test_undo_redo_and_eraser(app):
    line = [(140, 40), (140, 240)]
    draw(app, line)
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("1")
    app.keyboard.press("Control+z")
    expect(app.locator(ANSWER)).to_contain_text("Draw a digit")
    app.keyboard.press("Control+y")
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("1")
    app.get_by_role("button", name="Eraser").click()
    expect(app.get_by_role("button", name="Eraser")).to_have_attribute("aria-pressed", "true")
    draw(app, line)
    expect(app.locator(ANSWER)).to_contain_text("empty")
    for name in ("Eraser", "Undo", "Redo", "Clear"):
        box = app.get_by_role("button", name=name, exact=True).bounding_box()
        assert box["height"] >= 44 and box["width"] >= 44


def test_a_drawing_survives_a_look_at_the_gallery(app):
    draw(app, THREE)
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("3")
    pick(app, "Chicken")
    expect(app.locator(REFUSED)).to_be_visible()
    app.get_by_role("radio", name="Draw").click()
    expect(app.locator(VERDICT).locator(".digit")).to_have_text("3")


def test_upload_a_chicken_and_see_both_metrics_refuse(app):
    app.get_by_role("radio", name="Upload").click()
    app.locator("input[type=file]").set_input_files(
        {"name": "chicken.png", "mimeType": "image/png", "buffer": png(EXAMPLES["Chicken"]())}
    )
    expect(app.locator(REFUSED)).to_contain_text("Surprise refuses, and so do δz and VAE loss")


def test_a_file_that_is_no_picture_gets_one_sentence(app):
    app.get_by_role("radio", name="Upload").click()
    app.locator("input[type=file]").set_input_files({"name": "notes.png", "mimeType": "image/png", "buffer": b"hello"})
    expect(app.get_by_role("alert")).to_contain_text("not a picture")
    expect(app.locator("body")).not_to_contain_text("Traceback")


def test_moving_a_threshold_changes_the_false_positive_rate(app):
    app.get_by_role("radio", name="numbers").click()
    pick(app, "Digit 3")
    rate = app.locator("[data-rate=fpr]")
    app.get_by_role("radio", name="VAE loss", exact=True).click()
    expect(app).to_have_url(re.compile("rule=vae_loss"))
    expect(app.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(rate).to_have_text("FPR 5.00%")
    line = app.locator(".st-key-plot_vae_loss").get_by_role("slider")
    line.focus()
    line.press("Home")
    expect(rate).to_have_text("FPR 100.00%")
    line.press("End")
    expect(rate).to_have_text("FPR 0.00%")
    expect(app).to_have_url(re.compile("vae_loss=6000"))  # Python knows, too
    expect(app.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    app.locator(".st-key-presets_vae_loss").get_by_role("button", name="95th percentile").click()
    expect(rate).to_have_text("FPR 5.00%")
    app.get_by_role("button", name="Maximum").click()
    expect(rate).to_have_text("FPR 0.00%")


def test_one_screen_on_a_small_projector(app):
    app.set_viewport_size({"width": 1366, "height": 768})
    pick(app, "Chicken")
    expect(app.locator(REFUSED)).to_be_visible()
    for view, parts in {
        "plain words": [".pictures", ".st-key-plot_surprise", ".trade"],
        "numbers": [".pictures", *(f".st-key-plot_{name}" for name in ("delta_z", "vae_loss", "surprise"))],
    }.items():
        app.get_by_role("radio", name=view).click()
        expect(app.get_by_role("radio", name=view)).to_be_checked()
        for part in parts:
            app.locator(part).first.wait_for()
            box = app.locator(part).first.bounding_box()
            assert box["y"] + box["height"] <= 768, part


@pytest.mark.parametrize("width", [360, 390, 820, 1280, 1366, 1920, 2560])
def test_the_pad_fits_at_every_width(chromium, address, width):
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(address)
    page.locator(ANSWER).wait_for(timeout=30_000)
    page.get_by_role("button", name="Clear").wait_for()
    pad, answer = page.locator("canvas").last.bounding_box(), page.locator(ANSWER).bounding_box()
    assert pad["x"] >= 0 and pad["x"] + pad["width"] <= width
    assert pad["x"] + pad["width"] <= answer["x"] or pad["y"] + pad["height"] <= answer["y"]
    assert pad["width"] >= (440 if width >= 1700 else 280)
    for way in page.locator(".st-key-way button").all():
        assert way.evaluate("node => node.scrollWidth <= node.clientWidth"), way.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_blank_page_asks_for_a_picture(app):
    pick(app, "Blank page")
    expect(app.get_by_role("alert")).to_contain_text("empty")


def test_the_phone_shows_the_pad_first(chromium, address):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    phone = context.new_page()
    phone.goto(address)
    phone.locator(ANSWER).wait_for(timeout=30_000)
    pad, verdict = phone.locator("canvas").last.bounding_box(), phone.locator(ANSWER).bounding_box()
    assert pad["y"] + pad["height"] <= verdict["y"]
    assert pad["y"] + pad["height"] < 844
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_nothing_is_asked_of_the_network(chromium, address):
    """On stage there is no Wi-Fi."""
    context = chromium.new_context()
    page, elsewhere = context.new_page(), []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(address)
    page.locator(ANSWER).wait_for(timeout=30_000)
    context.close()
    assert [url for url in elsewhere if not re.match(rf"(data:|blob:|{address}|ws://127)", url)] == []


def test_the_script_runs_clean():
    run = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=60).run()
    assert not run.exception
    assert "pen" in {slider.key for slider in run.slider}

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
    expect(app.locator(".scores")).to_contain_text("VAE loss")


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
    pick(app, "Digit 3")
    rate = app.locator("[data-rate=fpr]")
    app.get_by_role("radio", name="VAE loss", exact=True).click()
    expect(app.get_by_role("radio", name="VAE loss", exact=True)).to_be_checked()
    expect(app.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(rate).to_have_text("FPR 5.00%")
    before = rate.inner_text()
    slider = app.locator(".st-key-slider_vae_loss input")
    slider.focus()
    slider.press("Home")
    expect(rate).to_have_text("FPR 100.00%")
    slider.press("End")
    expect(rate).not_to_have_text("FPR 100.00%")
    assert rate.inner_text() != before
    app.get_by_role("button", name="Maximum").click()
    expect(rate).to_have_text("FPR 0.00%")


def test_one_screen_on_a_small_projector(app):
    app.set_viewport_size({"width": 1366, "height": 768})
    pick(app, "Chicken")
    expect(app.locator(REFUSED)).to_be_visible()
    for part in (
        ".scores",
        "[data-rate=fnr]",
        ".st-key-slider_delta_z",
        ".st-key-slider_vae_loss",
        ".st-key-slider_surprise",
    ):
        box = app.locator(part).bounding_box()
        assert box["y"] + box["height"] <= 768, part


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
    assert {"slider_delta_z", "slider_vae_loss", "pen"} <= {slider.key for slider in run.slider}

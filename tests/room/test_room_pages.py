"""A phone and the speaker's wall in real browsers: what is drawn on the one lands on the other."""

import re

import pytest
from browser import REPOSITORY, streamlit_app
from playwright.sync_api import expect

pytest.importorskip("sqlalchemy", reason="the optional part room is not installed")


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUST_DATABASE", f"sqlite:///{tmp_path / 'rooms.db'}")
    with streamlit_app(REPOSITORY / "app.py") as url:
        yield url


def test_a_phone_draws_and_the_wall_shows_it_under_the_line(chromium, address):
    expect.set_options(timeout=30_000)
    speaker = chromium.new_context(viewport={"width": 1366, "height": 900}).new_page()
    errors = []
    speaker.on("pageerror", lambda error: errors.append(str(error)))
    speaker.goto(f"{address}/room")
    speaker.get_by_role("button", name="Open a room").click(timeout=60_000)
    code = speaker.locator(".wall .code").inner_text(timeout=60_000)
    assert speaker.locator(".qr svg path").count() > 0
    expect(speaker).to_have_url(re.compile(f"room={code}"))

    phone = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).new_page()
    phone.on("pageerror", lambda error: errors.append(str(error)))
    phone.goto(f"{address}/room/{code}")
    phone.get_by_role("radio", name="3", exact=True).wait_for(timeout=60_000)
    for element in phone.locator("button:visible").all():
        assert element.bounding_box()["height"] >= 44
    box = phone.locator("#pad").bounding_box()
    points = [
        (0.29, 0.25),
        (0.5, 0.18),
        (0.68, 0.29),
        (0.46, 0.5),
        (0.68, 0.57),
        (0.71, 0.75),
        (0.5, 0.84),
        (0.29, 0.77),
    ]
    for i, (x, y) in enumerate(points):
        phone.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if i == 0:
            phone.mouse.down()
    phone.mouse.up()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    expect(phone.locator("#send")).to_be_disabled()
    phone.get_by_role("radio", name="3", exact=True).click()
    phone.locator("#nickname").fill("<b>Ada</b>")
    phone.locator("#send").click()
    expect(phone.locator("#answer")).to_contain_text("accepted: it says 3")
    expect(phone.locator("#answer")).to_contain_text("% of real digits")

    expect(speaker.locator(".buttons button").first).to_have_text("Tray: 1 wait (T)")
    speaker.keyboard.press("t")
    expect(speaker.locator(".tray figcaption")).to_have_text("<b>Ada</b>")
    speaker.locator(".tray").get_by_role("button", name="Show").click()
    expect(speaker.locator("dialog")).to_be_hidden()
    tile = speaker.locator(".tile")
    expect(tile).to_have_count(1)
    expect(speaker.locator(".rates")).to_contain_text("0.0 % FPR")
    line, stage = speaker.locator(".line").bounding_box(), speaker.locator(".stage").bounding_box()
    speaker.mouse.move(line["x"] + 22, line["y"] + 100)
    speaker.mouse.down()
    speaker.mouse.move(stage["x"] + 3, line["y"] + 100, steps=5)
    expect(tile).to_have_class(re.compile("refused"))
    expect(speaker.locator(".rates")).to_contain_text("100.0 % FPR")
    speaker.mouse.up()
    tile.click()
    expect(speaker.locator("dialog")).to_contain_text("It says 3")
    speaker.get_by_role("button", name="Look closer").click()
    expect(speaker.locator(".why-card").first).to_be_visible()
    expect(speaker.locator(".verdict .digit")).to_have_text("3")
    assert errors == []

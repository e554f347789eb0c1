"""Hosted mode: headers that the pages live under, a limit on visitors with a queue, a limit on pictures."""

import json
import urllib.error
import urllib.request

import pytest
from browser import REPOSITORY, streamlit_app
from playwright.sync_api import expect

from pages.components.session.hosted import Door


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROBUST_HOSTED", "1")
        patch.setenv("ROBUST_VISITORS", "2")
        patch.setenv("ROBUST_PICTURES_A_MINUTE", "3")
        patch.setenv("ROBUST_DATABASE", f"sqlite:///{tmp_path_factory.mktemp('rooms') / 'rooms.db'}")
        with streamlit_app(REPOSITORY / "app.py") as url:
            yield url


def test_every_answer_has_the_headers_and_metrics_are_closed(hosted):
    with urllib.request.urlopen(hosted) as answer:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{hosted}/_stcore/metrics")


@pytest.mark.parametrize("path", ["?example=Chicken", "thresholds", "talk?step=7", "compare", "room"])
def test_the_pages_live_under_the_policy(chromium, hosted, path):
    page, errors = chromium.new_page(), []
    page.on(
        "console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.goto(f"{hosted}/{path}")
    page.locator("h1").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    page.close()
    assert errors == []


def test_the_third_of_two_visitors_waits_in_a_queue_and_gets_in(chromium, hosted):
    contexts = [chromium.new_context() for _ in range(3)]
    pages = [context.new_page() for context in contexts]
    for page in pages[:2]:
        page.goto(f"{hosted}/?example=Chicken")
        page.locator(".stHtml .verdict").wait_for(timeout=60_000)
    pages[2].goto(hosted)
    expect(pages[2].locator("body")).to_contain_text("You are number 1 in the queue")
    contexts[0].close()
    expect(pages[2].locator(".stHtml .verdict")).to_be_visible(timeout=60_000)
    for context in contexts[1:]:
        context.close()


def test_the_fourth_picture_of_three_a_minute_is_told_to_wait(chromium, hosted):
    page = chromium.new_page()
    page.goto(hosted)
    pad = page.locator(".st-key-pad canvas.upper-canvas")
    pad.wait_for(timeout=60_000)
    page.locator(".stHtml .verdict").wait_for()
    box = pad.bounding_box()
    for stroke in range(4):
        x = box["x"] + (0.3 + 0.1 * stroke) * box["width"]
        page.mouse.move(x, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(x, box["y"] + 200, steps=3)
        page.mouse.up()
        page.wait_for_timeout(1500)
    expect(page.locator(".stHtml .verdict")).to_contain_text("Wait a moment, and go on.")
    page.close()


def test_places_in_the_queue_are_kept_and_move_up():
    door = Door(None, visitors=1)
    door.inside = 1
    scope = lambda token=None: {"headers": [(b"cookie", f"robust_place={token}".encode())] if token else []}  # noqa: E731
    first, a = door.place_of(scope(), 0)
    second, b = door.place_of(scope(), 1)
    assert (first, second) == (1, 2)
    assert door.place_of(scope(b), 2) == (2, b)
    door.inside = 0
    assert door.place_of(scope(b), 3) == (2, b), "those before go first"
    assert door.place_of(scope(a), 3) is None
    door.inside = 1
    assert door.place_of(scope(b), 4) == (1, b)
    door.inside = 0
    assert door.place_of(scope(), 60) is None, "a place that nobody asked for again is gone"


def test_logs_are_json(capfd):
    import logging

    from pages.components.session.hosted import _AsJson

    record = logging.LogRecord("robust", logging.WARNING, "", 0, "a %s", ("word",), None)
    assert json.loads(_AsJson().format(record))["message"] == "a word"

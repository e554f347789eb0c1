"""Talk in a real browser, told by keys alone, and the drawings that it shows."""

import re

import pytest
from browser import idle
from playwright.sync_api import Page, expect

from robust import Guard
from robust.data.examples import EXAMPLES, samples
from robust.data.examples.drawings import DRAWINGS


@pytest.fixture
def talk(page: Page, address):
    page.set_default_timeout(60_000)
    expect.set_options(timeout=30_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto(f"{address}/talk")
    page.locator(".talk .sentence").wait_for()
    expect(page.locator(".place")).to_have_text("1 / 10")
    yield page
    assert errors == []


def sentence(page: Page):
    return page.locator(".talk .sentence")


@pytest.mark.parametrize("name", DRAWINGS)
def test_lenet_is_sure_of_the_drawings_and_the_guard_refuses_them(name):
    report = Guard.load().inspect(EXAMPLES[name]())
    assert report.probability >= 0.9
    assert not report.reliable
    assert not report.verdicts["vae_loss"].reliable


def test_the_story_is_told_by_keys_alone(talk):
    expect(talk.locator("[data-testid=stHeader]")).to_be_hidden()
    expect(sentence(talk)).to_contain_text("LeNet reads handwritten digits, and is right 99.4%")
    for key, place, words in [
        ("ArrowRight", 2, "Show it a painted chicken: it says 4"),
        ("PageDown", 3, "Would you act on such an answer?"),
        (" ", 4, "First witness, δz"),
        ("ArrowRight", 5, "Second witness, VAE loss"),
        ("ArrowRight", 6, "Where real digits fall"),
    ]:
        talk.keyboard.press(key)
        expect(sentence(talk)).to_contain_text(words)
        expect(talk.locator(".place")).to_have_text(f"{place} / 10")
    expect(talk.locator(".talk .verdict.unreliable")).to_contain_text("Surprise refuses")
    expect(talk.locator(".plot .title")).to_have_text("Surprise")  # the metric that decides
    talk.keyboard.press("2")
    expect(talk.locator(".plot .title")).to_have_text("VAE loss")
    expect(talk).to_have_url(re.compile("step=6&plot=vae_loss"))
    talk.reload()
    expect(talk.locator(".place")).to_have_text("6 / 10")
    talk.keyboard.press("End")
    expect(sentence(talk)).to_contain_text("Take it home")
    talk.keyboard.press("PageUp")
    expect(sentence(talk)).to_contain_text("The price")
    digits = Guard.load(metrics=("surprise",)).score_table(samples()["mnist_images"].float() / 255)
    expect(talk.locator(".row figure")).to_have_count(min(10, int((~digits["reliable"]).sum())))
    talk.keyboard.press("Home")
    expect(talk.locator(".place")).to_have_text("1 / 10")
    talk.keyboard.press("Escape")
    expect(talk.locator(".talk")).to_have_count(0)


def test_the_room_is_a_key_away(talk):
    talk.keyboard.press("r")
    expect(talk.get_by_role("button", name="Open a room")).to_be_visible()


def test_black_notes_and_help_lie_over_the_step_and_escape_takes_them_away(talk):
    talk.keyboard.press("b")
    expect(talk.locator(".black")).to_be_visible()
    talk.keyboard.press("b")
    expect(talk.locator(".black")).to_have_count(0)
    talk.keyboard.press("n")
    expect(talk.locator(".notes")).to_contain_text("Ask the room what this picture is.")
    talk.keyboard.press("ArrowRight")
    expect(talk.locator(".notes")).to_contain_text("It has only 10 answers")
    expect(talk.locator(".notes")).to_contain_text("Next: It is this sure of all of them.")
    talk.keyboard.press("?")
    expect(talk.locator(".help")).to_contain_text("black screen")
    talk.keyboard.press("Escape")
    expect(talk.locator(".help")).to_have_count(0)
    expect(sentence(talk)).to_be_visible()


def test_draw_without_leaving_the_talk(talk):
    talk.keyboard.press("ArrowRight")
    expect(talk.locator(".place")).to_have_text("2 / 10")
    talk.keyboard.press("d")
    pad = talk.locator(".st-key-pad canvas.upper-canvas")
    pad.wait_for()
    idle(talk)
    box = pad.bounding_box()
    assert box["width"] > 400
    talk.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.15 * box["height"])
    talk.mouse.down()
    talk.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.85 * box["height"], steps=8)
    talk.mouse.up()
    expect(talk.locator(".verdict .digit")).to_have_text("1")
    expect(talk.locator(".verdict.reliable .word, .verdict.unreliable .word").first).to_be_visible()
    talk.keyboard.press("Escape")
    expect(sentence(talk)).to_contain_text("painted chicken")


def test_the_line_is_dragged_on_stage_and_all_follows(talk):
    talk.keyboard.press("End")
    expect(talk.locator(".place")).to_have_text("10 / 10")
    for place in (9, 8, 7):
        talk.keyboard.press("ArrowLeft")
        expect(talk.locator(".place")).to_have_text(f"{place} / 10")
    verdict = talk.locator(".talk .verdict")
    expect(verdict).to_have_class(re.compile("reliable"))
    idle(talk)
    line, chart = talk.locator(".plot .line").bounding_box(), talk.locator(".plot .chart").bounding_box()
    talk.mouse.move(line["x"] + line["width"] / 2, line["y"] + line["height"] / 2)
    talk.mouse.down()
    talk.mouse.move(chart["x"] + 0.05 * chart["width"], line["y"] + line["height"] / 2, steps=5)
    expect(verdict).to_have_class(re.compile("unreliable"))
    expect(verdict.locator(".word")).to_have_text("⊘ not reliable")
    assert float(talk.locator("[data-live='good refused of 100']").text_content().split()[0]) > 50
    pointer = chart["x"] + 0.05 * chart["width"]
    line = talk.locator(".plot .line").bounding_box()
    assert abs(line["x"] + line["width"] / 2 - pointer) < 6, "the line is not under the hand on the enlarged plot"
    talk.mouse.up()
    idle(talk)
    expect(verdict.locator(".word")).to_have_text("⊘ not reliable")


def test_everything_is_legible_from_the_back_row(chromium, address):
    context = chromium.new_context(viewport={"width": 1920, "height": 1080})
    page = context.new_page()
    for step in (1, 4, 6, 8):
        page.goto(f"{address}/talk?step={step}")
        page.locator(".talk .sentence").wait_for(timeout=60_000)
        page.locator(".stage .place").wait_for()
        sizes = page.locator(".talk *, .stage button, .stage kbd, .plot *").evaluate_all(
            "nodes => nodes.filter(n => [...n.childNodes].some(c => c.nodeType === 3 && c.textContent.trim()))"
            ".filter(n => n.getClientRects().length && getComputedStyle(n).visibility === 'visible')"
            ".map(n => [parseFloat(getComputedStyle(n).fontSize) * n.currentCSSZoom, n.textContent])"
        )
        assert [(size, text) for size, text in sizes if size < 22] == []
    context.close()

"""The draggable threshold plot, in a real browser: mouse, touch and keyboard, against NumPy's own counts."""

import inspect
import json
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from browser import streamlit_app

from pages.components.widgets.threshold_plot import BINS, Series, scores_payload


def scores() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Good inputs and nonsense for two metrics as the app has them; the test app runs this function too.

    "vae" refuses high scores on a linear axis, "dz" low scores on a log axis, with zeros and infinities. Rounded, so
    that thresholds meet ties.
    """
    rng = np.random.default_rng(7)
    vae = np.exp(rng.normal(4.45, 0.28, 10_000)).round(1), np.exp(rng.normal(5.6, 0.35, 10_000)).round(1)
    near_zero = np.abs(rng.normal(0, 0.3, 10_000)) * rng.random(10_000)
    dz = np.abs(rng.normal(0.9, 0.5, 10_000)).round(2), near_zero.round(2)
    dz[0][:1200] = np.inf
    dz[1][:300] = np.inf
    return {"vae": vae, "dz": dz}


ALL_SCORES = scores()

APP = """
import time
import streamlit as st
from pages.components.widgets.threshold_plot import Series, threshold_plot

st.set_page_config(layout="wide")
st.session_state.setdefault("vae", 135.0)
st.session_state.setdefault("dz", 0.25)
st.session_state.setdefault("received", [])

def setter(name):
    def set_threshold(value):
        st.session_state[name] = value
        st.session_state.received.append([name, value])
    return set_threshold

if st.toggle("slow"):
    time.sleep(1)

swap = st.toggle("swap sets")
for column, name in zip(st.columns(2), [] if st.toggle("hide") else ["vae", "dz"]):
    with column:
        good, nonsense = reversed(scores()[name]) if swap else scores()[name]
        threshold_plot(
            metric=name, title=name, reference=Series("MNIST test", good), comparison=Series("Fashion-MNIST", nonsense),
            threshold=st.session_state[name], refuses="high" if name == "vae" else "low", log=name == "dz",
            input_score=200.0 if name == "vae" else float("inf"), digits=1 if name == "vae" else 2,
            key=f"plot_{name}", on_change=setter(name),
        )
st.slider("VAE threshold", 0.0, 2000.0, step=0.1, key="vae")
st.number_input("dz threshold", 0.0, 100.0, step=0.01, key="dz")
st.json(st.session_state.received, expanded=False)
st.html(f"<div id='python'>{st.session_state.vae!r} {st.session_state.dz!r} {st.session_state.received}</div>")
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    script = tmp_path_factory.mktemp("app") / "app.py"
    script.write_text(f"import numpy as np\n\n{inspect.getsource(scores)}\n{APP}", encoding="utf-8")
    with streamlit_app(script) as url:
        yield url


@pytest.fixture
def app(page, address):
    """The page with both plots drawn."""
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address)
    page.locator(".fpr b").nth(1).get_by_text("%").wait_for(timeout=60_000)
    idle(page)
    yield page
    assert page.errors == []


def idle(page):
    """Wait until no script run is under way."""
    page.wait_for_timeout(150)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


class Plot:
    """One plot on the page, by what a person sees of it."""

    def __init__(self, page, name):
        self.page, self.name = page, name
        self.root = page.locator(f".st-key-plot_{name} .plot")
        self.handle = self.root.get_by_role("slider")

    @property
    def value(self) -> float:
        return float(self.handle.get_attribute("aria-valuenow"))

    def text(self, selector: str) -> str:
        return self.root.locator(selector).text_content()

    def line(self) -> tuple[float, float]:
        """The middle of the line, in pixels of the page."""
        box = self.root.locator(".line").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def assert_counts_are_numpys(self):
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        good, nonsense = ALL_SCORES[self.name]
        t = self.value
        refused = (good > t).sum() if self.name == "vae" else (good < t).sum()
        accepted = (nonsense <= t).sum() if self.name == "vae" else (nonsense >= t).sum()
        for selector, name, count in (".fpr", "FPR", refused), (".fnr", "FNR", accepted):
            assert self.text(f"{selector} small") == f"{count:,} of 10,000"
            assert self.text(f"{selector} b") == f"{name} {percent(count)} %"
        shown = self.root.locator(".at input").input_value()
        assert float(shown) == t
        assert shown in self.text(".handle text").replace(",", "")


def percent(count) -> Decimal:
    share = 100 * int(count) / 10_000
    digits = "0.01" if 0 < share < 1 or 99 < share < 100 else "0.1"
    return Decimal(share).quantize(Decimal(digits), ROUND_HALF_UP)


def in_python(page) -> tuple[float, float, list]:
    """The two thresholds in Python's session, and every release it received."""
    vae, dz, received = page.locator("#python").inner_text().split(" ", 2)
    return float(vae), float(dz), json.loads(received.replace("'", '"'))


def assert_received(page, *expected):
    """Python has received these releases, in this order, and no other comes after them."""
    for _ in range(100):
        if len(in_python(page)[2]) >= len(expected):
            break
        page.wait_for_timeout(100)
    idle(page)
    assert in_python(page)[2] == [list(release) for release in expected]


@pytest.mark.parametrize("name, way", [("vae", 260), ("dz", -220)])
def test_mouse_drag_counts_as_numpy_does_and_tells_python_once(app, name, way):
    plot = Plot(app, name)
    plot.root.evaluate("node => node.tagged = true")
    before = plot.value
    x, y = plot.line()
    app.mouse.move(x, y)
    app.mouse.down()
    for step in range(1, 9):
        app.mouse.move(x + way * step / 8, y + 3 * step)
        plot.assert_counts_are_numpys()
    held = plot.value
    assert held != before
    assert_received(app)
    app.mouse.up()
    assert_received(app, (name, held))
    vae, dz, _ = in_python(app)
    assert {"vae": vae, "dz": dz}[name] == held == plot.value
    plot.assert_counts_are_numpys()
    assert plot.root.evaluate("node => node.tagged") is True, "the plot was mounted anew"


def test_click_moves_the_line_there(app):
    plot = Plot(app, "vae")
    box = plot.root.locator(".chart").bounding_box()
    app.mouse.click(box["x"] + 300, box["y"] + 120)
    assert abs(plot.line()[0] - (box["x"] + 300)) < 1
    assert_received(app, ("vae", plot.value))


def test_touch_drag(app):
    plot = Plot(app, "vae")
    x, y = plot.line()
    touch = app.context.new_cdp_session(app)

    def send(kind, dx):
        points = [] if dx is None else [{"x": x + dx, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", 15)  # beside the line, as fingers are: the line is grabbed and does not jump
    plot.assert_counts_are_numpys()
    assert plot.value == 135.0
    for dx in range(25, 200, 25):
        send("touchMove", dx)
        plot.assert_counts_are_numpys()
    held = plot.value
    send("touchEnd", None)
    assert held > 200
    assert_received(app, ("vae", held))
    assert plot.value == held


def test_upright_swipe_over_the_plot_scrolls_and_changes_nothing(app):
    app.set_viewport_size({"width": 390, "height": 500})
    plot = Plot(app, "vae")
    app.wait_for_timeout(200)
    box = plot.root.locator(".chart").bounding_box()
    touch = app.context.new_cdp_session(app)
    for kind, dy in [("touchStart", 0), *(("touchMove", -20 * i) for i in range(1, 8))]:
        point = {"x": box["x"] + 250, "y": box["y"] + 150 + dy}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        app.wait_for_timeout(30)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert plot.root.locator(".chart").bounding_box()["y"] < box["y"] - 50
    assert plot.value == 135.0
    assert_received(app)


@pytest.mark.parametrize("name", ["vae", "dz"])
def test_keyboard(app, name):
    plot = Plot(app, name)
    good, nonsense = ALL_SCORES[name]
    start = plot.value
    plot.handle.focus()
    for _ in range(4):
        app.keyboard.press("ArrowRight")
    plot.assert_counts_are_numpys()
    burst = plot.value
    assert burst > start
    assert_received(app, (name, burst))

    app.keyboard.press("ArrowRight")
    coarse = plot.value - burst
    app.keyboard.press("ArrowLeft")
    back = plot.value
    app.keyboard.press("Shift+ArrowRight")
    assert 0 < plot.value - back < coarse
    plot.assert_counts_are_numpys()
    assert "percent of good digits refused" in plot.handle.get_attribute("aria-valuetext")

    app.keyboard.press("End")
    assert plot.value >= max(s[np.isfinite(s)].max() for s in (good, nonsense))
    plot.assert_counts_are_numpys()
    app.keyboard.press("Home")
    assert plot.value <= min(good.min(), nonsense.min())
    plot.assert_counts_are_numpys()
    app.keyboard.press("PageUp")
    plot.handle.blur()
    plot.assert_counts_are_numpys()
    last = plot.value
    app.wait_for_timeout(1000)
    assert in_python(app)[2][-1] == [name, last]
    assert plot.value == last


def test_a_typed_number_moves_the_line(app):
    plot = Plot(app, "vae")
    field = plot.root.locator(".at input")
    field.fill("171,5")
    field.press("Enter")
    assert_received(app, ("vae", 171.5))
    plot.assert_counts_are_numpys()
    for nothing in ("", "lots", "1e99"):
        field.fill(nothing)
        field.press("Enter")
        assert field.input_value() == "171.5"
    assert_received(app, ("vae", 171.5))


def test_slider_and_plot_follow_each_other(app):
    plot = Plot(app, "vae")
    slider = app.locator("[data-testid=stSlider]").get_by_role("slider")
    slider.focus()
    app.keyboard.press("ArrowRight")
    app.locator("#python", has_text="135.1 ").wait_for()
    idle(app)
    assert plot.value == 135.1
    plot.assert_counts_are_numpys()
    x, y = plot.line()
    app.mouse.move(x, y)
    app.mouse.down()
    app.mouse.move(x + 100, y)
    app.mouse.up()
    dragged = plot.value
    assert_received(app, ("vae", dragged))
    assert in_python(app)[0] == float(slider.input_value()) == plot.value == dragged > 150
    slider.focus()
    app.keyboard.press("ArrowLeft")
    newer = round(dragged - 0.1, 1)
    app.locator("#python", has_text=f"{newer} ").wait_for()
    idle(app)
    assert plot.value == newer, "the slider's newer value wins over the old drag"


def test_verdict_on_the_input_follows_the_hand(app):
    plot = Plot(app, "vae")  # its input scores 200
    assert "not reliable" in plot.text(".verdict")
    x, y = plot.line()
    app.mouse.move(x, y)
    app.mouse.down()
    app.mouse.move(x + 250, y, steps=5)
    app.wait_for_timeout(50)
    assert plot.value > 200
    assert plot.text(".verdict strong") == "reliable"
    assert plot.text(".marker text").startswith("✓")
    app.mouse.up()
    assert Plot(app, "dz").text(".verdict strong") == "reliable", "no threshold refuses an infinite distance"


def test_the_hand_wins_over_a_run_that_ends_during_the_drag(app):
    plot = Plot(app, "vae")
    app.get_by_text("slow").click()
    idle(app)
    x, y = plot.line()
    app.locator("[data-testid=stSlider]").get_by_role("slider").focus()
    app.keyboard.press("ArrowRight")  # a run that will bring the plot 135.1, a second later
    app.mouse.move(x, y)
    app.mouse.down()
    app.mouse.move(x + 80, y)
    plot.assert_counts_are_numpys()
    held = plot.value
    assert held > 150
    app.locator("#python", has_text="135.1 ").wait_for()
    idle(app)
    assert plot.value == held
    app.mouse.up()
    seen = []
    for _ in range(10):
        app.wait_for_timeout(100)
        seen.append(plot.value)
    assert set(seen) == {held}, "the line went back while Python was at work"
    assert_received(app, ("vae", held))


def test_another_comparison_set_and_another_mount_are_drawn(app):
    plot = Plot(app, "vae")
    good, nonsense = ALL_SCORES["vae"]
    bars = plot.root.locator(".bars-comparison").get_attribute("d")
    app.get_by_text("swap sets").click()
    plot.root.locator(".fnr small", has_text=f"{(good <= 135).sum():,} of").wait_for()
    assert plot.text(".fpr small") == f"{(nonsense > 135).sum():,} of 10,000"
    assert plot.root.locator(".bars-comparison").get_attribute("d") != bars
    app.get_by_text("swap sets").click()
    app.get_by_text("hide").click()
    plot.root.wait_for(state="detached")
    app.get_by_text("hide").click()
    plot.root.locator(".fnr small", has_text=f"{(nonsense <= 135).sum():,} of").wait_for()
    plot.assert_counts_are_numpys()
    assert plot.root.locator(".bars-comparison").get_attribute("d") == bars


def test_a_drag_sends_no_scores_again(page, address):
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(address)
    page.locator(".fpr b").nth(1).get_by_text("%").wait_for(timeout=60_000)
    idle(page)
    assert sum(received) > 300_000  # both plots' scores, once
    received.clear()
    plot = Plot(page, "vae")
    x, y = plot.line()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y)
    page.mouse.up()
    assert_received(page, ("vae", plot.value))
    print(f"\nreceived after a release: {sum(received)} bytes")
    assert 0 < sum(received) < 50_000  # the scores of one plot would be 200,000


def test_at_least_30_frames_a_second_while_dragging(app):
    plot = Plot(app, "vae")
    x, y = plot.line()
    app.mouse.move(x, y)
    app.mouse.down()
    app.evaluate(
        """() => {
            window.frames = []
            const tick = (t) => { frames.push(t); window.timing = requestAnimationFrame(tick) }
            window.timing = requestAnimationFrame(tick)
        }"""
    )
    for step in range(200):
        app.mouse.move(x + 200 * np.sin(step / 20) ** 2, y)
    gaps = np.diff(app.evaluate("() => { cancelAnimationFrame(timing); return frames }"))
    app.mouse.up()
    print(f"\n{len(gaps)} frames, {np.median(gaps):.1f} ms at the median, {gaps.max():.1f} ms at worst")
    assert len(gaps) > 30
    assert np.median(gaps) < 1000 / 30


@pytest.mark.parametrize("name, log", [("vae", False), ("dz", True), ("dz", False)])
def test_bins_hold_every_score(name, log):
    content, _ = scores_payload(*ALL_SCORES[name], log)
    axis = content["axis"]
    for shares, scores in zip(content["shares"], ALL_SCORES[name], strict=True):
        assert len(shares) == BINS + 2
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        assert shares[0] == pytest.approx((scores < axis["lo"]).mean())
        assert shares[-1] == pytest.approx((scores >= axis["hi"]).mean())
    assert axis["below"] == ("0" if log else None)


@pytest.mark.parametrize("scores", [[], [[1.0]], [1.0, np.nan], [-np.inf]])
def test_series_refuses_what_cannot_be_drawn(scores):
    with pytest.raises(ValueError, match="MNIST test"):
        Series("MNIST test", np.array(scores))

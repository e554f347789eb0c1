"""How fast the app answers a hand: frames while a line is dragged, the wait after its release, the wait after a stroke.

It starts the app, and drives it in Chromium (playwright, optional part `dev`).
"""

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from robust.evaluation.tables import Table

FRAMES = 240  # of a drag
STROKES = 12
START_S = 60
DRAGGED = {  # page: the plot whose line is dragged
    "Try it": ("?example=Chicken", "plot_surprise"),
    "Try it, numbers": ("?example=Chicken&view=numbers", "plot_vae_loss"),
    "Thresholds": ("thresholds?example=Chicken", "plot_surprise"),
    "Thresholds, any refuses": ("thresholds?example=Chicken&rule=any", "plot_delta_z"),
    "Talk": ("talk?step=7", "talk_threshold"),
}
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
COUNT_FRAMES = """() => {
  window.frames_seen = []
  const tick = (time) => { window.frames_seen.push(time); window.ticking = requestAnimationFrame(tick) }
  window.ticking = requestAnimationFrame(tick)
}"""
SEEN_FRAMES = "() => { cancelAnimationFrame(window.ticking); return window.frames_seen }"
# Milliseconds from the pen's release to the verdict that follows it, measured in the page.
WATCH_VERDICT = """() => {
  window.verdict_after = null
  let up
  document.addEventListener("pointerup", () => { up = performance.now() }, { capture: true, once: true })
  const text = () => document.querySelector(".verdict")?.innerText
  const before = text()
  const watch = () => {
    if (up && text() !== before && /reliable/.test(text())) window.verdict_after = performance.now() - up
    else requestAnimationFrame(watch)
  }
  watch()
}"""


@contextmanager
def running_app(script: Path) -> Iterator[tuple[str, int]]:
    """The app on a free port of this machine; yields its address and the number of its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
    app = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}", app.pid
    finally:
        app.terminate()
        app.wait()


def wait_until_healthy(address: str) -> None:
    """Raises RuntimeError where no app answers within START_S."""
    for _ in range(10 * START_S):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"The app did not answer within {START_S} s.")


def measure(script: Path) -> list[Table]:
    """Run the app of `script` and measure it. Raises RuntimeError where playwright or Chromium is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise RuntimeError('playwright is missing: pip install -e ".[dev]" brings it.') from None
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        raise RuntimeError("There is no Chromium on this machine.")
    with running_app(script) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        drags = [[name, *drag(page, f"{address}/{path}", key)] for name, (path, key) in DRAGGED.items()]
        strokes = [[name, *draw(page, f"{address}/{path}")] for name, path in {"Try it": "", "Try it, numbers": "?view=numbers"}.items()]  # fmt: skip
        browser.close()
    return [
        Table(
            "A dragged line",
            ["page", "frames", "median ms", "worst ms", "Python agrees after s", "bytes received after release"],
            drags,
        ),
        Table(
            "A stroke on the pad",
            ["page", "strokes", "pen up to verdict, median s", "worst s", "bytes received a stroke, median"],
            strokes,
        ),
    ]


def drag(page, address: str, key: str) -> list[str]:
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(address)
    line = page.locator(f".st-key-{key} .line")
    line.wait_for(timeout=60_000, state="attached")
    page.locator(IDLE).wait_for()
    page.wait_for_timeout(1500)
    box = line.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 4, y)
    page.evaluate(COUNT_FRAMES)
    for step in range(FRAMES):
        page.mouse.move(x + 70 * np.sin(step / 25), y)
    gaps = np.diff(page.evaluate(SEEN_FRAMES))
    received.clear()
    url, released = page.url, time.perf_counter()
    page.mouse.up()
    page.wait_for_url(lambda now: now != url, timeout=5000)
    page.locator(IDLE).wait_for()
    settled = time.perf_counter() - released
    page.wait_for_timeout(1000)
    row = [str(len(gaps)), f"{np.median(gaps):.1f}", f"{gaps.max():.1f}", f"{settled:.2f}", f"{sum(received):,}"]
    page.goto("about:blank")
    return row


def draw(page, address: str) -> list[str]:
    """One stroke after the other, each in a direction of its own."""
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(address)
    pad = page.locator(".st-key-pad canvas.upper-canvas")
    pad.wait_for(timeout=60_000)
    page.locator(IDLE).wait_for()
    waits, sizes, box = [], [], pad.bounding_box()
    for stroke in range(STROKES):
        page.wait_for_timeout(1500)
        page.get_by_role("button", name="Clear").click()
        page.wait_for_timeout(1500)
        received.clear()
        page.evaluate(WATCH_VERDICT)
        page.mouse.move(box["x"] + (0.3 + 0.03 * stroke) * box["width"], box["y"] + 0.15 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.85 * box["height"], steps=8)
        page.mouse.up()
        page.wait_for_function("() => window.verdict_after !== null", timeout=10_000)
        waits.append(page.evaluate("() => window.verdict_after") / 1000)
        page.wait_for_timeout(1000)
        sizes.append(sum(received))
    page.evaluate("() => sessionStorage.clear()")
    page.goto("about:blank")
    return [str(len(waits)), f"{np.median(waits):.2f}", f"{max(waits):.2f}", f"{np.median(sizes):,.0f}"]

"""For end-to-end tests: an app under `streamlit run`, and headless Chromium to look at it.

`streamlit_app(script)` is a context manager that yields the app's address. `chromium`, `page` and `visit` are pytest
fixtures; they skip the test where there is no Chromium.
"""

import os
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

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
CHROMIUM_ARGS += ["--disable-sync", "--no-first-run"]
START_S = 60  # the longest an app may take to answer


@contextmanager
def streamlit_app(script: Path, *options: str) -> Iterator[str]:
    """Run a Streamlit script on a free port of this machine, yield its address, stop it at the end.

    The script can import from the repository. `options` go to `streamlit run`, for example "--theme.base", "dark".
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true", "--browser.gatherUsageStats", "false"]
    command += ["--server.fileWatcherType", "none", *options]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    app = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", app)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait()


def _wait_until_healthy(address: str, app: subprocess.Popen) -> None:
    for _ in range(10 * START_S):
        if app.poll() is not None:
            pytest.fail(f"streamlit run ended with status {app.returncode} before the app answered.")
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"The app did not answer within {START_S} s.")


@pytest.fixture(scope="session")
def address():
    """The app's address. One server for all tests: every page they open is a visitor of its own."""
    with streamlit_app(REPOSITORY / "app.py") as url:
        yield url


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium: the system's, else the one playwright installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with playwright.sync_playwright() as p:
        executable = system or p.chromium.executable_path
        if not Path(executable).exists():
            pytest.skip("There is no Chromium on this machine (try: playwright install chromium).")
        browser = p.chromium.launch(executable_path=executable, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """An empty page, 1280 by 900 pixels, with a touch screen as well as a mouse."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, has_touch=True)
    yield context.new_page()
    context.close()


@pytest.fixture
def visit(page, address):
    """Opens a link and waits until its plots stand; at the end, no page may have thrown an error."""
    from playwright.sync_api import expect

    page.set_default_timeout(60_000)
    expect.set_options(timeout=30_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def go(link: str):
        page.goto(f"{address}/{link}")
        page.locator(".fpr b").first.get_by_text("%").wait_for()
        idle(page)
        return page

    yield go
    assert errors == []


def idle(page) -> None:
    """Waits until the server has answered."""
    page.wait_for_timeout(300)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()

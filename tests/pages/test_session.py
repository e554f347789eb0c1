"""What the server keeps of its visitors, and what visitors read of the server."""

import gc
import io
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import numpy as np
import pytest
from browser import REPOSITORY
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.components.session.session import OWN_RESULTS, _guards, without_folders
from pages.components.session.turns import AT_ONCE, pause, turn


@pytest.fixture
def run():
    _guards.clear()
    return AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=60).run()


def drawn(seed: int) -> bytes:
    page = np.zeros((280, 280), np.uint8)
    page[60:220, 130 + seed % 9 : 150 + seed % 9] = 255 - seed
    buffer = io.BytesIO()
    Image.fromarray(page).save(buffer, "PNG")
    return buffer.getvalue()


def test_nobodys_picture_stays_but_a_visitors_latest(run):
    for seed in range(OWN_RESULTS + 6):
        run.session_state.handed_over = (f"drawing {seed}", drawn(seed))
        run.session_state.example = None
        run.session_state.way = "Gallery"
        run.run()
        assert not run.exception
    assert len(run.session_state.own_results) == OWN_RESULTS
    other = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=60).run()
    assert "own_results" not in other.session_state


def test_no_run_waits_for_a_collection_of_all_garbage(run):
    """Streamlit would call gc.collect(2) after each run of a script: with torch's objects among what it looks at for 0.2 s,
    without them still for longer the more visitors there are. 150 of them then wait half a minute."""
    assert not run.exception
    assert gc.get_freeze_count() > 100_000
    assert tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text())["runner"]["postScriptGC"] is False


def test_few_scripts_run_at_a_time_and_whoever_waits_for_a_judge_lets_another_run():
    running, most, judged = 0, 0, Barrier(12)
    counting = Lock()

    def count(change: int) -> None:
        nonlocal running, most
        with counting:
            running += change
            most = max(most, running)

    def visitor() -> None:
        with turn:
            count(1)
            time.sleep(0.01)
            count(-1)
            with pause():
                judged.wait(10)  # breaks unless all twelve are here at the same time
            count(1)
            time.sleep(0.01)
            count(-1)

    with ThreadPoolExecutor(12) as threads:
        for run in [threads.submit(visitor) for _ in range(12)]:
            run.result()
    assert most == AT_ONCE


def test_a_turn_ends_with_a_run_that_is_cut_off():
    for _ in range(AT_ONCE + 1):
        with pytest.raises(RuntimeError), turn, pause():
            raise RuntimeError
    assert turn.acquire(timeout=1)
    turn.release()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("/srv/lab/robust/weights/mnist/vae.safetensors is missing.", "…/mnist/vae.safetensors is missing."),
        (
            "There are no trained nets in /home/ada/guards/mine. Make",
            "There are no trained nets in …/guards/mine. Make",
        ),
        ("It answers 3 of 16 images, and/or none.", "It answers 3 of 16 images, and/or none."),
    ],
)
def test_visitors_do_not_read_where_things_lie_on_the_server(text, read):
    assert without_folders(text) == read

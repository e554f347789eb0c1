"""The same guard in replicas on Ray: the same answers, also when a replica dies."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

pytest.importorskip("ray.serve", reason="Ray is not installed")

from robust import Guard
from robust.room.judge import Judge
from robust.room.judge_ray import NAME, RayJudge

ROOT = Path(__file__).resolve().parents[2]
PORT = 8593
CROSS = [[(200, 200), (800, 800)], [(800, 200), (200, 800)]]
ONE = [[(500, 150), (500, 850)]]
DOT = [[(500, 500)]]


def replicas(name: str) -> list[int]:
    """Process numbers of the replicas of a deployment on this machine."""
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if f"ray::ServeReplica:{name}:" in line]


def test_a_room_judged_on_ray_has_the_same_scores_and_survives_a_killed_replica():
    with ThreadPoolExecutor(1) as thread:  # a thread of its own, as in the app: browser tests leave a loop in this one
        thread.submit(compare_with_a_judge_here).result()


def compare_with_a_judge_here() -> None:
    guard = Guard.load(metrics=("vae_loss", "surprise", "delta_z"))
    drawings = [CROSS, ONE, DOT] * 12
    expected = Judge(guard).quickly(drawings)
    on_ray = RayJudge(guard, "local", replicas=2)
    try:
        first = on_ray.quickly(drawings)
        os.kill(replicas(NAME)[0], signal.SIGKILL)
        for found in (first, on_ray.quickly(drawings)):
            assert [row.get("reason") for row in found] == [row.get("reason") for row in expected]
            for row, alone in zip(found, expected):
                assert row["prediction"] == alone["prediction"]
                assert row["scores"] == pytest.approx(alone["scores"], rel=1e-4)
        slow = on_ray.slowly(drawings[:2], [row["prediction"] for row in expected[:2]])
        alone = Judge(guard).slowly(drawings[:2], [row["prediction"] for row in expected[:2]])
        assert [row["scores"]["delta_z"] for row in slow] == pytest.approx([row["scores"]["delta_z"] for row in alone], rel=1e-3)  # fmt: skip
    finally:
        on_ray.close()


@pytest.fixture(scope="module")
def served():
    command = [sys.executable, "-m", "robust", "serve", "--metrics", "vae_loss", "--port", str(PORT), "--replicas", "2"]
    server = subprocess.Popen([*command, "--ray"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
        for line in server.stderr:
            if "replicas answer" in line:
                break
        yield client
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0


def test_pictures_are_judged_and_counted_over_all_replicas(served):
    from tests.serving.test_http import png

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda i: served.post("/v1/judge", content=png(f"Digit {i % 10}")), range(40)))
    expected = Guard.load(metrics=("vae_loss",)).inspect(png("Digit 3")).as_json()
    row = answers[3].json()
    assert row["class"] == "3" and row["reliable"] == expected["reliable"]
    assert row["vae_loss"] == pytest.approx(expected["vae_loss"], rel=1e-4)
    told = served.get("/metrics").text
    counts = [float(line.split()[-1]) for line in told.splitlines() if line.startswith("robust_pictures_total")]
    assert sum(counts) == 40 and len(counts) >= 2


def test_a_killed_replica_is_replaced_while_the_other_answers(served):
    before = {served.get("/health").json()["process"] for _ in range(12)}
    assert len(before) == 2
    os.kill(victim := before.pop(), signal.SIGKILL)
    ends = time.monotonic() + 40
    after, failed = set(), 0
    while len(after - {victim}) < 2 and time.monotonic() < ends:
        answer = served.get("/health")
        failed += answer.status_code != 200
        after |= {answer.json()["process"]} if answer.status_code == 200 else set()
    assert len(after - {victim}) == 2
    assert failed <= 1  # asked one after the other, at most one was being answered by it

"""How a room holds: many phones that draw, the speaker's wall, a killed server, and clients that mean harm.

It starts the app, and draws with the pen strokes below ROBUST_DATA, or with scribbles where there are none.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from robust.data import strokes as pen_strokes
from robust.data.datasets import data_root
from robust.evaluation.app import wait_until_healthy
from robust.evaluation.tables import Table
from robust.room.drawing import SIDE
from robust.room.store import Store

PORT = 8599
EVERY_S = 20.0  # a phone draws so often
WALL_S = 0.7  # the wall asks so often


def measure(script: Path, phones: int, seconds: int) -> list[Table]:
    """Run the whole benchmark; raises RuntimeError where httpx is missing."""
    try:
        import httpx  # noqa: F401
    except ImportError:
        raise RuntimeError('httpx is missing: pip install -e ".[dev]" brings it.') from None
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_Bench(script, f"sqlite:///{folder}/rooms.db", phones, seconds).run())


def drawings(count: int) -> list[tuple[list, int | None]]:
    """Strokes and claims: pen strokes of digits and of letters, else scribbles that claim to be no digit."""
    rows = []
    for name in ("pendigits", "omniglot"):
        for file in sorted((data_root() / name).glob("*.jsonl"))[:1]:
            rows += [(_on_pad(row["strokes"]), row.get("label") if name == "pendigits" else None) for row in pen_strokes.read(file)]  # fmt: skip
    randomness = random.Random(0)
    if not rows:
        rows = [([[[randomness.randrange(SIDE) for _ in "xy"] for _ in range(30)]], None) for _ in range(100)]
    return [(strokes, None if claim is None else int(claim)) for strokes, claim in randomness.choices(rows, k=count)]


def _on_pad(strokes: list) -> list:
    """Strokes in any unit, in the middle of the pad, 76 % of it large."""
    xs, ys = zip(*[point for stroke in strokes for point in stroke])
    scale = 0.76 * SIDE / max(max(xs) - min(xs), max(ys) - min(ys), 1e-6)
    left, top = ((SIDE - scale * (max(values) - min(values))) / 2 for values in (xs, ys))
    return [[[int((x - min(xs)) * scale + left), int((y - min(ys)) * scale + top)] for x, y in s] for s in strokes]


class _Bench:
    def __init__(self, script: Path, database: str, phones: int, seconds: int):
        self.script, self.database, self.phones, self.seconds = script, database, phones, seconds
        self.store = Store(database)
        self.waits: list[float] = []
        self.errors, self.acknowledged = 0, set()
        self.seen: dict[int, float] = {}
        self.sent_at: dict[int, float] = {}

    def start(self) -> subprocess.Popen:
        options = ["--server.port", str(PORT), "--server.address", "127.0.0.1", "--server.headless", "true"]
        command = [sys.executable, "-m", "streamlit", "run", str(self.script), *options]
        app = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "ROBUST_DATABASE": self.database})
        wait_until_healthy(f"http://127.0.0.1:{PORT}")
        return app

    async def run(self) -> list[Table]:
        import httpx

        app = self.start()
        self.code, self.key = self.store.open_room()
        self.store.set_room(self.code, holds=False)
        limits = httpx.Limits(max_connections=self.phones + 50)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{PORT}/room/{self.code}", timeout=30, limits=limits
        ) as client:
            self.client = client
            await client.get("/state")  # loads the nets
            idle = memory_mb(app.pid)
            rows = drawings(self.phones * (int(self.seconds / EVERY_S) + 2))
            self.ends = time.monotonic() + self.seconds
            watching = asyncio.create_task(self.watch())
            half = asyncio.create_task(self.memory_after(app.pid, self.seconds / 2))
            await asyncio.gather(*(self.phone(i, rows[i :: self.phones]) for i in range(self.phones)))
            busy, lag = memory_mb(app.pid), await self.until_finished()
            await asyncio.sleep(4 * WALL_S)  # the wall asks once more
            watching.cancel()
            table = self.table(idle, await half, busy, lag)
            hostile = await self.mean_harm()
            killed = await self.kill(app, rows)
        app = self.app
        app.terminate()
        app.wait()
        return [table, hostile, killed]

    # --- Phones and the wall ---

    async def phone(self, number: int, rows: list) -> None:
        randomness = random.Random(number)
        await asyncio.sleep(randomness.uniform(0, EVERY_S))
        for i, (strokes, claim) in enumerate(rows):
            if time.monotonic() > self.ends:
                return
            began = time.monotonic()
            await self.draw(f"phone{number:06d}", f"drawing{number:06d}{i:04d}", strokes, claim)
            await asyncio.sleep(max(0, EVERY_S - (time.monotonic() - began)))

    async def draw(self, sender: str, key: str, strokes: list, claim: int | None) -> None:
        began = time.monotonic()
        body = {"sender": sender, "key": key, "nickname": "", "claim": claim, "strokes": strokes}
        try:
            answer = await self.client.post("/drawings", json=body)
            if answer.status_code != 202:
                self.errors += 1
                return
            number = answer.json()["number"]
            self.acknowledged.add(number)
            self.sent_at[number] = began
            while "place" in (await self.client.get(f"/drawings/{number}", params={"sender": sender})).json():
                pass
            self.waits.append(time.monotonic() - began)
        except Exception:
            self.errors += 1

    async def watch(self) -> None:
        """As the wall does."""
        since = 0.0
        while True:
            answer = await self.client.get("/wall", params={"since": since}, headers={"x-host-key": self.key})
            found = answer.json()
            since = found["until"]
            for row in found["drawings"]:
                if (row["scores"] or row["reason"]) and row["id"] not in self.seen:
                    self.seen[row["id"]] = time.monotonic()
            await asyncio.sleep(WALL_S)

    async def until_finished(self) -> float:
        """Seconds after the last drawing until each has its δz."""
        began = time.monotonic()
        while await asyncio.to_thread(self.store.unfinished, 1):
            await asyncio.sleep(0.2)
        return time.monotonic() - began

    async def memory_after(self, pid: int, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return memory_mb(pid)

    def table(self, idle: float, half: float, busy: float, lag: float) -> Table:
        walls = [self.seen[number] - self.sent_at[number] for number in self.sent_at if number in self.seen]
        lost = len(self.acknowledged) - len(self.acknowledged & set(self.seen))
        rows = [
            ["drawings judged", f"{len(self.waits):,}"],
            ["errors", str(self.errors)],
            ["acknowledged, and not on the wall", str(lost)],
            ["to the sender's verdict, p50", f"{np.median(self.waits):.2f} s"],
            ["to the sender's verdict, p95", f"{np.percentile(self.waits, 95):.2f} s"],
            ["to the wall, p95", f"{np.percentile(walls, 95):.2f} s"],
            ["last δz after the last drawing", f"{lag:.1f} s"],
            ["memory before, half way, at the end", f"{idle:.0f}, {half:.0f}, {busy:.0f} MB"],
        ]
        return Table(f"{self.phones} phones, a drawing every {EVERY_S:.0f} s each, {self.seconds} s", ["what", "measured"], rows)  # fmt: skip

    # --- Harm, and a killed server ---

    async def mean_harm(self) -> Table:
        """What hostile clients are told; meanwhile another phone is served."""
        good = {"sender": "hostile01", "key": "k" * 12, "nickname": "", "claim": None, "strokes": [[[500, 500]]]}
        cases = {
            "1 MB": b"x" * 1_000_000,
            "broken JSON": b"{",
            "nested 50,000 deep": b"[" * 50_000,
            "100,000 points": json.dumps(good | {"strokes": [[[0, 0]] * 100_000]}).encode(),
            "coordinates beside the pad": json.dumps(good | {"strokes": [[[0, 10**9]]]}).encode(),
            "a script as a name": json.dumps(good | {"sender": "<script>alert(1)</script>"}).encode(),
        }
        rows = []
        for words, body in cases.items():
            answer = await self.client.post("/drawings", content=body)
            rows.append([words, str(answer.status_code), answer.json()["error"]])
        answers = [await self.client.post("/drawings", json=good | {"key": f"key{i:09d}"}) for i in range(30)]
        told = [answer.status_code for answer in answers]
        rows.append(
            [
                "30 drawings at once",
                f"{told.count(202)} × 202, {told.count(429)} × 429",
                answers[-1].json().get("error", ""),
            ]
        )
        answer = await self.client.get("/wall", headers={"x-host-key": "guessed"})
        rows.append(["a guessed host key", str(answer.status_code), answer.json()["error"]])
        strokes, claim = drawings(1)[0]
        before = len(self.waits)
        await self.draw("bystander", "bystander0001", strokes, claim)
        rows.append(
            [
                "somebody else meanwhile",
                "served" if len(self.waits) > before else "NOT served",
                f"{self.waits[-1]:.2f} s",
            ]
        )
        return Table("Clients that mean harm", ["what", "status", "told"], rows)

    async def kill(self, app: subprocess.Popen, rows: list) -> Table:
        """SIGKILL while phones send; then a new server on the same database."""
        acknowledged = set()

        async def insist(i: int) -> None:
            strokes, claim = rows[i]
            body = {"sender": f"kill{i:06d}", "key": "k" * 12, "nickname": "", "claim": claim, "strokes": strokes}
            while True:  # as the phones' page does
                try:
                    answer = await self.client.post("/drawings", json=body)
                    if answer.status_code == 202:
                        acknowledged.add(answer.json()["number"])
                        return
                except Exception:
                    pass
                await asyncio.sleep(0.5)

        sending = [asyncio.create_task(insist(i)) for i in range(min(50, len(rows)))]
        await asyncio.sleep(0.15)
        app.send_signal(signal.SIGKILL)
        app.wait()
        at_kill = len(acknowledged)
        began = time.monotonic()
        self.app = await asyncio.to_thread(self.start)
        await asyncio.gather(*sending)
        back = time.monotonic() - began
        kept = {row["id"] for row in self.store.changed_since(self.code, 0, 1_000_000)}
        return Table(
            "A server killed while 50 phones send",
            ["what", "measured"],
            [
                ["acknowledged before the kill", str(at_kill)],
                ["acknowledged in all, by the restarted server too", str(len(acknowledged))],
                ["of these not in the database", str(len(acknowledged - kept))],
                ["all phones served again after", f"{back:.1f} s"],
            ],
        )


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")

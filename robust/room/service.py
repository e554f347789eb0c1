"""What the pages and the routes of one process share: the store, the judging thread, and who waits for which verdict."""

import asyncio
import json
import os
import threading

import numpy as np

from robust.guard import Guard
from robust.metrics import DeltaZ
from robust.room.judge import Judge
from robust.room.judging import JudgingThread
from robust.room.limits import ROOM, SENDER, Limit
from robust.room.store import Store, default_address
from robust.serving.source import GuardSource


class Rooms:
    """All rooms that this process serves; they are judged by one guard, on Ray at `ray_address` where there is one."""

    def __init__(self, store: Store, source: GuardSource, ray_address: str | None = None):
        self.store, self.ray_address = store, ray_address
        self.senders, self.rooms = Limit(*SENDER), Limit(*ROOM)
        self.waiters: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}
        self.ready = threading.Event()
        self.source, self.guard = source, None  # None before `ready`, and where it cannot be loaded
        self.worker = JudgingThread(store, self._load, self._judged)
        self.worker.start()

    def _load(self) -> Judge:
        try:
            guard = self.source.load()
            judge = self._judge(guard)
            self.guard = guard
            return judge
        finally:
            self.ready.set()

    def _judge(self, guard: Guard) -> Judge:
        if not self.ray_address:
            return Judge(guard)
        from robust.room.judge_ray import RayJudge

        return RayJudge(guard, self.ray_address)

    def _judged(self, numbers: list[int]) -> None:
        for number in numbers:
            if waiter := self.waiters.pop(number, None):
                loop, event = waiter
                loop.call_soon_threadsafe(event.set)

    async def wait_for(self, number: int, seconds: float) -> None:
        """Until a drawing is judged by this process, or so long."""
        loop = asyncio.get_running_loop()
        _, event = self.waiters.setdefault(number, (loop, asyncio.Event()))
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self.waiters.pop(number, None)

    def verdict(self, row: dict) -> dict:
        """What a judged drawing's sender reads: the answer, whether it was refused, and its place among good pictures."""
        guard, scores = self.guard, json.loads(row["scores"])
        rule = guard.rule
        known = {name: np.float64(score) for name, score in scores.items()} | {"prediction": row["prediction"]}
        metrics = [name for name in rule.metrics if name in scores]
        refusals = rule.refusals(known)
        words = [bool(refusals[name]) for name in metrics]
        refused = (all(words) if rule.decides == "all" else any(words)) if words else False
        first = next((name for name in metrics if name != DeltaZ.name), None)
        odder = float(np.mean(guard.reference[first] < scores[first])) if first else None
        return {
            "answer": guard.class_name(row["prediction"]),
            "probability": row["probability"],
            "refused": refused,
            "odder_than": odder,
        }


_lock, _opened = threading.Lock(), {}


def rooms(source: GuardSource) -> Rooms:
    """The rooms of this process; the first call opens the database and starts the judging, on ROBUST_RAY if it is set:
    a cluster's address, or "local"."""
    with _lock:  # the speaker's page and the first phone may ask at the same moment
        if source not in _opened:
            _opened[source] = Rooms(Store(default_address()), source, os.environ.get("ROBUST_RAY"))
        return _opened[source]


def stop_rooms() -> None:
    """End the judging, where it began."""
    for one in _opened.values():
        one.worker.stop()

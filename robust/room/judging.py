"""The worker that judges drawings: in batches, in one thread, the quick metrics at once and δz when nothing else waits."""

import json
import logging
import threading
from collections.abc import Callable

import torch

from robust.guard import Guard
from robust.inputs.decode import UnusableImage
from robust.metrics import DeltaZ
from robust.room.drawing import draw
from robust.room.store import Store

_LOGGER = logging.getLogger(__name__)
BATCH, SLOW_BATCH = 32, 8
FAILED = "It could not be judged: something is wrong with the classifier."
IDLE_S = 1.0  # until it looks for what another process took in


class JudgingThread(threading.Thread):
    """Judges whatever the store has waiting until `stop`. `on_judged` is called with the drawings' numbers, in this thread."""

    def __init__(self, store: Store, load_guard: Callable[[], Guard], on_judged: Callable[[list[int]], None]):
        super().__init__(name="room", daemon=True)
        self.store, self.load_guard, self.on_judged = store, load_guard, on_judged
        self.wake, self.stopped = threading.Event(), False

    def run(self) -> None:
        try:
            self.guard = self.load_guard()
        except Exception:  # a damaged folder, or whatever the owner's module raises; `load_guard` has told the room
            _LOGGER.exception("The room has no judge.")
            return
        quick = [metric for metric in self.guard.metrics.values() if metric.name != DeltaZ.name]
        self.quick, self.delta_z = quick, self.guard.metrics.get(DeltaZ.name)
        while not self.stopped:
            if self.judge_batch(self.store.waiting(BATCH), self.judge_quickly):
                continue
            if self.delta_z and self.judge_batch(self.store.unfinished(SLOW_BATCH), self.judge_slowly):
                continue
            self.wake.wait(IDLE_S)
            self.wake.clear()

    def stop(self) -> None:
        self.stopped = True
        self.wake.set()

    def judge_batch(self, rows: list[dict], judge: Callable[[list[dict]], None]) -> bool:
        """Whether there were any. Where judging fails the drawings are set aside, so that those after them get their turn."""
        if not rows:
            return False
        try:
            judge(rows)
        except Exception:  # the owner's classifier may raise anything
            _LOGGER.exception("Drawings could not be judged.")
            unjudged = {row["id"] for row in rows if row["prediction"] is None}
            self.store.write(
                [
                    {"id": row["id"], "finished": True} | ({"reason": FAILED} if row["id"] in unjudged else {})
                    for row in rows
                ]
            )
        self.on_judged([row["id"] for row in rows])
        return True

    def judge_quickly(self, rows: list[dict]) -> None:
        """By all metrics but δz."""
        found, pixels = [], []
        for row in rows:
            try:
                pixels.append(self.guard.prepare(draw(json.loads(row["strokes"]))).pixels)
                found.append({"id": row["id"], "finished": self.delta_z is None})
            except UnusableImage as error:
                self.store.write([{"id": row["id"], "reason": str(error), "finished": True}])
        if found:
            images = torch.stack(pixels)
            with torch.inference_mode():
                probabilities = self.guard.probabilities(images)
            predictions = probabilities.argmax(1)
            scores = {metric.name: metric.scores(images, predictions) for metric in self.quick}
            for i, row in enumerate(found):
                row["prediction"] = int(predictions[i])
                row["probability"] = float(probabilities[i, predictions[i]])
                row["scores"] = json.dumps({name: float(values[i]) for name, values in scores.items()})
            self.store.write(found)

    def judge_slowly(self, rows: list[dict]) -> None:
        """By δz."""
        images = torch.stack([self.guard.prepare(draw(json.loads(row["strokes"]))).pixels for row in rows])
        predictions = torch.tensor([row["prediction"] for row in rows])
        lengths = self.delta_z.scores(images, predictions)
        self.store.write(
            [
                {"id": row["id"], "finished": True, "scores": json.dumps(json.loads(row["scores"]) | {DeltaZ.name: _finite(length)})}
                for row, length in zip(rows, lengths)
            ]
        )  # fmt: skip


def _finite(length: float) -> float:
    """JSON has no infinity; the search gives up at far less than this."""
    return min(float(length), 1e6)

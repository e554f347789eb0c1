"""The worker that has drawings judged: in batches, in one thread, the quick metrics at once and δz when nothing else waits."""

import json
import logging
import threading
from collections.abc import Callable

from robust.room.judge import Judge
from robust.room.store import Store

_LOGGER = logging.getLogger(__name__)
FAILED = "It could not be judged: something is wrong with the classifier."
STOP_S = 10.0
IDLE_S = 1.0  # until it looks for what another process took in


class JudgingThread(threading.Thread):
    """Has judged whatever the store has waiting until `stop`. `on_judged` is called with the drawings' numbers, in this thread."""

    def __init__(self, store: Store, load_judge: Callable[[], Judge], on_judged: Callable[[list[int]], None]):
        super().__init__(name="room", daemon=True)
        self.store, self.load_judge, self.on_judged = store, load_judge, on_judged
        self.wake, self.stopped = threading.Event(), False

    def run(self) -> None:
        try:
            self.judge = self.load_judge()
        except Exception:  # a damaged folder, or whatever the owner's module raises; `load_judge` has told the room
            _LOGGER.exception("The room has no judge.")
            return
        quick, slow = self.judge.at_once
        while not self.stopped:
            if self.judge_batch(self.store.waiting(quick), self.judge_quickly):
                continue
            if self.judge.has_slow() and self.judge_batch(self.store.unfinished(slow), self.judge_slowly):
                continue
            self.wake.wait(IDLE_S)
            self.wake.clear()
        self.judge.close()

    def stop(self) -> None:
        """Ends the thread after the batch that it is at."""
        self.stopped = True
        self.wake.set()
        self.join(STOP_S)

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
        found = self.judge.quickly([json.loads(row["strokes"]) for row in rows])
        for row, judged in zip(rows, found):
            judged |= {"id": row["id"], "finished": "reason" in judged or not self.judge.has_slow()}
            if "scores" in judged:
                judged["scores"] = json.dumps(judged["scores"])
        self.store.write(found)

    def judge_slowly(self, rows: list[dict]) -> None:
        """By δz."""
        drawings, predictions = [json.loads(row["strokes"]) for row in rows], [row["prediction"] for row in rows]
        found = self.judge.slowly(drawings, predictions)
        scores = [json.dumps(json.loads(row["scores"]) | judged["scores"]) for row, judged in zip(rows, found)]
        self.store.write([{"id": row["id"], "finished": True, "scores": both} for row, both in zip(rows, scores)])

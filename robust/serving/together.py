"""Pictures that come at the same time are judged together, which costs little more than one alone."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue

import torch
from torch import Tensor

from robust.judge import Report

MOST = 32


class Together:
    """Judges what arrives from many threads, in one thread of its own; each gets what it would get alone."""

    def __init__(self, judge: Callable[[Tensor], list[Report]]):
        """`judge` takes prepared images (N, channels, size, size) in [0, 1], as `Guard.inspect_prepared` does."""
        self.judge = judge
        self.queue: SimpleQueue[tuple[Tensor, Future]] = SimpleQueue()
        threading.Thread(target=self._work, name="judge", daemon=True).start()

    def submit(self, pixels: Tensor) -> "Future[Report]":
        """The report of a prepared image (channels, size, size), or whatever the judge raises."""
        report: Future[Report] = Future()
        self.queue.put((pixels, report))
        return report

    def _work(self) -> None:
        while True:
            batch = [self.queue.get()]
            try:
                while len(batch) < MOST:
                    batch.append(self.queue.get_nowait())
            except Empty:
                pass
            waiting = [(pixels, report) for pixels, report in batch if report.set_running_or_notify_cancel()]
            if not waiting:
                continue
            try:
                reports = self.judge(torch.stack([pixels for pixels, _ in waiting]))
            except Exception as error:  # the owner's classifier may raise anything
                for _, report in waiting:
                    report.set_exception(error)
            else:
                for (_, report), found in zip(waiting, reports):
                    report.set_result(found)

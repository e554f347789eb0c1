"""Drawings in, answers and scores out: the judge of a room, without the room."""

import torch

from robust.guard import Guard
from robust.inputs.decode import UnusableImage
from robust.metrics import DeltaZ
from robust.room.drawing import Strokes, draw

QUICK, SLOW = 32, 8  # drawings at a time, by all metrics but δz and by δz


class Judge:
    """A guard, asked about drawings: at once by all metrics but δz, and by δz when there is time."""

    def __init__(self, guard: Guard):
        self.guard = guard
        self.quick = [metric for metric in guard.metrics.values() if metric.name != DeltaZ.name]
        self.delta_z = guard.metrics.get(DeltaZ.name)
        self.at_once = (QUICK, SLOW)

    def has_slow(self) -> bool:
        return self.delta_z is not None

    def close(self) -> None:
        """A judge in this process has nothing to give back."""

    def quickly(self, drawings: list[Strokes]) -> list[dict]:
        """For each drawing `prediction`, `probability` (0..1) and `scores` by metric; or the `reason` why there are none."""
        pixels, found = [], []
        for drawing in drawings:
            try:
                pixels.append(self.guard.prepare(draw(drawing)).pixels)
                found.append({})
            except UnusableImage as error:
                found.append({"reason": str(error)})
        readable = [row for row in found if not row]
        if readable:
            images = torch.stack(pixels)
            with torch.inference_mode():
                probabilities = self.guard.probabilities(images)
            predictions = probabilities.argmax(1)
            scores = {metric.name: metric.scores(images, predictions) for metric in self.quick}
            for i, row in enumerate(readable):
                row["prediction"] = int(predictions[i])
                row["probability"] = float(probabilities[i, predictions[i]])
                row["scores"] = {name: float(values[i]) for name, values in scores.items()}
        return found

    def slowly(self, drawings: list[Strokes], predictions: list[int]) -> list[dict]:
        """`scores` by δz."""
        images = torch.stack([self.guard.prepare(draw(drawing)).pixels for drawing in drawings])
        lengths = self.delta_z.scores(images, torch.tensor(predictions))
        return [{"scores": {DeltaZ.name: _finite(length)}} for length in lengths]


def _finite(length: float) -> float:
    """JSON has no infinity; the search gives up at far less than this."""
    return min(float(length), 1e6)

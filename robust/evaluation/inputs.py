"""How many digits on paper are read and accepted, by the kind of paper: `python -m robust benchmark inputs`.

Rendered sheets carry the pen strokes of Alimoglu & Alpaydin (1996). Any folder of pictures with a `labels.csv`
(columns file, label, kind; the label `none` is no digit) is measured as well.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from robust.data import sheets, strokes
from robust.data.datasets import data_root
from robust.data.image_sets import STROKES
from robust.evaluation.tables import Table
from robust.guard import Guard
from robust.inputs.decode import UnreadableImage, UnusableImage, open_image
from robust.inputs.prepare import prepare

FILE = "benchmark_inputs.json"
NO_DIGIT = "none"
TILE = 140  # px of each picture on the contact sheet
ACROSS = 4


@dataclass(frozen=True)
class Sample:
    """One picture file, what it shows ("0" to "9", or "none"), and its kind."""

    picture: bytes
    label: str
    kind: str


@dataclass(frozen=True)
class Outcome:
    """What became of a sample: the digit read, or None and the reason why not; and whether the guard accepts it."""

    sample: Sample
    read: str | None
    accepted: bool
    reason: str

    @property
    def is_good(self) -> bool:
        """A digit rightly read and accepted, or no digit and not accepted."""
        return not self.accepted if self.sample.label == NO_DIGIT else self.accepted and self.read == self.sample.label


def rendered(count: int, seed: int) -> Iterator[Sample]:
    """`count` sheets of each kind, by writers chosen by the seed, as JPEG; 28×28 as PNG.

    Raises FileNotFoundError where the strokes are not on this machine.
    """
    rows = strokes.read(data_root() / "pendigits" / STROKES["pendigits"])
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    for kind in sheets.KINDS:
        for i in chosen:
            buffer = io.BytesIO()
            photo = sheets.photograph(kind, rows[i]["strokes"], int(seed * len(rows) + i))
            photo.save(buffer, "PNG" if max(photo.size) <= 28 else "JPEG", quality=88)
            yield Sample(buffer.getvalue(), str(rows[i]["label"]), kind)


def labelled(folder: Path) -> Iterator[Sample]:
    """The pictures of a folder with a `labels.csv`. Raises FileNotFoundError without one, ValueError for other columns."""
    with open(folder / "labels.csv", newline="") as file:
        for row in csv.DictReader(file):
            if not {"file", "label", "kind"} <= row.keys():
                raise ValueError(f"{folder / 'labels.csv'} needs the columns file, label and kind.")
            yield Sample((folder / row["file"]).read_bytes(), row["label"], row["kind"])


def judged(guard: Guard, sample: Sample) -> Outcome:
    try:
        report = guard.inspect(sample.picture)
    except UnusableImage as error:
        return Outcome(sample, None, False, str(error))
    return Outcome(sample, report.class_name, report.reliable, report.reason)


def measure(guard: Guard, samples: Iterator[Sample]) -> list[Outcome]:
    return [judged(guard, sample) for sample in tqdm(samples, desc="read pictures", leave=False)]


def counted(outcomes: list[Outcome]) -> dict[str, dict[str, int]]:
    """By kind: pictures, and what became of them."""
    counts: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        digit = outcome.sample.label != NO_DIGIT
        kind = counts.setdefault(outcome.sample.kind, dict.fromkeys(("pictures", *COLUMNS), 0))
        right = outcome.read == outcome.sample.label
        kind["pictures"] += 1
        kind["read and accepted"] += digit and right and outcome.accepted
        kind["read, but refused"] += digit and right and not outcome.accepted
        kind["misread, refused"] += digit and not right and outcome.read is not None and not outcome.accepted
        kind["misread and accepted"] += digit and not right and outcome.accepted
        kind["not read"] += digit and outcome.read is None
        kind["no digit, accepted"] += not digit and outcome.accepted
    return counts


COLUMNS = (
    "read and accepted",
    "read, but refused",
    "misread, refused",
    "misread and accepted",
    "not read",
    "no digit, accepted",
)


def table(counts: dict[str, dict[str, int]], title: str) -> Table:
    rows = []
    for kind, found in counts.items():
        shares = [f"{found[column] / found['pictures']:.1%}" for column in COLUMNS]
        rows.append([kind, f"{found['pictures']:,}", *shares])
    return Table(title, ["kind", "pictures", *COLUMNS], rows)


def contact_sheet(outcomes: list[Outcome]) -> Image.Image:
    """Every failure: the picture, its ink, and what the nets saw, with the label and what came out."""
    failures = [outcome for outcome in outcomes if not outcome.is_good]
    width, height = 3 * TILE + 10, TILE + 16
    page = Image.new("RGB", (ACROSS * width, max(1, -(-len(failures) // ACROSS)) * height), "grey")
    pen = ImageDraw.Draw(page)
    for place, outcome in enumerate(failures):
        x, y = place % ACROSS * width, place // ACROSS * height
        said = outcome.read if outcome.read is not None else outcome.reason
        word = f"{outcome.sample.kind}: {outcome.sample.label}, read {said}{', accepted' if outcome.accepted else ''}"
        pen.text((x + 2, y + 2), word[:68], fill="white")
        for i, picture in enumerate(_steps(outcome.sample.picture)):
            scale = TILE / max(picture.size)
            tile = picture.convert("RGB").resize(
                [max(1, int(scale * side)) for side in picture.size], Image.Resampling.NEAREST
            )
            page.paste(tile, (x + i * TILE, y + 16))
    return page


def _steps(picture: bytes) -> list[Image.Image]:
    try:
        steps = dict(prepare(picture).steps)
        return [open_image(picture), *(steps[name] for name in ("Ink", list(steps)[-1]) if name in steps)]
    except UnreadableImage:
        return []
    except UnusableImage:
        return [open_image(picture)]


def run(guard: Guard, folder: Path, count: int, seed: int, others: list[Path]) -> tuple[list[Table], list[Outcome]]:
    """Measure rendered sheets, written to `benchmark_inputs.json` in the guard's folder, and the pictures of `others`."""
    outcomes = measure(guard, rendered(count, seed))
    counts = counted(outcomes)
    (folder / FILE).write_text(json.dumps({"seed": seed, "count": count, "kinds": counts}, indent=1) + "\n")
    tables = [table(counts, f"Digits on paper: {count} sheets of each kind")]
    for other in others:
        found = measure(guard, labelled(other))
        tables.append(table(counted(found), str(other)))
        outcomes += found
    return tables, outcomes

"""The live stream of *In production*: images arrive, the guard judges them, and everything is counted."""

import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import streamlit as st
from torch import Tensor

from pages.components.views.samples import SHIPPED
from robust import Drift, DriftWatch, Guard, Report
from robust.data.examples import samples
from robust.data.image_sets import letters
from robust.data.patterns import noise

TITLES = {"mnist": "Digits", "fashion-mnist": "Clothes", "letters": "Letters", "noise": "Noise"}
GENERATED = 60  # letters, and images of noise: enough not to see the same one all the time
BATCH = 8
RECENT = 50  # images over which the moving plot takes its shares
HISTORY = 600  # images that the moving plot shows
SHOWN = 12  # refused images kept to look at


@st.cache_resource(show_spinner=False)
def pools(in_distribution: str) -> dict[str, Tensor]:
    """What the stream is made of: the images of the in-distribution set first, then each kind that can be mixed in.

    Shipped or generated, so that no data set is needed. Empty when none of the in-distribution images ship.
    """
    if in_distribution not in SHIPPED:
        return {}
    shipped = {name: samples()[f"{key}_images"].float() / 255 for name, key in SHIPPED.items()}
    others = {name: images for name, images in shipped.items() if name != in_distribution}
    return (
        {in_distribution: shipped[in_distribution]}
        | others
        | {"letters": letters(GENERATED), "noise": noise(GENERATED)}
    )


@st.cache_resource(show_spinner=False)
def known_reports(folder: str) -> dict[tuple[str, int], Report]:
    """Reports on the images of the pools of a world, as the streams come across them; shared by all visitors."""
    return {}


def in_passes(count: int, randomness: random.Random) -> Iterator[int]:
    """0 to count - 1 in a random order, then again in another, and so on. Drawing with replacement from so few images
    would itself look like a drift."""
    while True:
        yield from randomness.sample(range(count), count)


@dataclass(frozen=True)
class Moment:
    """What the moving plot shows of one image's time: shares of the last images (0..1), and whether the watch alarms."""

    refused: float
    foreign: float
    alarm: bool


class LiveStream:
    """One visitor's stream. `kinds[0]` is the in-distribution set, the other kinds can be mixed in."""

    def __init__(self, guard: Guard, pools: dict[str, Tensor], known: dict[tuple[str, int], Report]):
        """`guard` judges; `known` holds reports on images of the pools by kind and place, and takes in new ones."""
        self.guard, self.pools, self.known = guard, pools, known
        self.kinds = list(pools)
        self.random = random.Random(0)
        self.places = {kind: in_passes(len(images), self.random) for kind, images in self.pools.items()}
        self.watch = DriftWatch(guard)
        self.counts = Counter()  # (foreign, refused) -> images
        self.recent = deque(maxlen=RECENT)  # (foreign, refused)
        self.history: deque[Moment] = deque(maxlen=HISTORY)
        self.refused: deque[tuple[str, Report]] = deque(maxlen=SHOWN)  # kind and report, the latest first

    def run(self, images: int, share: float, kind: str, seconds: float) -> None:
        """Let so many images arrive, or as many as can be judged in about so many seconds.

        Each is of the foreign `kind` with the probability `share` (0..1).
        """
        end = time.monotonic() + seconds
        while images > 0 and time.monotonic() < end:
            arrivals = [self._draw(share, kind) for _ in range(min(images, BATCH))]
            for (name, _), report in zip(arrivals, self._judge(arrivals), strict=True):
                self._count(name, report)
            images -= len(arrivals)

    def _draw(self, share: float, kind: str) -> tuple[str, int]:
        name = kind if self.random.random() < share else self.kinds[0]
        return name, next(self.places[name])

    def _judge(self, arrivals: list[tuple[str, int]]) -> list[Report]:
        """The same few pictures come again and again: each is judged by the nets once."""
        new = [arrival for arrival in dict.fromkeys(arrivals) if arrival not in self.known]
        images = (self.pools[name][place] for name, place in new)
        self.known.update(zip(new, self.guard.stream(images, BATCH, prepared=True)))
        return [self.guard.reconsider(self.known[arrival]) for arrival in arrivals]

    def _count(self, name: str, report: Report) -> None:
        foreign, refused = name != self.kinds[0], not report.reliable
        self.counts[foreign, refused] += 1
        self.recent.append((foreign, refused))
        if refused:
            self.refused.appendleft((name, report))
        drift = self.watch.add(report)
        if len(self.recent) == RECENT:
            shares = [sum(values) / RECENT for values in zip(*self.recent)]
            self.history.append(Moment(refused=shares[1], foreign=shares[0], alarm=bool(drift.causes)))

    @property
    def drift(self) -> Drift:
        return self.watch.drift

    @property
    def seen(self) -> int:
        return self.counts.total()

    @property
    def all_refused(self) -> int:
        return self.counts[False, True] + self.counts[True, True]

    @property
    def false_positives(self) -> tuple[int, int]:
        """In-distribution images refused, and all of them."""
        return self.counts[False, True], self.counts[False, True] + self.counts[False, False]

    @property
    def false_negatives(self) -> tuple[int, int]:
        """Foreign images accepted, and all of them."""
        return self.counts[True, False], self.counts[True, True] + self.counts[True, False]

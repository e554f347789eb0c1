"""A drift watch: says when the images that arrive are no longer like the reference.

A guard judges one image at a time, and refuses good ones at its false positive rate. A watch looks at many: does it
refuse more than it should, and are the scores distributed as they were on the reference set? Over a sliding window, it

- compares the share refused with the reference's by Fisher's exact test, one-sided: a rising share is the alarm. (A
  binomial test would take the reference's share for exact; it was itself counted on a finite set.)
- compares each metric's scores with the reference's by the two-sample Kolmogorov-Smirnov test. Ties, such as δz = 0,
  make it conservative.

**Repeated looks.** Many tests on many overlapping windows would find something sooner or later, so every p-value is
multiplied by the number of tests and by the number of looks in one window's length (Bonferroni). Hence the promise:
while nothing has changed, an alarm is raised in at most the share `alpha` of stretches of `window` images. That is one
false alarm in `window / alpha` images or fewer, as long as the images are independent of each other; the frames of a
film are not.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from robust.guard import Guard
from robust.judge import Report
from robust.serving.stream import Unusable

LOOKS = 10  # looks in the time a window needs to be replaced entirely
COLLECTING, STEADY, DRIFT = "collecting", "no drift", "drift"
REFUSED = "refused"  # the name of the test on the share refused, beside the metrics' names


@dataclass(frozen=True)
class Drift:
    """The watch's word after so many images.

    state: "collecting" until the first window is full, then "no drift" or "drift".
    seen: images so far. window: images it looks at.
    refused: share of the window that was refused, 0..1; expected: share of the reference set that is.
    p_values: corrected p-value of each test as of the last look, by metric name and "refused"; empty while collecting.
    since: the number of the image at which the present alarm was raised, counted from 1; None without one.
    causes: the words for what differs from the reference; empty unless the state is "drift".
    """

    state: Literal["collecting", "no drift", "drift"]
    seen: int
    window: int
    refused: float
    expected: float
    p_values: dict[str, float]
    since: int | None = None
    causes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The word for an operator."""
        shares = f"{self.refused:.0%} refused, {self.expected:.0%} expected"
        if self.state == COLLECTING:
            return f"Collecting: {self.seen} of the {self.window} images that a first word needs."
        if self.state == STEADY:
            return f"No drift: the last {self.window} images look like the reference ({shares})."
        return (
            f"Drift since image {self.since:,}: in the last {self.window} images, {' and '.join(self.causes)} "
            f"({shares}). Look at what was refused, then at where the images come from."
        )


class DriftWatch:
    """Takes verdicts one by one, and says after each whether the last `window` of them look like the reference."""

    def __init__(self, guard: Guard, window: int = 200, alpha: float = 0.01):
        """Watches what `guard` says, against its reference at its thresholds and rule.

        A larger `window` sees smaller drifts, later. `alpha` (0..1) bounds the share of windows with a false alarm.
        Raises ValueError for a window below 20 images or an alpha outside (0, 1).
        """
        if window < 2 * LOOKS:
            raise ValueError(f"The window must hold at least {2 * LOOKS} images, not {window}.")
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, not {alpha}.")
        self.window, self.alpha = window, alpha
        self.titles = {name: metric.title for name, metric in guard.metrics.items()}
        self.reference = {name: np.sort(guard.reference[name]) for name in guard.metrics}
        self.reference_refused = guard.rule.refused(guard.reference)
        self.verdicts: deque[tuple[bool, dict[str, float]]] = deque(maxlen=window)  # refused, scores by metric
        self.seen = 0
        self.every = window // LOOKS
        self.drift = self._word({}, None)

    def add(self, verdict: Report | Unusable) -> Drift:
        """The watch's word after one more verdict. An image that could not be judged counts as refused."""
        verdicts = verdict.verdicts if isinstance(verdict, Report) else {}
        self.verdicts.append((not verdict.reliable, {name: found.score for name, found in verdicts.items()}))
        self.seen += 1
        looks_now = self.seen >= self.window and (self.seen - self.window) % self.every == 0
        self.drift = self._word(self._p_values() if looks_now else self.drift.p_values, self.drift.since)
        return self.drift

    def _p_values(self) -> dict[str, float]:
        """Each test's p-value, times the tests and times the looks in one window."""
        found = {REFUSED: self._p_refused()} | {name: self._p_scores(name) for name in self.reference}
        looks = -(-self.window // self.every)
        return {name: min(1.0, p * len(found) * looks) for name, p in found.items()}

    def _p_refused(self) -> float:
        counts = [
            [int(refused.sum()), int((~refused).sum())]
            for refused in (np.array([refused for refused, _ in self.verdicts]), self.reference_refused)
        ]
        from scipy import stats  # half a second to import, and only drift needs it

        return float(stats.fisher_exact(counts, alternative="greater").pvalue)

    def _p_scores(self, name: str) -> float:
        scores = self.scores(name)
        from scipy import stats

        return float(stats.ks_2samp(scores, self.reference[name], method="asymp").pvalue) if scores.size else 1.0

    def scores(self, name: str) -> np.ndarray:
        """A metric's scores in the window, oldest first: (n,) with n at most `window`."""
        return np.array([scores[name] for _, scores in self.verdicts if name in scores])

    def _word(self, p_values: dict[str, float], since: int | None) -> Drift:
        alarms = [name for name, p in p_values.items() if p < self.alpha]
        moved = [self.titles[name] for name in alarms if name != REFUSED]
        causes = ["more are refused than expected"] if REFUSED in alarms else []
        causes += [f"the scores of {' and '.join(moved)} have moved"] if moved else []
        return Drift(
            state=COLLECTING if not p_values else DRIFT if alarms else STEADY,
            seen=self.seen,
            window=self.window,
            refused=float(np.mean([refused for refused, _ in self.verdicts])) if self.verdicts else 0.0,
            expected=float(self.reference_refused.mean()),
            p_values=p_values,
            since=(since or self.seen) if alarms else None,
            causes=tuple(causes),
        )

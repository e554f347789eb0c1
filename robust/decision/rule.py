"""The rule: thresholds, the sides on which they refuse, and which metrics must refuse."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from robust.decision.by_class import ClassThresholds
from robust.decision.thresholds import Side, refused

ANY, ALL = "any", "all"
OLD_NAMES = {"either": ANY, "both": ALL}  # in links, files and calls from when there were two metrics

Scores = Mapping[str, np.ndarray]


class Rates(NamedTuple):
    """fpr: share of good inputs refused, fnr: share of the comparison set accepted; each 0..1."""

    fpr: float
    fnr: float


@dataclass(frozen=True)
class Rule:
    """When an input is refused.

    thresholds, sides: each metric's threshold, and the side of it on which the metric refuses, by name.
    decides: "any" (one refusal is enough), "all" (all must refuse), or the metric whose word alone counts.
    by_class: for metrics that have a threshold for each predicted class; their scores come with "prediction", int (N,).
    """

    thresholds: dict[str, float]
    sides: dict[str, Side]
    decides: str
    by_class: Mapping[str, ClassThresholds] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """The metrics that the rule listens to."""
        return list(self.sides) if self.decides in (ANY, ALL) else [self.decides]

    def refusals(self, scores: Scores) -> dict[str, np.ndarray]:
        """Which inputs each metric refuses, bool (N,), of those metrics whose scores (N,) are given."""
        return {name: self._refusals(name, scores) for name in self.sides if name in scores}

    def _refusals(self, name: str, scores: Scores) -> np.ndarray:
        if name in self.by_class:
            found, labels = np.atleast_1d(scores[name], scores["prediction"])
            return self.by_class[name].refused(found, labels).reshape(np.shape(scores[name]))
        return refused(scores[name], self.thresholds[name], self.sides[name])

    def refused(self, scores: Scores) -> np.ndarray:
        """Which inputs the rule refuses, bool (N,). Raises KeyError where a metric that it listens to has no scores."""
        masks = [self._refusals(name, scores) for name in self.metrics]
        return np.logical_and.reduce(masks) if self.decides == ALL else np.logical_or.reduce(masks)

    def rates(self, reference: Scores, comparison: Scores) -> Rates:
        """What the rule costs on good inputs, and what it lets through of a comparison set."""
        return Rates(float(self.refused(reference).mean()), float((~self.refused(comparison)).mean()))

    def deciding(self, decides: str) -> "Rule":
        """The same thresholds under another word: "any", "all" or a metric's name."""
        return replace(self, decides=decides)


def rule_name(name: str, metrics: list[str]) -> str:
    """A rule as people, links and files give it: one of `metrics`, "any" or "all"; "either" and "both" are old names.

    Raises ValueError for a rule that does not exist.
    """
    name = OLD_NAMES.get(name, name)
    if name not in (*metrics, ANY, ALL):
        raise ValueError(f'There is no rule named "{name}"; there are {", ".join([*metrics, ANY, ALL])}.')
    return name

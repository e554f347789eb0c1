"""Surprise: what several metrics say together, on one scale, at one false positive rate."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from torch import Tensor

from robust.decision.thresholds import Side, outlier_scores
from robust.metrics import registry
from robust.metrics.base import Metric, Parts

OF = ("excess_loss", "evidence", "energy")  # fast, and blind to different things
NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})
TIE = 1e-5  # nets round a score's last digits otherwise in another batch: nearer than this, relatively, is equal


def tail_probability(scores: np.ndarray, reference: np.ndarray, refuses: Side, tie: float = 0.0) -> np.ndarray:
    """Share of good inputs, with reference scores (M,), that look at least as bad as each score (N,): (N,) in (0, 1].

    A conformal p-value (Bates et al., *Testing for Outliers with Conformal p-values*, 2023): at least 1 / (M + 1).
    Reference scores that are better by no more than tie · (1 + |score|) count as equal.
    """
    ordered = np.sort(outlier_scores(reference, refuses))
    scores = outlier_scores(scores, refuses)
    slack = np.where(np.isfinite(scores), tie * (1 + np.abs(scores)), 0)
    at_least = len(ordered) - np.searchsorted(ordered, scores - slack, side="left")
    return np.minimum((at_least + 1) / (len(ordered) + 1), 1.0)


class Surprise(Metric):
    """Fisher's sum -Σ w ln p over metrics (Fisher 1925), p the share of good inputs that look at least as bad to each.

    In nats; 0 for an input that is at its best for every metric. One threshold on the sum keeps one false positive
    rate, where "any refuses" adds up one for each metric. The weights w are 1 unless given (Good, *On the weighted combination
    of significance tests*, 1955).
    """

    name = "surprise"
    title = "Surprise"
    refuses = "high"
    digits = 2

    @classmethod
    def build(cls, parts: Parts, of: Sequence[str] = OF, weights: Mapping[str, float] = NO_WEIGHTS) -> "Surprise":
        return cls([registry.build(name, parts) for name in of], parts.reference, weights)

    def __init__(
        self, parts: Sequence[Metric], reference: Mapping[str, np.ndarray], weights: Mapping[str, float] = NO_WEIGHTS
    ):
        """parts: the metrics to join; reference: each one's scores (M,) on good inputs, by name; weights: of those that do
        not weigh 1, by name. Raises ValueError for weights that are not positive, or are of no part."""
        self.parts = {metric.name: metric for metric in parts}
        self.weights = dict(weights)
        if not (self.weights.keys() <= self.parts.keys() and all(map(_is_weight, self.weights.values()))):
            raise ValueError(f"weights are positive numbers for some of {', '.join(self.parts)}, not {self.weights}.")
        self.calibrate(reference)

    def calibrate(self, reference: Mapping[str, np.ndarray]) -> None:
        """Take the parts' scores on good inputs, by name; those that are missing are to come before it scores."""
        self.reference = {name: np.asarray(reference[name]) for name in self.parts if name in reference}

    def fit(self, images: Tensor, labels: Tensor | None, parts: Parts) -> None:
        for part in self.parts.values():
            part.fit(images, labels, parts)

    def state(self) -> dict[str, Tensor]:
        return {f"{name}/{key}": value for name, part in self.parts.items() for key, value in part.state().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        for name, part in self.parts.items():
            own = {key.partition("/")[2]: value for key, value in state.items() if key.startswith(f"{name}/")}
            if own:
                part.load_state(own)

    def options(self) -> dict:
        return {"of": list(self.parts)} | ({"weights": self.weights} if self.weights else {})

    def tail_probabilities(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """p (N,) of each part, from its scores (N,)."""
        return {
            name: tail_probability(scores[name], self.reference[name], metric.refuses, TIE)
            for name, metric in self.parts.items()
        }

    def combine(self, scores: dict[str, np.ndarray]) -> np.ndarray:
        """Surprise (N,) from each part's scores (N,), rounded as references are kept: an equal score stays equal."""
        exact = -sum(self.weight(name) * np.log(p) for name, p in self.tail_probabilities(scores).items())
        return exact.astype(np.float32).astype(np.float64)

    def combine_good(self) -> np.ndarray:
        """Surprise (M,) of the good inputs themselves, each against the others: as a fresh good input is, against all."""
        count = next(iter(len(scores) for scores in self.reference.values()))
        tails = {
            name: np.maximum((p * (count + 1) - 1) / count, 1 / count)
            for name, p in self.tail_probabilities(self.reference).items()
        }
        exact = -sum(self.weight(name) * np.log(p) for name, p in tails.items())
        return exact.astype(np.float32).astype(np.float64)

    def weight(self, name: str) -> float:
        return self.weights.get(name, 1.0)

    def part_scores(self, images: Tensor, predictions: Tensor) -> dict[str, np.ndarray]:
        """Each part's scores (N,) of images (N, channels, size, size)."""
        return {name: metric.scores(images, predictions) for name, metric in self.parts.items()}

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        return self.combine(self.part_scores(images, predictions))


def _is_weight(value) -> bool:
    return isinstance(value, int | float) and 0 < value < float("inf")

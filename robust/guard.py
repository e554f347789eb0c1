"""The guard: a classifier that answers, or says that its answer is not reliable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robust.metrics import DeltaZ, Metric, VAELoss
from robust.preprocess import prepare
from robust.thresholds import BOTH, EITHER, percentile, refused, rule_refused, threshold_at_fpr
from robust.world import DEFAULT_WORLD, World

DEFAULT_FPR = 0.05
BATCH = 256


@dataclass(frozen=True)
class Verdict:
    """One metric's word on one input: its score, the threshold, the score's percentile (0..100) among the reference."""

    title: str
    score: float
    threshold: float
    percentile: float
    reliable: bool


@dataclass(frozen=True)
class Report:
    """Everything the guard knows about one input.

    `probabilities` (classes,) sum to 1; `verdicts` maps each metric's name to its verdict; `reliable` is
    the word of the rule; `pixels` (channels, size, size) is the input as the nets see it.
    """

    prediction: int
    probabilities: np.ndarray
    verdicts: dict[str, Verdict]
    rule: str
    reliable: bool
    pixels: Tensor

    @property
    def probability(self) -> float:
        """The classifier's probability for its prediction, 0..1."""
        return float(self.probabilities[self.prediction])

    @property
    def delta_z(self) -> float:
        return self.verdicts["delta_z"].score

    @property
    def vae_loss(self) -> float:
        return self.verdicts["vae_loss"].score

    def __str__(self) -> str:
        return f"{self.prediction} · {self.reason}"

    @property
    def reason(self) -> str:
        """The verdict in words, such as "not reliable: δz and VAE loss both refuse"."""
        against = [verdict.title for verdict in self.verdicts.values() if not verdict.reliable]
        if self.reliable:
            return "reliable" if not against else f"reliable by this rule, though {_join(against)}"
        if self.rule not in (EITHER, BOTH):
            return f"not reliable: {self.verdicts[self.rule].title} refuses"
        return f"not reliable: {_join(against)}"

    def as_json(self) -> dict:
        """The fields that `python -m robust score` prints. A δz of ∞ becomes null, since JSON has no infinity."""
        scores = {name: v.score if np.isfinite(v.score) else None for name, v in self.verdicts.items()}
        words = {f"{name}_reliable": v.reliable for name, v in self.verdicts.items()}
        first = {"prediction": self.prediction, "probability": self.probability}
        return first | scores | words | {"reliable": self.reliable}


def _join(titles: list[str]) -> str:
    if len(titles) == 1:
        return f"{titles[0]} refuses"
    return f"{', '.join(titles[:-1])} and {titles[-1]} {'both ' if len(titles) == 2 else ''}refuse"


class NotReliableClassification(Exception):
    """The classifier answered, and the answer is not to be trusted.

    `prediction` is what it claimed, `report` every score.
    """

    def __init__(self, report: Report):
        super().__init__(str(report))
        self.prediction = report.prediction
        self.report = report


class Guard:
    """A classifier, the metrics that watch it, and the thresholds that make them a rule."""

    def __init__(
        self,
        classifier: Callable[[Tensor], Tensor],
        metrics: Sequence[Metric],
        reference: dict[str, np.ndarray],
        thresholds: dict[str, float] | None = None,
        rule: str = EITHER,
    ):
        """`classifier` maps images (N, channels, size, size) in [0, 1] to logits (N, classes).

        `reference` holds each metric's scores on good inputs. `thresholds` overrides some or all of the
        defaults, which refuse 5 % of the reference each. `rule` is a metric's name, "either" or "both".
        Raises ValueError for a metric name or rule that does not exist.
        """
        self.classifier = classifier
        self.metrics = {metric.name: metric for metric in metrics}
        self.reference = reference
        defaults = {m.name: threshold_at_fpr(reference[m.name], DEFAULT_FPR, m.refuses) for m in metrics}
        unknown = set(thresholds or {}) - set(defaults)
        if unknown:
            raise ValueError(f"There is no metric named {', '.join(sorted(unknown))}; there are {', '.join(defaults)}.")
        if rule not in (*defaults, EITHER, BOTH):
            raise ValueError(f'There is no rule named "{rule}"; there are {", ".join([*defaults, EITHER, BOTH])}.')
        self.thresholds = defaults | (thresholds or {})
        self.rule = rule

    @classmethod
    def load(
        cls, folder: str | Path = DEFAULT_WORLD, thresholds: dict[str, float] | None = None, rule: str = EITHER
    ) -> "Guard":
        """The guard of a world's LeNet. Raises DamagedWorld when files are missing or damaged."""
        return cls.of(World.load(folder), thresholds, rule)

    @classmethod
    def of(cls, world: World, thresholds: dict[str, float] | None = None, rule: str = EITHER) -> "Guard":
        return cls(world.nets["lenet"], world_metrics(world), world.reference, thresholds, rule)

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """Prepared images (N, channels, size, size) to class probabilities (N, classes)."""
        return torch.cat([self.classifier(part).softmax(1) for part in images.split(BATCH)])

    def score(self, images: Tensor, predictions: Tensor) -> dict[str, np.ndarray]:
        """Every metric's scores (N,) of prepared images (N, channels, size, size) in [0, 1]."""
        parts = [
            {name: metric.scores(part, predicted) for name, metric in self.metrics.items()}
            for part, predicted in zip(images.split(BATCH), predictions.split(BATCH))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.metrics}

    def verdict(self, name: str, score: float) -> Verdict:
        """What one metric says of a score at the current threshold. Runs no net."""
        metric, threshold, reference = self.metrics[name], self.thresholds[name], self.reference[name]
        reliable = not refused(score, threshold, metric.refuses)
        return Verdict(metric.title, score, threshold, percentile(score, reference), bool(reliable))

    def with_thresholds(self, thresholds: dict[str, float], rule: str) -> "Guard":
        """The same classifier and metrics under other thresholds."""
        return Guard(self.classifier, list(self.metrics.values()), self.reference, thresholds, rule)

    def report(self, probabilities: np.ndarray, scores: dict[str, float], pixels: Tensor) -> Report:
        """Judge scores at the current thresholds. Runs no net."""
        verdicts = {name: self.verdict(name, scores[name]) for name in self.metrics}
        refuses = rule_refused(self.rule, {name: np.bool_(not verdict.reliable) for name, verdict in verdicts.items()})
        return Report(int(probabilities.argmax()), probabilities, verdicts, self.rule, not refuses, pixels)

    def reconsider(self, report: Report) -> Report:
        """The same scores at this guard's thresholds. Runs no net."""
        scores = {name: verdict.score for name, verdict in report.verdicts.items()}
        return self.report(report.probabilities, scores, report.pixels)

    def inspect_prepared(self, images: Tensor) -> list[Report]:
        """Reports on prepared images (N, channels, size, size) in [0, 1]."""
        probabilities = self.probabilities(images)
        scores = self.score(images, probabilities.argmax(1))
        rows = probabilities.numpy()
        return [
            self.report(rows[i], {name: float(values[i]) for name, values in scores.items()}, image)
            for i, image in enumerate(images)
        ]

    def inspect(self, image) -> Report:
        """Report on an image: PIL image, array, path, bytes or tensor. Never raises for an unreliable input.

        Raises UnusableImage when the input is no image, or holds nothing to read.
        """
        return self.inspect_prepared(prepare(image).pixels.unsqueeze(0))[0]

    def classify(self, image) -> int:
        """The classifier's answer. Raises NotReliableClassification when the rule refuses it."""
        report = self.inspect(image)
        if not report.reliable:
            raise NotReliableClassification(report)
        return report.prediction


def world_metrics(world: World) -> list[Metric]:
    """The metrics of a world, in the order in which they are shown. A new metric is one line here."""
    nets = world.nets
    return [DeltaZ(nets["lenet"], nets["generator"], nets["inverter"]), VAELoss(nets["vae"])]

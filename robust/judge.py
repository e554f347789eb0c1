"""The judge: metrics, their scores on good images, and a rule, which together make a report of one input's scores.

It knows nothing of fitting, files or streams; `robust.guard` puts a classifier before it.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from robust.data.datasets import batch_for
from robust.decision.by_class import thresholds_by_class
from robust.decision.choices import FPR, Choice, threshold_value
from robust.decision.promise import Promise
from robust.decision.rule import ALL, ANY, Rule, rule_name
from robust.decision.thresholds import percentile, refused
from robust.metrics.base import Metric

DEFAULT_FPR = 0.05

Choices = Mapping[str, Choice]


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
    the word of the rule; `pixels` (channels, size, size) is the input as the nets see it; `class_name` is what people
    call the prediction.
    """

    prediction: int
    probabilities: np.ndarray
    verdicts: dict[str, Verdict]
    rule: str
    reliable: bool
    pixels: Tensor
    class_name: str

    @property
    def probability(self) -> float:
        """The classifier's probability for its prediction, 0..1."""
        return float(self.probabilities[self.prediction])

    @property
    def delta_z(self) -> float | None:
        """δz; None where the guard has no such metric."""
        return self.verdicts["delta_z"].score if "delta_z" in self.verdicts else None

    @property
    def vae_loss(self) -> float | None:
        """The VAE loss, in nats; None where the guard has no such metric."""
        return self.verdicts["vae_loss"].score if "vae_loss" in self.verdicts else None

    def __str__(self) -> str:
        return f"{self.class_name} · {self.reason}"

    @property
    def reason(self) -> str:
        """The verdict in words, such as "not reliable: δz and VAE loss both refuse"."""
        against = [verdict.title for verdict in self.verdicts.values() if not verdict.reliable]
        if self.reliable:
            return "reliable" if not against else f"reliable by this rule, though {_join(against)}"
        if self.rule not in (ANY, ALL):
            title = self.verdicts[self.rule].title
            others = [other for other in against if other != title]
            also = f", and so {'do' if len(others) > 1 else 'does'} {' and '.join(others)}" if others else ""
            return f"not reliable: {title} refuses{also}"
        return f"not reliable: {_join(against)}"

    def as_json(self) -> dict:
        """The fields that `python -m robust score` prints. A δz of ∞ becomes null, since JSON has no infinity."""
        scores = {name: v.score if np.isfinite(v.score) else None for name, v in self.verdicts.items()}
        words = {f"{name}_reliable": v.reliable for name, v in self.verdicts.items()}
        first = {"prediction": self.prediction, "class": self.class_name, "probability": self.probability}
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


class Judge:
    """What turns scores into a report. Runs no net but those of its metrics."""

    def __init__(
        self,
        metrics: Sequence[Metric],
        reference: dict[str, np.ndarray],
        thresholds: Choices | None = None,
        rule: str | None = None,
        by_class: bool = False,
    ):
        """`reference` holds each metric's scores on good images. `thresholds` and `rule` as in `robust.Guard`; `by_class`:
        a promised FPR is kept among the images of each predicted class, the reference's "prediction".

        Raises ValueError for a metric name, threshold or rule that does not exist, and for an FPR that the reference is
        too small to tell from 0.
        """
        self.metrics = {metric.name: metric for metric in metrics}
        self.reference, self.by_class = reference, by_class
        self.choices: dict[str, Choice] = {name: FPR(DEFAULT_FPR) for name in self.metrics}
        joined = [metric.name for metric in metrics if metric.parts]
        self._choose(thresholds or {}, rule or (joined[0] if joined else ANY))

    def _choose(self, thresholds: Choices, rule: str, kept: Rule | None = None) -> None:
        """What is not chosen anew stays as it is in `kept`."""
        names = list(self.metrics)
        anew = thresholds if kept else names
        check_names(thresholds, names)
        self.choices = self.choices | dict(thresholds)
        for name, choice in thresholds.items():
            _check_fpr(name, choice, len(self.reference[name]))
        sides = {name: metric.refuses for name, metric in self.metrics.items()}
        values = {name: threshold_value(self.choices[name], self.reference[name], sides[name]) for name in anew}
        chosen = {name: self.choices[name] for name in anew} if self.by_class else {}
        classes = thresholds_by_class(chosen, self.reference, sides)
        if kept:
            values = kept.thresholds | values
            classes = {name: kept.by_class[name] for name in kept.by_class if name not in thresholds} | classes
        self.rule = Rule(values, sides, rule_name(rule, names), classes)

    def with_thresholds(self, thresholds: Choices, rule: str | None = None) -> "Judge":
        """The same metrics under other thresholds; what is not given stays as it is."""
        other = copy.copy(self)
        other._choose(thresholds, rule or self.rule.decides, self.rule)
        return other

    def with_reference(self, reference: dict[str, np.ndarray]) -> "Judge":
        """The same metrics and choices on other scores of good images, `all_scores` of them."""
        return Judge(list(self.metrics.values()), reference, self.choices, self.rule.decides, self.by_class)

    def refusals_of_each(self, scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Which inputs each metric refuses, bool (N,), given their scores (N,) by metric; and each of those that it joins, at
        a threshold for the same share of good inputs."""
        found = self.rule.refusals(scores)
        for joined in self.metrics.values():
            choice = self.choices[joined.name]
            for name, part in joined.parts.items():
                if name in scores and name not in found and isinstance(choice, FPR | Promise):
                    threshold = threshold_value(choice, self.reference[name], part.refuses)
                    found[name] = refused(scores[name], threshold, part.refuses)
        return found

    def score(self, images: Tensor, predictions: Tensor) -> dict[str, np.ndarray]:
        """Every metric's scores (N,) of prepared images (N, channels, size, size) in [0, 1]."""
        batch = batch_for(images)
        parts = [
            {name: metric.scores(part, predicted) for name, metric in self.metrics.items()}
            for part, predicted in zip(images.split(batch), predictions.split(batch))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.metrics}

    def verdict(self, name: str, score: float, prediction: int | None = None) -> Verdict:
        """What one metric says of a score at the current threshold, or at that of the predicted class."""
        metric, threshold, reference = self.metrics[name], self.rule.thresholds[name], self.reference[name]
        if prediction is not None and name in self.rule.by_class:
            threshold = self.rule.by_class[name].thresholds.get(prediction, self.rule.by_class[name].of_all)
        reliable = not refused(score, threshold, metric.refuses)
        return Verdict(metric.title, score, threshold, percentile(score, reference), bool(reliable))

    def report(self, probabilities: np.ndarray, scores: dict[str, float], pixels: Tensor, class_name: str) -> Report:
        """Judge one input's scores, by metric, at the current thresholds."""
        prediction = int(probabilities.argmax())
        verdicts = {name: self.verdict(name, scores[name], prediction) for name in self.metrics}
        reliable = not self.rule.refused(scores | {"prediction": prediction})
        return Report(prediction, probabilities, verdicts, self.rule.decides, reliable, pixels, class_name)


def single_metrics(metrics: Collection[Metric]) -> dict[str, Metric]:
    """By name, the metrics that look at images, and those that the others join: all that a reference is made of."""
    single = {metric.name: metric for metric in metrics if not metric.parts}
    return single | {name: part for metric in metrics for name, part in metric.parts.items() if name not in single}


def check_names(names: Collection[str], known: Sequence[str]) -> None:
    """Raises ValueError for a name that no metric has."""
    if unknown := set(names) - set(known):
        raise ValueError(f"There is no metric named {', '.join(sorted(unknown))}; there are {', '.join(known)}.")


def _check_fpr(name: str, choice: Choice, count: int) -> None:
    """Raises ValueError for an FPR that `count` reference images cannot tell from 0."""
    if isinstance(choice, FPR) and 0 < choice.share * count < 1:
        raise ValueError(
            f"An FPR of {choice.share:g} for {name} needs at least {int(np.ceil(1 / choice.share))} test "
            f"images to be measured on, and {count} are scored: choose a larger FPR, or a threshold by value."
        )

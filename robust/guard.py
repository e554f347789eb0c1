"""The guard: a classifier that answers, or says that its answer is not reliable."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from robust.decision.rule import ALL, ANY, Rule, rule_name
from robust.decision.thresholds import FPR, Percentile, percentile, refused, threshold_value
from robust.inputs.prepare import Prepared, prepare
from robust.metrics import DeltaZ, Energy, Evidence, Metric, Parts, Surprise, VAELoss, registry
from robust.models.world import DEFAULT_WORLD, World, is_fitted
from robust.serving.stream import BATCH as STREAM_BATCH
from robust.serving.stream import Unusable, stream

if TYPE_CHECKING:
    from robust.fitting import FittedGuard

DEFAULT_FPR = 0.05
DEFAULT_STEPS = 8000
BATCH = 256
SHOWN = (DeltaZ.name, VAELoss.name, Surprise.name)  # a world's metrics, in the order in which pages show them
SINGLE = (DeltaZ.name, VAELoss.name, Evidence.name, Energy.name)  # those that need no other metric's scores


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


class Guard:
    """A classifier, the metrics that watch it, and the thresholds that make them a rule."""

    def __init__(
        self,
        classifier: Callable[[Tensor], Tensor],
        metrics: Sequence[Metric],
        reference: dict[str, np.ndarray],
        thresholds: dict[str, float | FPR | Percentile] | None = None,
        rule: str | None = None,
        prepare: Callable[..., Prepared] = prepare,
        class_names: Sequence[str] | None = None,
    ):
        """`classifier` maps images (N, channels, size, size) in [0, 1] to logits (N, classes).

        `reference` holds each metric's scores on good inputs. `thresholds` overrides some or all of the
        defaults, which refuse 5 % of the reference each: a number, `FPR(0.01)` or `Percentile(95)`.
        `rule` is a metric's name, "any" (one refusal is enough) or "all" (all must refuse); by default it is
        "surprise" where there is that metric, else "any". `prepare` makes pixels of a picture. `class_names` are what
        people call the classes, else their numbers.
        Raises ValueError for a metric name, threshold or rule that does not exist.
        """
        self.classifier = classifier
        self.metrics = {metric.name: metric for metric in metrics}
        self.reference = reference
        self.choices: dict[str, float | FPR | Percentile] = {name: FPR(DEFAULT_FPR) for name in self.metrics}
        self._choose(thresholds or {}, rule or (Surprise.name if Surprise.name in self.metrics else ANY))
        self.prepare = prepare
        self.class_names = class_names
        self.identity: dict[str, str] = {}  # SHA-256 of the files of a guard that was loaded

    def _choose(self, thresholds: dict[str, float | FPR | Percentile], rule: str) -> None:
        names = list(self.metrics)
        unknown = set(thresholds) - set(names)
        if unknown:
            raise ValueError(f"There is no metric named {', '.join(sorted(unknown))}; there are {', '.join(names)}.")
        self.choices = self.choices | thresholds
        values = {
            name: threshold_value(self.choices[name], self.reference[name], metric.refuses)
            for name, metric in self.metrics.items()
        }
        sides = {name: metric.refuses for name, metric in self.metrics.items()}
        self.rule = Rule(values, sides, rule_name(rule, names))

    @property
    def thresholds(self) -> dict[str, float]:
        """Each metric's threshold, by name."""
        return self.rule.thresholds

    @classmethod
    def fit(
        cls,
        classifier,
        train_data,
        test_data,
        metrics: Sequence[str | Metric] = SHOWN,
        fpr: float = DEFAULT_FPR,
        thresholds: dict[str, float | FPR | Percentile] | None = None,
        rule: str | None = None,
        steps: int = DEFAULT_STEPS,
        seed: int = 0,
        checkpoints: str | Path | None = None,
        labels=None,
    ) -> "FittedGuard":
        """Train the metrics' nets on `train_data`, take thresholds from `test_data`, and guard the classifier.

        classifier: whatever gives logits or probabilities (N, classes) for images (N, channels, size, size) in [0, 1]:
            a torch module, a function, or an object with predict_proba, which gets the images flattened in that order.
            Rows that are non-negative and sum to 1 are taken as probabilities. `AnyClassifier` says the rest.
        train_data, test_data: tensors or arrays, uint8 or floats in [0, 1], or torch Datasets of (image, label); grey
            or colour, 28 to 64 pixels square. Labels are not needed. At least 128 to train on, 100 to test on, and
            none in both.
        metrics: by name ("delta_z", "vae_loss", "surprise", "energy", "evidence"), or metrics of your own (`Metric`), or
            detectors of pytorch-ood (`PytorchOOD`). Surprise joins VAE loss, energy where the classifier gives logits,
            and evidence where there are `labels`. δz follows the classifier's gradients where there are some, and
            otherwise asks it about some 1,600 generated images for every image it scores.
        fpr: share of the test images that each metric may refuse, where `thresholds` says nothing else.
        thresholds: metric name to a number, `FPR(0.01)` or `Percentile(95)`.
        rule: refuse when "any" metric does, when "all" do, or a metric's name; by default Surprise decides where it is
            among the metrics, else any.
        steps: of each training stage. The default takes about an hour on two cores for 28 or 32 pixels, four times as
            long for 64; the VAE alone takes a few minutes.
        checkpoints: a folder in which an interrupted fit resumes when it is started again with the same data; what it
            put there is removed when it is done.
        labels: classes (N,) of the training images, whole numbers, for the metrics that learn from them.

        Raises ValueError, before it trains, for whatever does not fit.
        """
        from robust.fitting import fit  # builds on this module

        return fit(classifier, train_data, test_data, metrics, fpr, thresholds, rule, steps, seed, checkpoints, labels)

    @classmethod
    def load(
        cls,
        folder: str | Path = DEFAULT_WORLD,
        thresholds: dict[str, float | FPR | Percentile] | None = None,
        rule: str | None = None,
        classifier=None,
        metrics: Sequence[str] | None = None,
    ) -> "Guard":
        """The guard of a world's LeNet, or a fitted guard, whose `classifier` is given back to it.

        `folder` may be a name in weights/. `metrics` are those to use, else all that it has.
        `thresholds` and `rule` override the defaults of a world, or what a fitted guard was saved with.
        Raises DamagedWorld when files are missing or damaged, and ValueError for another classifier than the saved
        guard's, which is told by its answers to a few stored images.
        """
        if is_fitted(folder):
            from robust.fitting import load  # builds on this module

            return load(folder, classifier, thresholds, rule, metrics)
        if classifier is not None:
            raise ValueError(f"{folder} is a world, which has a classifier of its own: load it without one.")
        return cls.of(World.load(folder), thresholds, rule, metrics)

    @classmethod
    def of(
        cls,
        world: World,
        thresholds: dict[str, float | FPR | Percentile] | None = None,
        rule: str | None = None,
        metrics: Sequence[str] | None = None,
    ) -> "Guard":
        """The guard of a world's LeNet, with all its metrics or those named."""
        chosen, names = world_metrics(world, metrics), world.subject.classes
        guard = cls(world.nets["lenet"], chosen, world.reference, thresholds, rule, world.prepare, names)
        guard.identity = world.manifest["sha256"]
        return guard

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

    def with_thresholds(self, thresholds: dict[str, float | FPR | Percentile], rule: str | None = None) -> "Guard":
        """The same classifier and metrics under other thresholds; what is not given stays as it is."""
        other = copy.copy(self)
        other._choose(thresholds, rule or self.rule.decides)
        return other

    def report(self, probabilities: np.ndarray, scores: dict[str, float], pixels: Tensor) -> Report:
        """Judge scores at the current thresholds. Runs no net."""
        verdicts = {name: self.verdict(name, scores[name]) for name in self.metrics}
        refuses = bool(self.rule.refused(scores))
        prediction = int(probabilities.argmax())
        name = self.class_name(prediction)
        return Report(prediction, probabilities, verdicts, self.rule.decides, not refuses, pixels, name)

    def class_name(self, label: int) -> str:
        """What people call a class: its number where the guard knows no names."""
        return self.class_names[label] if self.class_names else str(label)

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

    def score_table(self, images: Tensor) -> dict[str, np.ndarray]:
        """Judge many prepared images (N, channels, size, size) in [0, 1] without a report for each.

        Columns (N,) by the names of `Report.as_json`: prediction int64, class, probability float64, each metric's score
        float64 (a δz may be ∞), and what each metric and the rule say, bool.
        """
        probability, predictions = self.probabilities(images).max(1)
        scores = self.score(images, predictions)
        classes = np.array([self.class_name(label) for label in predictions.tolist()], dtype=object)
        first = {"prediction": predictions.numpy(), "class": classes, "probability": probability.double().numpy()}
        words = {f"{name}_reliable": ~mask for name, mask in self.rule.refusals(scores).items()}
        return first | scores | words | {"reliable": ~self.rule.refused(scores)}

    def read(self, image) -> Tensor:
        """An image as the nets take it, (channels, size, size) in [0, 1]: here, cut out and centred like a digit.


        Takes a PIL image, array, path, bytes or tensor. Raises UnusableImage when it is none, or holds nothing to read.
        """
        return self.prepare(image).pixels

    def inspect(self, image) -> Report:
        """Report on whatever `read` takes. Never raises for an unreliable input, but UnusableImage for none."""
        return self.inspect_prepared(self.read(image).unsqueeze(0))[0]

    def classify(self, image) -> int:
        """The classifier's answer. Raises NotReliableClassification when the rule refuses it."""
        report = self.inspect(image)
        if not report.reliable:
            raise NotReliableClassification(report)
        return report.prediction

    def stream(
        self, images: Iterable, batch_size: int = STREAM_BATCH, prepared: bool = False
    ) -> Iterator[Report | Unusable]:
        """Verdicts on images one after the other, lazily, in order and in bounded memory: see robust/serving/stream.py."""
        return stream(self, images, batch_size, prepared)


def parts_of(world: World) -> Parts:
    """What a world offers its metrics; one in the making has no reference yet."""
    return Parts(world.nets["lenet"], world.nets, world.scores.get(world.in_distribution, {}))


def single_metrics(world: World) -> list[Metric]:
    """The metrics of a world that need no other metric's scores."""
    return [registry.build(name, parts_of(world)) for name in SINGLE]


def world_metrics(world: World, names: Sequence[str] | None = None) -> list[Metric]:
    """The metrics of a world, all or those named, in the order in which they are shown: the two published ones, and
    what joins VAE loss, evidence and energy.

    Raises ValueError for a name that no metric has.
    """
    unknown = set(names or ()) - set(SHOWN)
    if unknown:
        raise ValueError(f"There is no metric named {', '.join(sorted(unknown))}; there are {', '.join(SHOWN)}.")
    return [registry.build(name, parts_of(world)) for name in SHOWN if names is None or name in names]

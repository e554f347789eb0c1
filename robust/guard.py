"""The guard: a classifier that answers, or says that its answer is not reliable."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from robust.data.datasets import batch_for
from robust.decision.choices import choice_as_json, choice_from_json
from robust.decision.rule import ALL, ANY, OLD_NAMES
from robust.decision.selective import SelectiveRisk, certified_threshold, selective_risk, strict_to_lenient
from robust.inputs.arrays import check_floats, check_shape, prepare_as_given
from robust.inputs.prepare import Prepared, prepare
from robust.judge import DEFAULT_FPR, Choices, Judge, NotReliableClassification, Report, check_names
from robust.metrics import Metric, Parts, Surprise, registry
from robust.models.classifier import AnyClassifier
from robust.models.fingerprint import check_fingerprint
from robust.models.store import (
    AS_GIVEN,
    DEFAULT_WORLD,
    FINGERPRINT,
    SCORES,
    TRAINING_IMAGES,
    Contents,
    checked,
    guard_folder,
    read_contents,
    read_manifest,
    read_scores,
    save_net,
    write_manifest,
    write_scores,
)
from robust.serving.stream import BATCH as STREAM_BATCH
from robust.serving.stream import Unusable, stream

DEFAULT_STEPS = 8000


class Guard:
    """A classifier, the judge of its answers, and the way to read an input."""

    def __init__(
        self,
        classifier: Callable[[Tensor], Tensor],
        metrics: Sequence[Metric],
        reference: dict[str, np.ndarray],
        thresholds: Choices | None = None,
        rule: str | None = None,
        prepare: Callable[..., Prepared] | None = None,
        class_names: Sequence[str] | None = None,
        contents: Contents | None = None,
        by_class: bool = False,
    ):
        """`classifier` maps images (N, channels, size, size) in [0, 1] to logits (N, classes).

        `reference` holds each metric's scores on good inputs. `thresholds` overrides some or all of the
        defaults, which refuse 5 % of the reference each: a number, `FPR(0.01)` or `Percentile(95)`.
        `rule` is a metric's name, "any" (one refusal is enough) or "all" (all must refuse); by default it is
        "surprise" where there is that metric, else "any". `prepare` makes pixels of a picture. `class_names` are what
        people call the classes, else their numbers. `contents` is what `fit` and `load` know beside that; `by_class` as in `fit`.
        Raises ValueError for a metric name, threshold or rule that does not exist.
        """
        self.classifier = classifier
        self.judge = Judge(metrics, reference, thresholds, rule, by_class)
        self.contents = contents
        self.prepare = prepare or _preparing(contents)
        self.class_names = class_names or (contents.subject.classes if contents else None)

    metrics = property(lambda self: self.judge.metrics, doc="The metrics, by name.")
    reference = property(lambda self: self.judge.reference, doc="Scores (N,) of good images, by metric.")
    choices = property(
        lambda self: self.judge.choices, doc="How each threshold was chosen: a number, FPR or Percentile."
    )
    rule = property(lambda self: self.judge.rule, doc="The `Rule`: thresholds, sides, and what decides.")
    thresholds = property(lambda self: self.judge.rule.thresholds, doc="Each metric's threshold, by name.")

    @property
    def identity(self) -> dict[str, str]:
        """The SHA-256 of the files that it was loaded from, by name; empty where it was not."""
        return self.contents.identity if self.contents else {}

    @property
    def scores(self) -> dict[str, dict[str, np.ndarray]]:
        """Scores (N,) by metric, on the reference set and on every comparison set, by the set's name."""
        return {self.contents.dataset: self.reference} | self.contents.comparisons

    @classmethod
    def fit(
        cls,
        classifier,
        train_data,
        test_data,
        metrics: Sequence[str | Metric] = (Surprise.name,),
        fpr: float = DEFAULT_FPR,
        confidence: float | None = 0.95,
        thresholds: Choices | None = None,
        rule: str | None = None,
        steps: int = DEFAULT_STEPS,
        seed: int = 0,
        checkpoints: str | Path | None = None,
        labels=None,
        class_names: Sequence[str] | None = None,
        output: Literal["logits", "probabilities"] | None = None,
        features: str | Callable[[Tensor], Tensor] | None = None,
        layout: Literal["NCHW", "NHWC"] = "NCHW",
        device: str | torch.device | None = None,
        by_class: bool = False,
    ) -> "Guard":
        """Fit metrics to `train_data`, take thresholds from `test_data`, and guard the classifier.

        classifier: whatever gives logits or probabilities (N, classes) for images (N, channels, size, size) in [0, 1]: a
            torch module, a scikit-learn classifier, an ONNX Runtime session, a function. `AnyClassifier` says the rest.
        train_data, test_data: tensors or arrays, uint8 or floats in [0, 1], or torch Datasets of (image, label); grey
            or colour, square, at least 28 pixels a side. At least 128 to train on, 100 to test on, and none in both.
        metrics: by name, or metrics of your own (`Metric`), or detectors of pytorch-ood (`PytorchOOD`). By default Surprise,
            which joins what takes seconds to fit: energy (or confidence), KNN, early and late layers, and exposure; and
            evidence, which trains a net for minutes, where there are `labels`. "orientation" (with `labels`), "vae_loss",
            "excess_loss" and "delta_z" train nets, too, on images of at most 64 pixels.
            δz follows the classifier's gradients where there are some, and otherwise asks it about some 1,600 generated
            images for every image it scores.
        fpr, confidence: at most this share of good images is refused, with this confidence, where `thresholds` says nothing
            else. Of metrics of which any may refuse, each gets its part of it. Without a confidence (None) each metric's
            share is counted on the test images: on others it is as often larger as smaller.
        thresholds: metric name to a number, `Promise(0.01)`, `FPR(0.01)` or `Percentile(95)`.
        rule: refuse when "any" metric does, when "all" do, or a metric's name; by default Surprise decides where it is
            among the metrics, else any.
        steps: of each training stage, for metrics that train nets. The default takes about an hour on two cores for δz, a
            few minutes for VAE loss, at 28 or 32 pixels.
        checkpoints: a folder in which an interrupted fit resumes when it is started again with the same data; what it
            put there is removed when it is done.
        labels: classes (N,) of the training images, whole numbers, for the metrics that learn from them.
        class_names: what people call the classes, else their numbers.
        output: "logits" or "probabilities", where the classifier's output could be taken for either.
        features: what KNN compares: the name of a submodule, or a function of images; else what enters the last layer.
        layout: "NHWC" for a classifier that takes an image's colours last; found out where it fails on the other way.
        device: where a torch classifier works, such as "cuda".
        by_class: keep the promise among the images of each predicted class, where there are enough of it (59 for 5 %), so
            that no class pays for another.

        Raises ValueError, before it trains, for whatever does not fit.
        """
        from robust import fitting  # training is not needed to judge a picture

        named = {"features_of": features} if isinstance(features, str) else {"features": features}
        fitted = fitting.fit(
            classifier, train_data, test_data, metrics, fpr, confidence, thresholds, rule, steps, seed, checkpoints,
            labels, class_names, by_class, output=output, layout=layout, device=device, **named,
        )  # fmt: skip
        return cls(*fitted)

    @classmethod
    def load(
        cls,
        folder: str | Path = DEFAULT_WORLD,
        thresholds: Choices | None = None,
        rule: str | None = None,
        classifier=None,
        metrics: Sequence[str] | None = None,
        features: Callable[[Tensor], Tensor] | None = None,
        device: str | torch.device | None = None,
    ) -> "Guard":
        """A guard from its folder, or by its name in weights/.

        `classifier` is given back to a guard that `fit` made, and `features` if they were a function; a world has its own.
        `metrics` are those to use, else all that it has. `thresholds` and `rule` override what it was saved with. `device`
        is where a torch classifier works.
        Raises DamagedWorld when files are missing or damaged, and ValueError for another classifier than the saved
        guard's, which is told by its answers to a few stored images.
        """
        folder = guard_folder(folder)
        manifest = read_manifest(folder)
        ships = manifest["classifier"].get("net")
        if ships and classifier is not None:
            raise ValueError(f"{folder} is a world, which has a classifier of its own: load it without one.")
        if ships and device is not None and torch.device(device).type != "cpu":
            raise ValueError(f"{folder} is a world, whose small nets work on the CPU: load it without a device.")
        if not ships and classifier is None:
            raise ValueError(
                f"The guard in {folder} needs its classifier back: Guard.load({str(folder)!r}, classifier=...)"
            )
        contents = read_contents(
            folder, manifest, [*([ships] if ships else []), *registry.nets_of(manifest["metrics"])]
        )
        if ships:
            classifier = contents.nets[ships]
        else:
            classifier = AnyClassifier(classifier, **manifest["classifier"], features=features, device=device)
            check_fingerprint(classifier, contents.fingerprint, folder)
        scores = read_scores(checked(folder, SCORES, manifest))
        reference, contents.comparisons = scores.pop(contents.dataset), scores
        made = _saved_metrics(folder, manifest, Parts(classifier, contents.nets, reference))
        check_names(metrics or (), [metric.name for metric in made])
        made = [metric for metric in made if metrics is None or metric.name in metrics]
        names = [metric.name for metric in made]
        choices = {n: choice_from_json(choice) for n, choice in manifest["thresholds"].items() if n in names}
        rule = rule or (manifest["rule"] if manifest["rule"] in (*names, ANY, ALL, *OLD_NAMES) else None)
        return cls(
            classifier,
            made,
            reference,
            choices | dict(thresholds or {}),
            rule,
            contents=contents,
            by_class=manifest.get("by_class", False),
        )

    def save(self, folder: str | Path) -> None:
        """Write the guard into one folder of safetensors and JSON, which `Guard.load` reads; a guard there is replaced.

        The folder of a guard that `fit` made then holds 16 of the test images. Raises ValueError for a folder with
        something else in it.
        """
        folder, contents = Path(folder), self.contents
        if contents is None:
            raise ValueError("Only a guard that Guard.fit made, or Guard.load read, can be saved.")
        is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        if not is_free and not _can_be_replaced(folder, contents):
            raise ValueError(f"{folder} holds something else than a guard: choose a new folder.")
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.safetensors"):  # of the guard that this one replaces
            file.unlink()
        (folder / "manifest.json").unlink(missing_ok=True)
        for name, net in contents.nets.items():
            save_net(net, folder / f"{name}.safetensors")
        for name, metric in self.metrics.items():
            if state := metric.state():
                save_file(state, folder / f"metric_{name}.safetensors")
        write_scores(folder, self.scores)
        for name, kept in ((FINGERPRINT, contents.fingerprint), (TRAINING_IMAGES, contents.training)):
            if kept:
                save_file(kept, folder / name)
        about = {
            "dataset": contents.dataset,
            "subject": asdict(contents.subject) | {"classes": list(self.class_names)},
            "config": asdict(contents.config),
            "reader": contents.reader,
            "classifier": _about_classifier(self.classifier),
            "metrics": [{"kind": metric.kind, "options": metric.options()} for metric in self.metrics.values()],
            "thresholds": {name: choice_as_json(choice) for name, choice in self.judge.choices.items()},
            "rule": self.rule.decides,
            "by_class": self.judge.by_class,
        }
        write_manifest(folder, contents.measured | about)

    def refit(self, classifier, train_data, test_data, labels=None) -> "Guard":
        """A guard of a classifier that was trained anew, with the nets of this one: only what takes seconds is fitted again.

        Arguments as in `fit`; `labels` for metrics that learn from them in `fit`, not for evidence, whose net is kept. Raises
        ValueError for a classifier that does not know the same number of classes, or gives probabilities where the one before
        gave logits, and for a world.
        """
        from robust import fitting  # training is not needed to judge a picture

        return type(self)(
            *fitting.refit(self.judge, self.contents, self.classifier, classifier, train_data, test_data, labels)
        )

    def self_test(self) -> dict[str, dict[str, float]]:
        """The share of each comparison set that is accepted, 0..1, by every metric, by those that Surprise joins, and by the
        "rule": {set: {metric: share}}.

        The sets of a guard that `fit` made are what no guard should accept (`robust.data.probes`): its own images spoilt in
        several ways, black, white and noise, and the digits and clothes that ship.
        """
        return {
            name: {metric: float((~mask).mean()) for metric, mask in self.judge.refusals_of_each(columns).items()}
            | {"rule": float((~self.rule.refused(columns)).mean())}
            for name, columns in self.contents.comparisons.items()
        }

    def selective_risk(self, images, labels, confidence: float = 0.95) -> SelectiveRisk:
        """How often the guard answers labelled images (N, channels, size, size) in [0, 1], and how often wrongly.

        The risk is NaN where it answers none. Raises ValueError for images or labels that do not fit. See
        `robust.decision.selective` for curves and for the threshold at which at most a given share of the answers is wrong.
        """
        table, wrong = self._scored_and_wrong(images, labels)
        return selective_risk(wrong, ~table["reliable"], confidence)

    def with_risk(self, images, labels, risk: float, confidence: float = 0.95) -> "Guard":
        """This guard at the most lenient threshold at which at most the share `risk` (0..1) of its answers is wrong.

        It answers as often as it can, on labelled images (N, channels, size, size) in [0, 1] that it has not seen
        (`robust.decision.selective.certified_threshold`). Raises ValueError where the rule is more than one metric's word,
        and where the images do not show it.
        """
        name = self.rule.decides
        if name not in self.metrics:
            raise ValueError("Choose the metric whose word alone counts first: with_thresholds({}, rule=its name).")
        (table, wrong), side = self._scored_and_wrong(images, labels), self.metrics[name].refuses
        tested = strict_to_lenient(self.reference[name], len(wrong), risk, side, confidence)
        found = certified_threshold(table[name], wrong, tested, risk, side, confidence)
        if found is None:
            raise ValueError(
                f"These images do not show {risk:.2%} at any threshold, with {confidence:.0%} confidence: allow a larger "
                "share of wrong answers, or give more images."
            )
        return self.with_thresholds({name: found.threshold})

    def _scored_and_wrong(self, images, labels) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The table of labelled images, and which answers are wrong, bool (N,)."""
        labels = np.asarray(labels)
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be {len(images)} whole numbers, one for each image.")
        table = self.score_table(images)
        return table, table["prediction"] != labels

    def calibrate(self, test_data) -> "Guard":
        """Take the reference distributions from other good images, without training, and return this guard.

        `test_data` as in `Guard.fit`. Thresholds that were chosen by FPR or percentile move; those chosen by value
        stay. With δz, at most 2,000 images are scored, or 500 where the classifier gives no gradients, drawn by
        chance. Raises ValueError, and changes nothing, for images that do not fit.
        """
        from robust import fitting  # training is not needed to judge a picture

        self.judge, found = fitting.calibrated(self.judge, self.classifier, self.contents, test_data)
        self.contents = replace(self.contents, comparisons=found)
        return self

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """Prepared images (N, channels, size, size) to class probabilities (N, classes). Raises ValueError for others."""
        self._check(images)
        return torch.cat([self.classifier(part).softmax(1) for part in images.split(batch_for(images))])

    def _check(self, images: Tensor) -> None:
        """Raises ValueError unless they are what `read` gives, floats (N, channels, size, size) in [0, 1]."""
        if self.contents and len(images):
            check_shape(images, **self.contents.config.shape, what="The images")
            if images.dtype == torch.uint8:
                raise ValueError("The images: prepared ones are floats from 0 to 1. Divide these by 255.")
            check_floats(images, "The images")

    def with_thresholds(self, thresholds: Choices, rule: str | None = None) -> "Guard":
        """The same classifier and metrics under other thresholds; what is not given stays as it is."""
        other = copy.copy(self)
        other.judge = self.judge.with_thresholds(thresholds, rule)
        return other

    def report(self, probabilities: np.ndarray, scores: dict[str, float], pixels: Tensor) -> Report:
        """Judge one input's scores at the current thresholds. Runs no net."""
        return self.judge.report(probabilities, scores, pixels, self.class_name(int(probabilities.argmax())))

    def class_name(self, label: int) -> str:
        """What people call a class: its number where the guard knows no names."""
        return self.class_names[label] if self.class_names else str(label)

    def reconsider(self, report: Report) -> Report:
        """The same scores at this guard's thresholds. Runs no net."""
        scores = {name: verdict.score for name, verdict in report.verdicts.items()}
        return self.report(report.probabilities, scores, report.pixels)

    def inspect_prepared(self, images: Tensor) -> list[Report]:
        """Reports on prepared images (N, channels, size, size), floats in [0, 1]. Raises ValueError for others."""
        if len(images) == 0:
            return []
        probabilities = self.probabilities(images)
        scores = self.judge.score(images, probabilities.argmax(1))
        rows = probabilities.numpy()
        return [
            self.report(rows[i], {name: float(values[i]) for name, values in scores.items()}, image)
            for i, image in enumerate(images)
        ]

    def score_table(self, images: Tensor) -> dict[str, np.ndarray]:
        """Judge many prepared images (N, channels, size, size) in [0, 1] without a report for each.

        Columns (N,) by the names of `Report.as_json`: prediction int64, class, probability float64, each metric's score
        float64 (a δz may be ∞), and what each metric and the rule say, bool. Raises ValueError for images that do not fit.
        """
        images = torch.as_tensor(images)
        probability, predictions = self.probabilities(images).max(1)
        scores = self.judge.score(images, predictions)
        classes = np.array([self.class_name(label) for label in predictions.tolist()], dtype=object)
        first = {"prediction": predictions.numpy(), "class": classes, "probability": probability.double().numpy()}
        told = scores | {"prediction": predictions.numpy()}
        words = {f"{name}_reliable": ~mask for name, mask in self.rule.refusals(told).items()}
        return first | scores | words | {"reliable": ~self.rule.refused(told)}

    def read(self, image) -> Tensor:
        """An image as the nets take it, (channels, size, size) in [0, 1].

        Takes a PIL image, array, path, bytes or tensor. A world cuts out what it shows and centres it
        (`robust.inputs.prepare`); a guard that `fit` made takes it as it is (`robust.inputs.arrays`). Raises
        UnusableImage when it is no image, or holds nothing to read.
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


def _preparing(contents: Contents | None) -> Callable[..., Prepared]:
    """How a guard with these contents reads a picture."""
    if contents is None:
        return prepare
    if contents.reader == AS_GIVEN:
        return partial(prepare_as_given, **contents.config.shape)
    return partial(prepare, **contents.config.shape, ink_share=contents.subject.ink_share)


def _saved_metrics(folder: Path, manifest: dict, parts: Parts) -> list[Metric]:
    """The metrics that the manifest names, with what they have learned."""
    made = [registry.build(saved["kind"], parts, **saved["options"]) for saved in manifest["metrics"]]
    for metric in made:
        name = f"metric_{metric.name}.safetensors"
        if name in manifest["sha256"]:
            metric.load_state(load_file(checked(folder, name, manifest)))
    return made


def _can_be_replaced(folder: Path, contents: Contents) -> bool:
    """Whether a folder holds a guard; one whose classifier ships with it gives way only to another of that kind."""
    if not (folder / "manifest.json").is_file():
        return False
    return contents.ships or "net" not in read_manifest(folder)["classifier"]


def _about_classifier(classifier) -> dict:
    if not isinstance(classifier, AnyClassifier):
        return {"net": "lenet"}
    return classifier.settings()

"""Fitting a guard to any classifier: check everything, train the metrics' nets, calibrate, save and load.

A saved guard is one folder:

    vae, generator, inverter, … .safetensors  the nets of its metrics
    metric_NAME.safetensors                  what a metric has learned beside nets
    scores.safetensors                       the reference distributions, "test/<metric>"
    fingerprint.safetensors                  a few test images and the classifier's answers to them
    manifest.json                            configuration, metrics, thresholds, rule, SHA-256 of every file

The classifier itself is not in it: it is the caller's, and `Guard.load(folder, classifier=...)` takes it back.
"""

import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from robust.data.datasets import checksum, to_bytes, to_float
from robust.data.examples import samples
from robust.data.image_sets import fit as fit_to
from robust.data.image_sets import noise
from robust.data.subjects import Subject
from robust.decision.rule import ALL, ANY, OLD_NAMES
from robust.decision.thresholds import FPR, Percentile
from robust.guard import Guard, Report
from robust.inputs.arrays import check_floats, check_shape, image_set, prepare_as_given, read_image
from robust.metrics import Energy, Evidence, Metric, Parts, Surprise, VAELoss, registry
from robust.models import training
from robust.models.classifier import AnyClassifier, same_answers
from robust.models.config import Config
from robust.models.world import (
    FITTED,
    FORMAT,
    SCORES,
    World,
    build_net,
    checked,
    is_fitted,
    read_manifest,
    read_scores,
    write_manifest,
    write_scores,
)

FEWEST_TO_TRAIN, FEWEST_TO_TEST = 128, 100  # one training batch; an FPR in whole per cents
PROBES = 1000  # test images that the classifier is tried on before training
REFERENCE = 2000  # test images with a δz: minutes; an FPR of 5 % is then good to ±0.5 %
BLACK_BOX_REFERENCE = 500  # each some 1,600 classifications; an FPR of 5 % is then good to ±1 %
FINGERPRINT = 16
OWN = "test"  # the name of the reference set
COMPARED, BLACK_BOX_COMPARED = 200, 20  # images of each comparison set
SAMPLES = {"mnist": "mnist", "fashion-mnist": "fashion"}  # comparison sets that ship, and their keys there
BATCH = 32  # images scored for each tick of the progress bar


class FittedGuard(Guard):
    """A guard made by `Guard.fit`. It takes images as they are (`robust.inputs.arrays.read_image` says which), and it can be
    saved, loaded and calibrated anew."""

    classifier: AnyClassifier

    def __init__(
        self,
        classifier: AnyClassifier,
        config: Config,
        metrics: Sequence[Metric],
        nets: dict[str, nn.Module],
        reference: dict[str, np.ndarray],
        fingerprint: dict[str, Tensor],
        thresholds: dict[str, float | FPR | Percentile],
        rule: str | None,
    ):
        """`nets` are those of the `metrics`, by name; `reference` holds the scores of Surprise's parts, too.

        `fingerprint`: "images" uint8 (N, channels, size, size) and "answers" (N, classes), as probabilities.
        """
        self.config, self.nets, self.fingerprint = config, nets, fingerprint
        self.comparisons: dict[str, dict[str, np.ndarray]] = {}  # scores of images that are none of the user's, by set
        super().__init__(classifier, metrics, reference, thresholds, rule, partial(prepare_as_given, **config.shape))

    def load_nets(self, files: dict[str, Path]) -> None:
        """Weights for `self.nets`, from their safetensors files."""
        for name, net in self.nets.items():
            net.load_state_dict(load_file(files[name]))

    @property
    def world(self) -> World:
        """The guard as pages see it: its nets, its reference and its comparison sets."""
        manifest = {"dataset": OWN, "config": asdict(self.config), "subject": asdict(self.subject)}
        return World(Path(), manifest, self.nets, {OWN: self.reference} | self.comparisons)

    @property
    def subject(self) -> Subject:
        """What the pictures show: classes that go by their numbers."""
        return Subject(tuple(self.class_names or map(str, range(self.config.classes))))

    def read(self, image) -> Tensor:
        """An image as float (channels, size, size), by `read_image`. Raises UnusableImage."""
        return read_image(image, **self.config.shape)

    def inspect_prepared(self, images: Tensor) -> list[Report]:
        """Reports on images (N, channels, size, size), floats in [0, 1]. Raises ValueError for others."""
        if len(images) == 0:
            return []
        check_shape(images, **self.config.shape, what="The images")
        check_floats(images, "The images")
        return super().inspect_prepared(images)

    def calibrate(self, test_data) -> "FittedGuard":
        """Take the reference distributions from other good images, without training, and return this guard.

        `test_data` as in `Guard.fit`. Thresholds that were chosen by FPR or percentile move; those chosen by value
        stay. With δz, at most 2,000 images are scored, or 500 where the classifier gives no gradients, drawn by
        chance. Raises ValueError, and changes nothing, for images that do not fit.
        """
        images = _drawn(_test_images(test_data, self.config), self.metrics, self.classifier)
        self._check_fprs(len(images))
        reference = self._scored(images, "calibrate")
        surprise = self.metrics.get(Surprise.name)
        if surprise:
            surprise.calibrate(reference)
            reference[surprise.name] = surprise.combine(reference)
        self.reference = reference
        self._choose({}, self.rule.decides)
        self._warn_of_idle_metrics()
        self._compare(images)
        return self

    def _compare(self, test: Tensor) -> None:
        """Score images that are none of the user's: noise, and the shipped digits and clothes unless they are his."""
        most = COMPARED if self.classifier.has_gradients or "delta_z" not in self.metrics else BLACK_BOX_COMPARED
        every = len(samples()["mnist_labels"]) // most
        sets = {"noise": (to_bytes(noise(most, self.config.size, self.config.channels)), torch.full((most,), -1))}
        own = {image.numpy().tobytes() for image in test}
        for name, key in SAMPLES.items():
            shipped = samples()[f"{key}_images"]
            if not any(image.numpy().tobytes() in own for image in shipped):
                images = to_bytes(fit_to(to_float(shipped[::every]), **self.config.shape))
                sets[name] = (images, samples()[f"{key}_labels"][::every])
        self.comparisons = {}
        for name, (images, labels) in sets.items():
            columns = self._scored(images, f"compare with {name}")
            if Surprise.name in self.metrics:
                columns[Surprise.name] = self.metrics[Surprise.name].combine(columns)
            self.comparisons[name] = columns | {"label": labels.numpy()}

    def _scored(self, images: Tensor, title: str) -> dict[str, np.ndarray]:
        """Scores (N,) of images uint8 by every metric but Surprise, and by its parts; predictions and probabilities."""
        surprise = self.metrics.get(Surprise.name)
        single = {name: metric for name, metric in self.metrics.items() if metric is not surprise}
        single |= {name: part for name, part in (surprise.parts if surprise else {}).items() if name not in single}
        found: dict[str, list[np.ndarray]] = {name: [] for name in (*single, "prediction", "probability")}
        with tqdm(total=len(images), desc=title, unit="image") as progress:
            for part in images.split(BATCH):
                part = to_float(part)
                probability, predictions = self.probabilities(part).max(1)
                for name, metric in single.items():
                    found[name].append(metric.scores(part, predictions))
                found["prediction"].append(predictions.numpy())
                found["probability"].append(probability.numpy())
                progress.update(len(part))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _choose(self, thresholds: dict[str, float | FPR | Percentile], rule: str) -> None:
        super()._choose(thresholds, rule)
        self._check_fprs(len(next(iter(self.reference.values()))))

    def _check_fprs(self, count: int) -> None:
        """Raises ValueError for an FPR that `count` reference images cannot tell from 0."""
        for name, choice in self.choices.items():
            if isinstance(choice, FPR) and 0 < choice.share * count < 1:
                raise ValueError(
                    f"An FPR of {choice.share:g} for {name} needs at least {int(np.ceil(1 / choice.share))} test "
                    f"images to be measured on, and {count} are scored: choose a larger FPR, or a threshold by value."
                )

    def _warn_of_idle_metrics(self) -> None:
        scores, threshold = self.reference.get("delta_z"), self.thresholds.get("delta_z")
        if scores is not None and threshold == 0:
            warnings.warn(
                f"δz refuses nothing at its threshold of 0: for {np.mean(scores == 0):.0%} of the test images the "
                "classifier already reads their reconstruction G(I(x)) otherwise. Fit with more steps, or without δz.",
                stacklevel=3,
            )

    def save(self, folder: str | Path) -> None:
        """Write the guard into one folder of safetensors and JSON, which `Guard.load` reads; a guard there is replaced.

        The folder then holds 16 of the test images. Raises ValueError for a folder with something else in it.
        """
        folder = Path(folder)
        is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        if not is_free and not ((folder / "manifest.json").exists() and is_fitted(folder)):
            raise ValueError(f"{folder} holds something else than a guard: choose a new folder.")
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.safetensors"):  # of the guard that this one replaces
            file.unlink()
        for name, net in self.nets.items():
            training.save_net(net, folder / f"{name}.safetensors")
        for name, metric in self.metrics.items():
            if state := metric.state():
                save_file(state, folder / f"metric_{name}.safetensors")
        write_scores(folder, {OWN: self.reference} | self.comparisons)
        save_file(self.fingerprint, folder / "fingerprint.safetensors")
        about = {
            "format": FORMAT,
            "kind": FITTED,
            "config": asdict(self.config),
            "metrics": [{"kind": metric.kind, "options": metric.options()} for metric in self.metrics.values()],
            "thresholds": {name: _as_json(choice) for name, choice in self.choices.items()},
            "rule": self.rule.decides,
            "classifier": {
                "gives_probabilities": self.classifier.gives_probabilities,
                "has_gradients": self.classifier.has_gradients,
            },
        }
        write_manifest(folder, about)


def fit(
    classifier,
    train_data,
    test_data,
    metrics: Sequence[str | Metric],
    fpr: float,
    thresholds: dict[str, float | FPR | Percentile] | None,
    rule: str | None,
    steps: int,
    seed: int,
    checkpoints: str | Path | None,
    labels,
) -> FittedGuard:
    """`Guard.fit`, which explains the arguments."""
    if steps < 1:
        raise ValueError(f"steps is the number of training steps of each stage, at least 1, not {steps}.")
    train = image_set(train_data, "train_data")
    if len(train) < FEWEST_TO_TRAIN:
        raise ValueError(f"train_data holds {len(train)} images; at least {FEWEST_TO_TRAIN} are needed.")
    config = Config(
        channels=train.shape[1],
        size=train.shape[2],
        seed=seed,
        augment=False,
        vae_steps=steps,
        wgan_steps=steps,
        inverter_steps=steps,
        verifier_steps=steps,
    )
    test = _test_images(test_data, config)
    if torch.equal(train, test):
        raise ValueError("test_data are the training images: give images that neither net nor classifier has seen.")
    probes = test[_draw(len(test), PROBES)]
    wrapped = AnyClassifier.probe(classifier, to_float(probes))
    config = replace(config, classes=_fingerprint(wrapped, probes[:1])["answers"].shape[1])
    labels = None if labels is None else _labels(labels, len(train), config.classes)
    made, parts = _build(metrics, wrapped, labels, config)
    scored = _drawn(test, [metric.name for metric in made], wrapped)
    guard = FittedGuard(  # with untrained nets, to find every mistake before the training
        wrapped,
        config,
        made,
        parts.nets,
        {name: np.zeros(len(scored)) for name in _with_parts(made)},
        _fingerprint(wrapped, probes[:FINGERPRINT]),
        {metric.name: FPR(fpr) for metric in made} | (thresholds or {}),
        rule,
    )
    for metric in made:
        metric.fit(train, labels, parts)
        if metric.name != Surprise.name:
            metric.scores(to_float(probes[:2]), torch.zeros(2, dtype=torch.int64))
    with _workplace(checkpoints, train) as folder:
        _train(train, labels, config, guard.nets, folder)
        guard.load_nets({name: folder / f"{name}.safetensors" for name in guard.nets})
        return guard.calibrate(test)


def _build(
    metrics: Sequence[str | Metric], classifier: AnyClassifier, labels: Tensor | None, config: Config
) -> tuple[list[Metric], Parts]:
    """The metrics that are asked for, and what they are built of: the classifier, and untrained nets."""
    asked = [metrics] if isinstance(metrics, str | Metric) else list(dict.fromkeys(metrics))
    if not asked:
        raise ValueError(f"metrics is empty: name one at least of {', '.join(registry.names())}, or give your own.")
    # Energy says nothing where the classifier gives probabilities, and evidence learns from labels.
    energy = [] if classifier.gives_probabilities else [Energy.name]
    joined = [VAELoss.name, *([] if labels is None else [Evidence.name]), *energy]
    named = [metric for metric in asked if isinstance(metric, str)]
    nets = _nets([registry.metric_class(name) for name in named + joined * (Surprise.name in named)], config)
    if "verifier" in nets and labels is None:
        raise ValueError("Evidence learns from labels: give Guard.fit(labels=...) those of the training images.")
    parts = Parts(classifier, nets)
    options = {Surprise.name: {"of": joined}}
    made = [registry.build(m, parts, **options.get(m, {})) if isinstance(m, str) else m for m in asked]
    return made, parts


def _with_parts(metrics: Sequence[Metric]) -> list[str]:
    """The names of the metrics and of those that Surprise joins."""
    parts = [name for metric in metrics if isinstance(metric, Surprise) for name in metric.parts]
    return list(dict.fromkeys([*(metric.name for metric in metrics), *parts]))


def load(
    folder: str | Path,
    classifier,
    thresholds: dict[str, float | FPR | Percentile] | None = None,
    rule: str | None = None,
    metrics: Sequence[str] | None = None,
) -> FittedGuard:
    """A saved guard, around its classifier. `Guard.load`, which explains the arguments, comes here."""
    folder = Path(folder)
    if classifier is None:
        raise ValueError(
            f"The guard in {folder} needs its classifier back: Guard.load({str(folder)!r}, classifier=...)"
        )
    manifest = read_manifest(folder)
    fingerprint = load_file(checked(folder, "fingerprint.safetensors", manifest))
    wrapped = AnyClassifier(classifier, **manifest["classifier"])
    _check_fingerprint(wrapped, fingerprint, folder)
    config = Config(**manifest["config"])
    scores = read_scores(checked(folder, SCORES, manifest))
    reference = scores.pop(OWN)
    saved = [m if isinstance(m, dict) else {"kind": m, "options": {}} for m in manifest["metrics"]]  # format 1: names
    joined = [part for m in saved for part in m["options"].get("of", ())]
    nets = _nets([registry.metric_class(kind) for kind in (*(m["kind"] for m in saved), *joined)], config)
    parts = Parts(wrapped, nets, reference)
    made = [registry.build(m["kind"], parts, **m["options"]) for m in saved]
    names = [metric.name for metric in made]
    if unknown := set(metrics or ()) - set(names):
        raise ValueError(f"There is no metric named {', '.join(sorted(unknown))}; there are {', '.join(names)}.")
    chosen = [metric for metric in made if metrics is None or metric.name in metrics]
    kept = [metric.name for metric in chosen]
    choices = {name: _from_json(choice) for name, choice in manifest["thresholds"].items() if name in kept}
    rule = rule or (manifest["rule"] if manifest["rule"] in (*kept, ANY, ALL, *OLD_NAMES) else None)
    guard = FittedGuard(wrapped, config, chosen, nets, reference, fingerprint, choices | (thresholds or {}), rule)
    guard.identity, guard.comparisons = manifest["sha256"], scores
    for metric in chosen:
        name = f"metric_{metric.name}.safetensors"
        if name in manifest["sha256"]:
            metric.load_state(load_file(checked(folder, name, manifest)))
    guard.load_nets({name: checked(folder, f"{name}.safetensors", manifest) for name in guard.nets})
    return guard


# --- Before training -----------------------------------------------------------------------------------------------


def _labels(labels, count: int, classes: int) -> Tensor:
    found = torch.as_tensor(labels)
    if found.shape != (count,) or found.is_floating_point():
        raise ValueError(f"labels must be {count} whole numbers, one for each training image.")
    if found.min() < 0 or found.max() >= classes:
        raise ValueError(f"labels must go from 0 to {classes - 1}, the classes that the classifier knows.")
    return found.long()


def _surprise_parts(classifier: AnyClassifier, labels: Tensor | None) -> list[str]:
    """Energy says nothing where the classifier gives probabilities; evidence has to learn from labels."""
    energy = [] if classifier.gives_probabilities else [Energy.name]
    return [VAELoss.name, *([] if labels is None else [Evidence.name]), *energy]


def _nets(metrics: Sequence[type[Metric]], config: Config) -> dict[str, nn.Module]:
    """The nets that the metrics need, untrained, ready to score."""
    names = dict.fromkeys(name for metric in metrics for name in metric.nets)
    return {name: _to_score(build_net(name, config)) for name in names}


def _test_images(test_data, config: Config) -> Tensor:
    images = image_set(test_data, "test_data")
    check_shape(images, **config.shape, what="test_data")
    if len(images) < FEWEST_TO_TEST:
        raise ValueError(
            f"test_data holds {len(images)} images; at least {FEWEST_TO_TEST} are needed to take thresholds from."
        )
    return images


def _drawn(images: Tensor, metrics: Collection[str], classifier: AnyClassifier) -> Tensor:
    """The test images that are scored: a sample where δz is among the metrics."""
    if "delta_z" not in metrics:
        return images
    return images[_draw(len(images), REFERENCE if classifier.has_gradients else BLACK_BOX_REFERENCE)]


def _draw(count: int, most: int) -> Tensor:
    """Positions of at most `most` of `count` images, drawn by chance, always the same."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]


def _fingerprint(classifier: AnyClassifier, images: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {"images": images.clone(), "answers": classifier(to_float(images)).softmax(1)}


def _check_fingerprint(classifier: AnyClassifier, stored: dict[str, Tensor], folder: Path) -> None:
    images = to_float(stored["images"])
    try:
        with torch.no_grad():
            answers = classifier(images).softmax(1)
    except Exception as error:  # whatever the caller's classifier raises
        raise ValueError(
            f"The classifier failed on the images stored with the guard in {folder}: {type(error).__name__}: {error}"
        ) from error
    alike = same_answers(stored["answers"].numpy(), answers.numpy())
    if not alike.all():
        raise ValueError(
            f"This is not the classifier that the guard in {folder} was fitted to: it answers {int((~alike).sum())} "
            f"of {len(alike)} stored images differently. Give that classifier, or fit a guard to this one."
        )
    if classifier.has_gradients and not classifier.finds_gradients(images):
        raise ValueError(
            f"The guard in {folder} was fitted to a classifier with gradients, and this one gives none, so that its δz "
            "would not be comparable. Give that classifier, or fit a guard to this one."
        )


# --- Training ------------------------------------------------------------------------------------------------------


@contextmanager
def _workplace(checkpoints: str | Path | None, train: Tensor) -> Iterator[Path]:
    """A folder to train in, gone when the fit is done; one in `checkpoints` stays while it is not.

    It is named after the training images: with others, the checkpoints there would be wrong.
    """
    if checkpoints is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    folder = Path(checkpoints) / f"fit-{checksum(train)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def _train(images: Tensor, labels: Tensor | None, config: Config, nets: Collection[str], folder: Path) -> None:
    if "vae" in nets:
        training.train_vae(images, config, folder)
    if "verifier" in nets:
        training.train_verifier(images, labels, config, folder)
    if "generator" in nets:
        training.train_wgan(images, config, folder)
    if "inverter" in nets:
        training.train_inverter(images, config, folder)


def _to_score(net: nn.Module) -> nn.Module:
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # as in World.load


# --- Saving --------------------------------------------------------------------------------------------------------


def _as_json(choice: float | FPR | Percentile) -> float | dict:
    if isinstance(choice, FPR):
        return {"fpr": choice.share}
    return {"percentile": choice.rank} if isinstance(choice, Percentile) else float(choice)


def _from_json(choice: float | dict) -> float | FPR | Percentile:
    if not isinstance(choice, dict):
        return choice
    return FPR(choice["fpr"]) if "fpr" in choice else Percentile(choice["percentile"])

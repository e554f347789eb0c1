"""Fitting a guard to any classifier: check everything, train the metrics' nets, calibrate.

`Guard.fit` and `Guard.calibrate` come here; this module knows nothing of the guard around what it makes.
"""

import copy
import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from robust.data.datasets import batch_for, checksum, to_float
from robust.data.image_sets import TITLES
from robust.data.probes import probes
from robust.data.subjects import Subject
from robust.decision.choices import FPR, Choice
from robust.decision.promise import Promise, fewest_images
from robust.decision.rule import ANY
from robust.inputs.arrays import check_shape, image_set
from robust.judge import Choices, Judge, single_metrics
from robust.metrics import (
    KNN,
    Confidence,
    DeltaZ,
    EarlyLayers,
    Energy,
    Evidence,
    Exposure,
    LateLayers,
    Metric,
    Parts,
    Surprise,
    registry,
)
from robust.models import training
from robust.models.classifier import AnyClassifier, UnfitOutput
from robust.models.config import Config
from robust.models.fingerprint import fingerprint
from robust.models.store import Contents, build_net, ready_to_score

FEWEST_TO_TRAIN, FEWEST_TO_TEST = 128, 100  # one training batch; an FPR in whole per cents
PROBES = 1000  # test images that the classifier is tried on before training
REFERENCE = 2000  # test images with a δz: minutes; an FPR of 5 % is then good to ±0.5 %
BLACK_BOX_REFERENCE = 500  # each some 1,600 classifications; an FPR of 5 % is then good to ±1 %
COMPARED, BLACK_BOX_COMPARED = 200, 20  # images of each comparison set
LEARN_CLASSES = {"verifier", "orienter"}  # nets that are trained with labels
LARGEST_NET = 64  # pixels a side that the VAE, the GAN, the verifier and the orienter are made for
TWICE = 0.01  # share of the test images that may be training images, too, before that is an error
RIGHT = 0.5  # share of labelled training images answered rightly below which something must be wrong
WATCHED = 500  # test images on which δz is watched while it is trained
FEWEST_STEPS_TO_WATCH = 300  # shorter fits are rehearsals
BLIND = 0.5  # share of a set accepted from which on a guard is called blind to it
BATCH = 32  # images scored for each tick of the progress bar


class Fitted(NamedTuple):
    """What `Guard` is made of, in the order of its arguments."""

    classifier: AnyClassifier
    metrics: list[Metric]
    reference: dict[str, np.ndarray]
    thresholds: Choices
    rule: str
    prepare: None
    class_names: Sequence[str] | None
    contents: Contents
    by_class: bool


def fit(
    classifier,
    train_data,
    test_data,
    metrics: Sequence[str | Metric],
    fpr: float,
    confidence: float | None,
    thresholds: Choices | None,
    rule: str | None,
    steps: int,
    seed: int,
    checkpoints: str | Path | None,
    labels,
    class_names: Sequence[str] | None,
    by_class: bool = False,
    **of_classifier,
) -> Fitted:
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
        orienter_steps=steps,
    )
    test = _without_training_images(_test_images(test_data, config), train)
    tried = test[_draw(len(test), PROBES)]
    wrapped = AnyClassifier.probe(classifier, to_float(tried), **of_classifier)
    known = fingerprint(wrapped, tried)
    config = replace(config, classes=known["answers"].shape[1])
    class_names = _class_names(class_names, config.classes)
    if labels is not None:
        labels = _labels(labels, len(train), config.classes)
        _warn_of_wrong_answers(wrapped, train, labels)
    if by_class and confidence is None:
        raise ValueError(
            "by_class keeps a promised FPR among the images of each class: give a confidence, such as 0.95."
        )
    made, parts = _build(metrics, wrapped, labels, config)
    # With untrained nets and no scores yet, to find every mistake before the training:
    untold = dict.fromkeys(
        [*(m.name for m in made), *single_metrics(made)], np.zeros(_scored_count(test, made, wrapped))
    )
    decides = Judge(made, untold, thresholds, rule).rule.decides
    scored = len(next(iter(untold.values())))
    chosen = _share_of_each(fpr, confidence, len(made) if decides == ANY else 1, scored)
    judge = Judge(made, untold, {metric.name: chosen for metric in made} | dict(thresholds or {}), rule, by_class)
    for metric in made:
        metric.fit(train, labels, parts)
        if not metric.parts:
            metric.scores(to_float(tried[:2]), torch.zeros(2, dtype=torch.int64))
    names = class_names or map(str, range(config.classes))
    contents = Contents(config, Subject(tuple(names)), nets=dict(parts.nets), fingerprint=known)
    with _workplace(checkpoints, train, labels, known["answers"]) as folder:
        try:
            _train(train, labels, config, contents.nets, folder, wrapped, _watch_of(judge, wrapped, tried))
        except training.NotWorthwhile as sight:
            judge = _without_delta_z(judge, contents, str(sight))
        for name, net in contents.nets.items():
            net.load_state_dict(load_file(folder / f"{name}.safetensors"))
        judge, contents.comparisons = calibrated(judge, wrapped, contents, test)
    reference, decides = judge.reference, judge.rule.decides
    return Fitted(
        wrapped, [*judge.metrics.values()], reference, judge.choices, decides, None, class_names, contents, by_class
    )


def refit(judge: Judge, contents: Contents, known: AnyClassifier, classifier, train_data, test_data, labels) -> Fitted:
    """`Guard.refit`, which explains the arguments. `known` is the classifier that was guarded before."""
    if contents.ships:
        raise ValueError("A world's nets were trained beside its own classifier: fit a guard to yours with Guard.fit.")
    train = image_set(train_data, "train_data")
    check_shape(train, **contents.config.shape, what="train_data")
    test = _without_training_images(_test_images(test_data, contents.config), train)
    tried = test[_draw(len(test), PROBES)]
    wrapped = _probed_again(known, classifier, to_float(tried))
    answers = fingerprint(wrapped, tried)
    classes = answers["answers"].shape[1]
    if classes != contents.config.classes:
        raise ValueError(f"The guard knows {contents.config.classes} classes, and this classifier {classes}: fit anew.")
    parts = Parts(wrapped, contents.nets)
    made = [registry.build(metric.kind, parts, **metric.options()) for metric in judge.metrics.values()]
    labels = None if labels is None else _labels(labels, len(train), classes)
    for metric in made:
        metric.fit(train, labels, parts)
    untold = dict.fromkeys([*(m.name for m in made), *single_metrics(made)], np.zeros(len(test)))
    contents = replace(contents, fingerprint=answers)
    again = Judge(made, untold, judge.choices, judge.rule.decides, judge.by_class)
    again, contents.comparisons = calibrated(again, wrapped, contents, test)
    names = contents.subject.classes
    return Fitted(
        wrapped, made, again.reference, again.choices, again.rule.decides, None, names, contents, judge.by_class
    )


def calibrated(
    judge: Judge, classifier, contents: Contents, test_data
) -> tuple[Judge, dict[str, dict[str, np.ndarray]]]:
    """The judge on other good images, and the scores of the comparison sets. `Guard.calibrate` explains the rest."""
    test = _test_images(test_data, contents.config)
    count = _scored_count(test, judge.metrics.values(), classifier)
    images = test if count == len(test) else test[_draw(len(test), count)]
    judge.with_reference({name: np.zeros(len(images)) for name in judge.metrics})  # raises before the work
    metrics = [*judge.metrics.values()]
    single = single_metrics(metrics)
    reference = score_columns(classifier, single, images, "calibrate")
    for joined in (metric for metric in metrics if metric.parts):
        joined.calibrate(reference)
        reference[joined.name] = joined.combine_good()
    judge = judge.with_reference(reference)
    _warn_of_idle_metrics(judge)
    _warn_of_rare_classes(judge)
    comparisons = _comparisons(classifier, metrics, images)
    _warn_of_blindness(judge, comparisons)
    return judge, comparisons


def score_columns(classifier, metrics: dict[str, Metric], images: Tensor, title: str) -> dict[str, np.ndarray]:
    """Scores (N,) of images (N, channels, size, size), uint8 or in [0, 1], by each metric; and the classifier's
    predictions and probabilities."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*metrics, "prediction", "probability")}
    with tqdm(total=len(images), desc=title, unit="image") as progress:
        for part in images.split(BATCH):
            part = part if part.is_floating_point() else to_float(part)
            with torch.inference_mode():
                probability, predictions = classifier(part).softmax(1).max(1)
            for name, metric in metrics.items():
                found[name].append(metric.scores(part, predictions))
            found["prediction"].append(predictions.numpy())
            found["probability"].append(probability.numpy())
            progress.update(len(part))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _comparisons(classifier, metrics: Sequence[Metric], test: Tensor) -> dict[str, dict[str, np.ndarray]]:
    """Scores of images that are not what the guard was fitted to, by set: see `robust.data.probes`."""
    is_slow = not getattr(classifier, "has_gradients", True) and any(m.name == "delta_z" for m in metrics)
    sets = probes(test, BLACK_BOX_COMPARED if is_slow else COMPARED)
    found = {}
    for name, (images, labels) in sets.items():
        columns = score_columns(classifier, single_metrics(metrics), images, f"compare with {name}")
        columns |= {metric.name: metric.combine(columns) for metric in metrics if metric.parts}
        found[name] = columns | {"label": labels.numpy()}
    return found


def blind_to(judge: Judge, comparisons: dict[str, dict[str, np.ndarray]]) -> dict[str, float]:
    """The sets of which the rule accepts half or more, and the share that it accepts, 0..1."""
    shares = {name: float((~judge.rule.refused(columns)).mean()) for name, columns in comparisons.items()}
    return {name: share for name, share in shares.items() if share >= BLIND}


def _warn_of_blindness(judge: Judge, comparisons: dict[str, dict[str, np.ndarray]]) -> None:
    if found := blind_to(judge, comparisons):
        sets = ", ".join(f"{TITLES.get(name, name)} ({share:.0%})" for name, share in found.items())
        warnings.warn(
            f"The rule accepts half or more of: {sets}. Where that matters, choose a larger FPR, give labels, or add a "
            "metric; guard.self_test() shows every metric.",
            stacklevel=4,
        )


def _warn_of_idle_metrics(judge: Judge) -> None:
    scores, threshold = judge.reference.get("delta_z"), judge.rule.thresholds.get("delta_z")
    if scores is not None and threshold == 0:
        warnings.warn(
            f"δz refuses nothing at its threshold of 0: for {np.mean(scores == 0):.0%} of the test images the "
            "classifier already reads their reconstruction G(I(x)) otherwise. Fit with more steps, or without δz.",
            stacklevel=4,
        )


def _warn_of_rare_classes(judge: Judge) -> None:
    rare = sorted({label for found in judge.rule.by_class.values() for label in found.too_few})
    if rare:
        warnings.warn(
            f"Too few test images are read as {', '.join(map(str, rare))} to promise anything of those alone: they share the "
            "threshold of all.",
            stacklevel=4,
        )


# --- Before training -----------------------------------------------------------------------------------------------


def _build(
    metrics: Sequence[str | Metric], classifier: AnyClassifier, labels: Tensor | None, config: Config
) -> tuple[list[Metric], Parts]:
    """The metrics that are asked for, and what they are built of: the classifier, and untrained nets."""
    asked = [metrics] if isinstance(metrics, str | Metric) else list(dict.fromkeys(metrics))
    if not asked:
        raise ValueError(f"metrics is empty: name one at least of {', '.join(registry.names())}, or give your own.")
    asked = _that_fit(asked, config)
    joined = surprise_parts(classifier, labels if config.size <= LARGEST_NET else None)
    if labels is not None and config.size > LARGEST_NET and Surprise.name in asked:
        warnings.warn(
            f"Evidence is left out of Surprise: its net is made for images of at most {LARGEST_NET} pixels a side.",
            stacklevel=4,
        )
    named = [metric for metric in asked if isinstance(metric, str)]
    needed = [registry.metric_class(name) for name in named + joined * (Surprise.name in named)]
    nets = _nets(needed, config)
    supervised = [metric.title for metric in needed if LEARN_CLASSES.intersection(metric.nets)]
    if supervised and labels is None:
        raise ValueError(
            f"{supervised[0]} learns from labels: give Guard.fit(labels=...) those of the training images."
        )
    parts = Parts(classifier, nets)
    options = {Surprise.name: {"of": joined}}
    made = [registry.build(m, parts, **options.get(m, {})) if isinstance(m, str) else m for m in asked]
    return made, parts


def _share_of_each(fpr: float, confidence: float | None, metrics: int, count: int) -> Choice:
    """How much each of so many metrics may refuse of which one is enough: their shares and their doubts add up. Raises
    ValueError where `count` good images are too few to promise it."""
    counted = FPR(fpr)  # raises for what is no share
    if confidence is None or fpr == 0:
        return counted
    each = Promise(fpr / metrics, 1 - (1 - confidence) / metrics)
    fewest = fewest_images(each.share, each.confidence)
    if metrics > 1 and count < fewest:
        raise ValueError(
            f"To promise that {metrics} metrics, of which any may refuse, refuse at most {fpr:.3g} of the good images together "
            f"takes at least {fewest} test images; {count} are scored. Let one metric decide (rule=...), or Surprise join them."
        )
    return each


def _warn_of_wrong_answers(classifier: AnyClassifier, train: Tensor, labels: Tensor) -> None:
    chosen = _draw(len(train), PROBES)
    with torch.no_grad():
        parts = to_float(train[chosen]).split(batch_for(train))
        answers = torch.cat([classifier(part).argmax(1) for part in parts])
    right = float((answers == labels[chosen]).float().mean())
    if right < RIGHT:
        warnings.warn(
            f"The classifier answers as labelled on {right:.0%} of the training images only. Are the labels in their order? "
            'Does it expect another scale than 0 to 1, or the colours last (layout="NHWC")?',
            stacklevel=5,
        )


def _probed_again(known: AnyClassifier, classifier, images: Tensor) -> AnyClassifier:
    """A retrained classifier as the one before it was taken. Raises ValueError where it gives what the metrics were not
    chosen for."""
    options = {"features_of": known.features_of, "features": known._features, "layout": known.layout}
    if known.module is not None and isinstance(classifier, nn.Module):
        options["device"] = known.device
    try:
        found = AnyClassifier.probe(classifier, images, **options)
    except UnfitOutput:
        raise
    except ValueError:  # its output could be taken for either
        found = AnyClassifier.probe(classifier, images, _output_of(known), **options)
    if found.gives_probabilities != known.gives_probabilities:
        raise ValueError(
            f"The guard was fitted to a classifier that gives {_output_of(known)}, and this one gives {_output_of(found)}: "
            "fit anew."
        )
    return found


def _output_of(classifier: AnyClassifier) -> str:
    return "probabilities" if classifier.gives_probabilities else "logits"


def surprise_parts(classifier: AnyClassifier, labels: Tensor | None) -> list[str]:
    """What Surprise joins: what `benchmark guards` found best, of what the classifier shows and of what was given."""
    sure = Confidence.name if classifier.gives_probabilities else Energy.name  # energy of probabilities is 0
    layers = [EarlyLayers.name, *([LateLayers.name] if len(classifier.convolutions) > 1 else [])]
    return [sure, KNN.name, *layers, Exposure.name, *([] if labels is None else [Evidence.name])]


def _that_fit(metrics: list[str | Metric], config: Config) -> list[str | Metric]:
    """Without those whose nets are made for smaller images; warns of them. Raises ValueError where none is left."""
    if config.size <= LARGEST_NET:
        return metrics
    kinds = {m: registry.metric_class(m) if isinstance(m, str) else type(m) for m in metrics}
    left_out = [metric for metric, kind in kinds.items() if kind.nets]
    if left_out:
        names = ", ".join(kinds[metric].title for metric in left_out)
        said = f"{names}: left out, since the nets are made for images of at most {LARGEST_NET} pixels a side."
        if len(left_out) == len(metrics):
            raise ValueError(f"{said} Ask for surprise, or shrink the images.")
        warnings.warn(said, stacklevel=5)
    return [metric for metric in metrics if metric not in left_out]


def _without_training_images(test: Tensor, train: Tensor) -> Tensor:
    """The test images that are not among the training images; warns of those that are. Raises ValueError for many."""
    known = {hashlib.sha256(image.numpy()).digest() for image in train}
    digests = [hashlib.sha256(image.numpy()).digest() for image in test]
    twice = [i for i, digest in enumerate(digests) if digest in known]
    copies = len(digests) - len(set(digests))
    if copies > TWICE * len(test):
        warnings.warn(
            f"{copies} of {len(test)} test images are copies of others: they prove no more than one, so promise less.",
            stacklevel=4,
        )
    if len(twice) == len(test):
        raise ValueError("test_data are the training images: give images that neither net nor classifier has seen.")
    if not twice:
        return test
    said = f"{len(twice)} of {len(test)} test images are training images, too (the first is test image {twice[0]})"
    if len(twice) > TWICE * len(test):
        raise ValueError(f"{said}: give images that neither net nor classifier has seen.")
    warnings.warn(f"{said}: they are left out.", stacklevel=4)
    kept = torch.ones(len(test), dtype=torch.bool)
    kept[twice] = False
    return test[kept]


def _labels(labels, count: int, classes: int) -> Tensor:
    found = torch.as_tensor(labels)
    if found.shape != (count,) or found.is_floating_point():
        raise ValueError(f"labels must be {count} whole numbers, one for each training image.")
    if found.min() < 0 or found.max() >= classes:
        raise ValueError(f"labels must go from 0 to {classes - 1}, the classes that the classifier knows.")
    return found.long()


def _class_names(names: Sequence[str] | None, classes: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or len(names) != classes or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_names must be {classes} names, one for each class that the classifier knows.")
    return tuple(names)


def _nets(metrics: Sequence[type[Metric]], config: Config) -> dict[str, nn.Module]:
    """The nets that the metrics need, untrained, ready to score."""
    names = dict.fromkeys(name for metric in metrics for name in metric.nets)
    return {name: ready_to_score(build_net(name, config)) for name in names}


def _test_images(test_data, config: Config) -> Tensor:
    images = image_set(test_data, "test_data")
    check_shape(images, **config.shape, what="test_data")
    if len(images) < FEWEST_TO_TEST:
        raise ValueError(
            f"test_data holds {len(images)} images; at least {FEWEST_TO_TEST} are needed to take thresholds from."
        )
    return images


def _scored_count(test: Tensor, metrics: Collection[Metric], classifier) -> int:
    """How many of the test images are scored: a sample where δz is among the metrics."""
    if all(metric.name != "delta_z" for metric in metrics):
        return len(test)
    return min(len(test), REFERENCE if getattr(classifier, "has_gradients", True) else BLACK_BOX_REFERENCE)


def _draw(count: int, most: int) -> Tensor:
    """Positions of at most `most` of `count` images, drawn by chance, always the same."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]


# --- Training ------------------------------------------------------------------------------------------------------


@contextmanager
def _workplace(checkpoints: str | Path | None, train: Tensor, labels: Tensor | None, answers: Tensor) -> Iterator[Path]:
    """A folder to train in, gone when the fit is done; one in `checkpoints` stays while it is not.

    It is named after the training images, their labels, and the classifier's answers: with others, the checkpoints there
    would be wrong.
    """
    if checkpoints is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    given = [train, *([] if labels is None else [labels]), answers.mul(100).round()]
    key = hashlib.sha256("".join(map(checksum, given)).encode()).hexdigest()
    folder = Path(checkpoints) / f"fit-{key[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def _watch_of(judge: Judge, classifier: AnyClassifier, images: Tensor):
    """What looks at generator and inverter while they are trained, on test images uint8 (N, channels, size, size): whether
    δz will be more than 0 often enough for its FPR. None where its threshold is no matter of an FPR, or in a rehearsal."""
    share = getattr(judge.choices.get(DeltaZ.name), "share", None)
    images = to_float(images[:WATCHED])

    def watch(generator: nn.Module, inverter: nn.Module) -> None:
        generator, inverter = (
            copy.deepcopy(net).cpu() for net in (generator, inverter)
        )  # the training goes on with them
        with torch.no_grad():
            predictions = torch.cat([classifier(part).argmax(1) for part in images.split(BATCH)])
        metric = DeltaZ(classifier, generator, inverter, classifier.has_gradients)
        agreement = float(metric.agrees(images, predictions).mean())
        if agreement < 1 - share:
            raise training.NotWorthwhile(
                f"after a third of its training the classifier reads {agreement:.0%} of the images' reconstructions as the "
                f"images, and an FPR of {100 * share:.3g}% needs {100 - 100 * share:.3g}%"
            )

    return watch if share else None


def _without_delta_z(judge: Judge, contents: Contents, sight: str) -> Judge:
    """The judge without δz, which is not worth its training; warns. Raises ValueError where there is no other metric."""
    others = [metric for metric in judge.metrics.values() if metric.name != DeltaZ.name]
    if not others:
        raise ValueError(f"δz comes to nothing here: {sight}. Choose other metrics, or give it more steps.")
    warnings.warn(f"δz is left out: {sight}. The other metrics go on.", stacklevel=4)
    for name in DeltaZ.nets:
        contents.nets.pop(name, None)
    choices = {name: choice for name, choice in judge.choices.items() if name != DeltaZ.name}
    rule = judge.rule.decides if judge.rule.decides != DeltaZ.name else None
    return Judge(others, judge.reference, choices, rule, judge.by_class)


def _train(
    images: Tensor,
    labels: Tensor | None,
    config: Config,
    nets: Collection[str],
    folder: Path,
    classifier: AnyClassifier,
    watch=None,
) -> None:
    if "vae" in nets:
        training.train_vae(images, config, folder)
    if "verifier" in nets:
        training.train_verifier(images, labels, config, folder)
    if "orienter" in nets:
        training.train_orienter(images, labels, config, folder)
    if "generator" in nets:
        training.train_wgan(images, config, folder)
    if "inverter" in nets:
        is_rehearsal = config.inverter_steps < FEWEST_STEPS_TO_WATCH
        reader = classifier if classifier.has_gradients else None
        training.train_inverter(images, config, folder, classifier=reader, watch=None if is_rehearsal else watch)

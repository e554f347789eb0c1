"""Reference distributions: every metric's scores over whole test sets."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from robust.data import image_sets
from robust.data.datasets import DATASETS, Dataset, UnusableDataset, to_float
from robust.data.examples import EXAMPLES, write_examples
from robust.guard import BATCH, Guard, single_metrics
from robust.metrics import Parts, Surprise, registry
from robust.models.world import World, write_manifest, write_scores


def score_set(world: World, images: Tensor, name: str) -> dict[str, np.ndarray]:
    """Every score the reports need, for images (N, channels, size, size) in [0, 1]: each metric's, LeNet's prediction and
    probability, and whether f(G(I(x))) = f(x)."""
    classifier, generator, inverter = (world.nets[name] for name in ("lenet", "generator", "inverter"))
    metrics = single_metrics(world)
    columns: dict[str, list] = {}
    for part in tqdm(images.split(BATCH), desc=f"calibrate on {name}"):
        with torch.inference_mode():
            probability, predictions = classifier(part).softmax(1).max(1)
            reconstructed = classifier(generator(inverter(part))).argmax(1)
        found = {metric.name: metric.scores(part, predictions) for metric in metrics} | {
            "prediction": predictions.numpy(),
            "probability": probability.numpy(),
            "agrees": (reconstructed == predictions).long().numpy(),
        }
        for column, values in found.items():
            columns.setdefault(column, []).append(values)
    return {column: np.concatenate(parts) for column, parts in columns.items()}


def check_images(world: World, images: Dataset | None) -> None:
    """Raises UnusableDataset when the world needs images of the user's own, or was not trained on such as these."""
    name, shape = world.in_distribution, tuple(world.config.shape.values())
    if images is None:
        if name not in DATASETS:
            raise UnusableDataset(f"{name} is a data set of your own: say where it is with --dataset FOLDER.")
        return
    if name != images.name or world.subject.classes != images.subject.classes:
        raise UnusableDataset(
            f"{world.folder} was trained on {name}, with the classes {', '.join(world.subject.classes)}."
        )
    if shape != images.test[0].shape[1:3]:
        raise UnusableDataset(f"{world.folder} wants images of {shape[0]} channels and {shape[1]} pixels a side.")


def calibrate(folder: Path, own_images: Dataset | None = None) -> None:
    """Score the test sets with the world's nets; write `scores.safetensors` and the manifest's figures.

    A world of the user's own images needs them again. Raises UnusableDataset without them, or for other classes.
    """
    began = time.monotonic()
    world = World.load(folder, with_scores=False)
    check_images(world, own_images)
    scores = {}
    for name in (world.in_distribution, *image_sets.comparisons(world.in_distribution)):
        if own_images and name == world.in_distribution:
            found = image_sets.ImageSet(to_float(own_images.test[0]), own_images.test[1])
        else:
            found = image_sets.load(name, **world.config.shape)
        if found is not None:
            scores[name] = score_set(world, found.images, name) | {"label": found.labels.numpy()}
    reference = scores[world.in_distribution]
    surprise = registry.build(Surprise.name, Parts(world.nets["lenet"], world.nets, reference))
    for columns in scores.values():
        columns[surprise.name] = surprise.combine(columns)
    write_scores(folder, scores)
    figures = {
        "accuracy": float((reference["prediction"] == reference["label"]).mean()),
        "agreement": float(reference["agrees"].mean()),
        "calibration_seconds": round(time.monotonic() - began, 1),
        "torch": torch.__version__.split("+")[0],
    }
    write_manifest(folder, {"figures": figures})
    if own_images:
        write_examples(folder, own_images.subject.classes, *own_images.test)
    guard = Guard.load(folder)
    figures["examples"] = {name: guard.inspect(EXAMPLES[name]()).as_json() for name in ("Chicken", "Falafel")}
    write_manifest(folder, {"figures": figures})

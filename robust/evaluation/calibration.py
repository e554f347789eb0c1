"""Reference distributions of a world: every metric's scores over whole test sets."""

import time
from pathlib import Path

import numpy as np
import torch

from robust.data import image_sets
from robust.data.datasets import DATASETS, Dataset, UnusableDataset, to_float
from robust.data.examples import EXAMPLES, write_examples
from robust.fitting import score_columns
from robust.guard import Guard
from robust.judge import single_metrics
from robust.metrics import DeltaZ, Parts, registry
from robust.models.store import Contents, read_contents, read_manifest, write_manifest, write_scores


def check_images(world: Contents, images: Dataset | None) -> None:
    """Raises UnusableDataset when the world needs images of the user's own, or was not trained on such as these."""
    name, shape = world.dataset, tuple(world.config.shape.values())
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
    manifest = read_manifest(folder)
    metrics = manifest["metrics"]
    world = read_contents(folder, manifest, ["lenet", *registry.nets_of(metrics)])
    check_images(world, own_images)
    classifier = world.nets["lenet"]
    made = [registry.build(metric["kind"], Parts(classifier, world.nets), **metric["options"]) for metric in metrics]
    delta_z = next(metric for metric in made if isinstance(metric, DeltaZ))
    scores = {}
    for name in (world.dataset, *image_sets.comparisons(world.dataset)):
        if own_images and name == world.dataset:
            found = image_sets.ImageSet(to_float(own_images.test[0]), own_images.test[1])
        else:
            found = image_sets.load(name, **world.config.shape)
        if found is not None:
            columns = score_columns(classifier, single_metrics(made), found.images, f"calibrate on {name}")
            scores[name] = columns | {
                "agrees": delta_z.agrees(found.images, torch.from_numpy(columns["prediction"])).astype(np.int64),
                "label": found.labels.numpy(),
            }
    reference = scores[world.dataset]
    for joined in (metric for metric in made if metric.parts):
        joined.calibrate(reference)
        for columns in scores.values():
            columns[joined.name] = joined.combine(columns)
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

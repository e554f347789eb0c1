"""Reference distributions: every metric's scores over whole test sets."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from robust import sets
from robust.examples import EXAMPLES
from robust.guard import BATCH, Guard, world_metrics
from robust.world import World, write_manifest, write_scores


def score_set(world: World, images: Tensor, name: str) -> dict[str, np.ndarray]:
    """Every score the reports need, for images (N, 1, 28, 28) in [0, 1]: the metrics', LeNet's prediction and
    probability, and whether f(G(I(x))) = f(x)."""
    guard = Guard(world.nets["lenet"], world_metrics(world), {m.name: np.zeros(1) for m in world_metrics(world)})
    generator, inverter = world.nets["generator"], world.nets["inverter"]
    columns: dict[str, list] = {}
    for part in tqdm(images.split(BATCH), desc=f"calibrate on {name}"):
        probabilities = guard.probabilities(part)
        probability, predictions = probabilities.max(1)
        with torch.inference_mode():
            reconstructed = guard.classifier(generator(inverter(part))).argmax(1)
        found = guard.score(part, predictions) | {
            "prediction": predictions.numpy(),
            "probability": probability.numpy(),
            "agrees": (reconstructed == predictions).long().numpy(),
        }
        for column, values in found.items():
            columns.setdefault(column, []).append(values)
    return {column: np.concatenate(parts) for column, parts in columns.items()}


def calibrate(folder: Path) -> None:
    """Score the test sets with the world's nets; write `scores.safetensors` and the manifest's figures."""
    began = time.monotonic()
    world = World.load(folder, with_scores=False)
    scores = {}
    for name in (world.in_distribution, *sets.COMPARISONS[world.in_distribution]):
        found = sets.load(name)
        if found is not None:
            scores[name] = score_set(world, found.images, name) | {"label": found.labels.numpy()}
    write_scores(folder, scores)
    reference = scores[world.in_distribution]
    figures = {
        "accuracy": float((reference["prediction"] == reference["label"]).mean()),
        "agreement": float(reference["agrees"].mean()),
        "calibration_seconds": round(time.monotonic() - began, 1),
        "torch": torch.__version__.split("+")[0],
    }
    write_manifest(folder, {"figures": figures})
    guard = Guard.load(folder)
    figures["examples"] = {name: guard.inspect(EXAMPLES[name]()).as_json() for name in ("Chicken", "Falafel")}
    write_manifest(folder, {"figures": figures})

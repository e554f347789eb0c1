"""How many images a second: from a folder of PNGs, from arrays, and δz beside its own search.

The images are the guard's own, those that its folder keeps, again and again.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from robust.evaluation.search import timed
from robust.evaluation.tables import Table
from robust.guard import Guard
from robust.metrics import DeltaZ, VAELoss
from robust.metrics.search import nearest_counterexample
from robust.serving.batch import SHARD, Compute, in_processes, score_files
from robust.serving.batch_ray import on_ray
from robust.serving.source import GuardSource

FILE = "benchmark_batch.json"
STAGE_IMAGES = 2000


def pictures(guard: Guard, count: int) -> torch.Tensor:
    """`count` images uint8 (count, channels, size, size) that are kept with the guard."""
    images = (guard.contents.training or guard.contents.fingerprint)["images"]
    return images.repeat(-(-count // len(images)), 1, 1, 1)[:count]


def write_pngs(guard: Guard, folder: Path, count: int) -> Iterator[str]:
    for i, image in enumerate(pictures(guard, count)):
        file = folder / f"{i:06d}.png"
        Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()).save(file)
        yield str(file)


def folder_speed(guard: Guard, source: GuardSource, count: int, compute: Compute) -> dict:
    """Images a second from PNG files to scores, between the first and the last finished shard; and until the first."""
    with tempfile.TemporaryDirectory() as folder:
        files = list(write_pngs(guard, Path(folder), count))
        shards = dict(enumerate(batched(files)))
        began, moments, scored = time.perf_counter(), [], []
        for _, table in compute(source, shards):
            moments.append(time.perf_counter())
            scored.append(len(table))
    return {"images": sum(scored[1:]) / (moments[-1] - moments[0]), "start_seconds": moments[0] - began}


def array_speed(guard: Guard, count: int) -> float:
    """Images a second from arrays uint8 (N, channels, size, size) to scores, in this process with all of torch's threads."""
    images = pictures(guard, count)
    guard.score_table(images[:SHARD].float() / 255)  # warm up
    _, seconds = timed(lambda: [guard.score_table(part.float() / 255) for part in images.split(SHARD)])
    return count / seconds


def search_speed(guard: Guard, count: int) -> tuple[float, float]:
    """δz's images a second: in `Guard.score_table`, and of the search alone on the same latents."""
    nets, images = guard.contents.nets, pictures(guard, count).float() / 255
    with torch.inference_mode():
        latents, labels = nets["inverter"](images), guard.probabilities(images).argmax(1)
    latents, labels = latents.clone(), labels.clone()
    whole, alone = [], []
    for _ in range(3):  # by turns, since a machine's speed drifts
        whole.append(timed(lambda: guard.score_table(images))[1])
        alone.append(timed(lambda: nearest_counterexample(guard.classifier, nets["generator"], latents, labels))[1])
    return count / min(whole), count / min(alone)


def stage_costs(guard: Guard, count: int) -> dict[str, float]:
    """Processor time of each stage on the way from PNG files to scores, in µs an image: the best of five."""
    images = pictures(guard, count).float() / 255

    def cost(stage: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            stage()
            times.append(time.process_time() - began)
        return 1e6 * min(times) / count

    with tempfile.TemporaryDirectory() as folder:
        files = list(write_pngs(guard, Path(folder), count))
        return {
            "decode a PNG, prepare": cost(lambda: [guard.read(file) for file in files]),
            "classifier": cost(lambda: [guard.probabilities(part) for part in images.split(SHARD)]),
            "VAE loss": cost(lambda: [guard.judge.score(part, torch.zeros(len(part))) for part in images.split(SHARD)]),
            "files to table, in all": cost(lambda: [score_files(guard, part) for part in batched(files)]),
        }


def batched(files: list[str]) -> list[list[str]]:
    return [files[start : start + SHARD] for start in range(0, len(files), SHARD)]


def measure(source: GuardSource, count: int, searched: int, ray: bool) -> dict:
    """Everything on this page: `count` images with the classifier and VAE loss, `searched` of them with δz; on Ray if
    asked. Raises ValueError for a guard without VAE loss, or without δz while some are to be `searched`."""
    source = replace(source, metrics=(VAELoss.name,))
    guard = source.load()
    measured = {"count": count, "searched": searched, "threads": torch.get_num_threads()}
    measured["arrays"] = array_speed(guard, count)
    if searched:
        found = search_speed(replace(source, metrics=(DeltaZ.name,)).load(), searched)
        measured["with_search"], measured["search"] = found
    workers = sorted({1, len(os.sched_getaffinity(0))})
    runs: dict[str, Compute] = {f"processes: {n}": partial(in_processes, workers=n) for n in workers}
    if ray:
        runs |= {f"Ray workers: {n}": partial(on_ray, address="local", workers=n) for n in workers}
    measured["folders"] = {name: folder_speed(guard, source, count, compute) for name, compute in runs.items()}
    measured["stages"] = stage_costs(guard, STAGE_IMAGES)
    return measured


def tables(measured: dict) -> list[Table]:
    count = f"{measured['count']:,}"
    threads = f"torch threads: {measured['threads']}"
    rows = [
        [
            "classifier + VAE loss, folder of PNGs",
            how,
            count,
            f"{found['images']:,.0f}",
            f"{found['start_seconds']:.1f}",
        ]
        for how, found in measured["folders"].items()
    ]
    rows.append(["classifier + VAE loss, arrays", threads, count, f"{measured['arrays']:,.0f}", ""])
    searches = (("classifier + δz, arrays", "with_search"), ("the δz search alone", "search"))
    for name, key in (search for search in searches if measured["searched"]):
        rows.append([name, threads, str(measured["searched"]), f"{measured[key]:,.1f}", ""])
    stages = [[stage, f"{cost:.0f}"] for stage, cost in measured["stages"].items()]
    return [
        Table("Batches", ["what", "with", "images", "images a second", "s to start"], rows),
        Table("Processor time of batches", ["stage", "µs an image"], stages),
    ]


def run(source: GuardSource, count: int, searched: int, ray: bool) -> dict:
    """Measure and write `benchmark_batch.json` into the guard's folder."""
    measured = measure(source, count, searched, ray)
    (Path(source.folder) / FILE).write_text(json.dumps(measured, indent=1) + "\n")
    return measured

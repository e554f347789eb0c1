"""The commands: score, train, calibrate, report, benchmark."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click
import torch

from robust.data import DATASETS, UnusableDataset
from robust.world import WEIGHTS, DamagedWorld, world_folder

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
BATCH = 256


class Commands(click.Group):
    """Turns the errors a user can mend into one sentence and exit status 2."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (DamagedWorld, UnusableDataset) as error:
            raise click.UsageError(str(error)) from None


@click.group(cls=Commands)
def main():
    """May I trust what this classifier just said?"""


def image_paths(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Files as given; folders become the image files below them, sorted by name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        else:
            yield path


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--world", default="mnist", show_default=True, help="Name of a folder in weights/, or a path.")
@click.option("--rule", default=None, help="delta_z, vae_loss, either or both.")
def score(paths, world, rule):
    """Judge image files and folders; print one JSON object a line, in input order.

    Exits 0 when every file was scored, 1 when some could not be read.
    """
    from robust.guard import Guard

    try:
        guard = Guard.load(world_folder(world), **({"rule": rule} if rule else {}))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rule") from None
    failures, files = 0, image_paths(paths)
    while batch := list(islice(files, BATCH)):
        for row in score_files(guard, batch):
            failures += "error" in row
            click.echo(json.dumps(row))
    sys.exit(1 if failures else 0)


def score_files(guard, files: list[Path]) -> list[dict]:
    """One row a file: its scores, or the reason why it could not be read."""
    from robust.preprocess import UnusableImage

    rows, pixels = [], []
    for file in files:
        try:
            pixels.append(guard.prepare(file).pixels)
            rows.append({"path": str(file)})
        except UnusableImage as error:
            rows.append({"path": str(file), "error": str(error)})
    if pixels:
        reports = iter(guard.inspect_prepared(torch.stack(pixels)))
        rows = [row if "error" in row else row | next(reports).as_json() for row in rows]
    return rows


@main.command()
@click.option("--dataset", default="mnist", show_default=True, help="mnist, fashion-mnist, or FOLDER.")
@click.option("--size", default=None, type=click.IntRange(28, 64), help="Side of FOLDER's images, in pixels [28].")
@click.option("--out", default=None, type=click.Path(path_type=Path), help="Folder to write [weights/DATASET].")
@click.option("--seed", default=0, show_default=True)
@click.option("--stage", "stages", multiple=True, help="Only this stage (lenet, vae, wgan, inverter); repeatable.")
def train(dataset, size, out, seed, stages):
    """Train every net from the raw data, then calibrate. Resumes where an interrupted run stopped.

    FOLDER holds your own images, one folder for each class; or train/ and test/ with such folders in each. Images are
    cropped to squares and scaled; they are grey when none of them has colour.
    """
    from robust import data, training
    from robust.calibration import calibrate as calibrate_world
    from robust.config import config_for
    from robust.image_folder import read_image_folder

    own = None if dataset in DATASETS else read_image_folder(Path(dataset), size or 28)
    if size and not own:
        raise click.BadParameter(f"{dataset} has a size of its own.", param_hint="--size")
    images = own or data.known(dataset)
    _, channels, side, _ = images.train[0].shape
    config = config_for(images.name, seed, channels, side, len(images.subject.classes))
    folder = out or WEIGHTS / images.name
    training.train(images, folder, config, stages or training.STAGES)
    if not stages:
        calibrate_world(folder, own)


@main.command()
@click.option("--world", default="mnist", show_default=True, help="Name of a folder in weights/, or a path.")
@click.option(
    "--dataset", default=None, type=click.Path(path_type=Path), help="FOLDER, for a world of your own images."
)
def calibrate(world, dataset):
    """Recompute the reference distributions with the trained nets."""
    from robust.calibration import calibrate as calibrate_world
    from robust.config import Config
    from robust.image_folder import read_image_folder
    from robust.world import read_manifest

    folder = world_folder(world)
    size = Config(**read_manifest(folder)["config"]).size
    calibrate_world(folder, read_image_folder(dataset, size) if dataset else None)


@main.command()
@click.option("--world", default="mnist", show_default=True, help="Name of a folder in weights/, or a path.")
@click.option("--markdown", is_flag=True, help="Print Markdown instead of text.")
@click.option(
    "--update", type=click.Path(path_type=Path, exists=True), help="Write the Markdown into this file's report block."
)
def report(world, markdown, update):
    """Print the measured tables next to the published ones."""
    from robust.report import as_markdown, as_text, tables, update_block

    found = tables(world_folder(world))
    if update:
        update.write_text(update_block(update.read_text(), as_markdown(found)))
    else:
        click.echo(as_markdown(found) if markdown else as_text(found))


@main.group()
def benchmark():
    """Measurements that print ratios."""


@benchmark.command()
@click.option("--world", default="mnist", show_default=True, help="Name of a folder in weights/, or a path.")
@click.option("--digits", default=200, show_default=True, help="Test digits to search.")
@click.option("--algorithm-2", default=200, show_default=True, help="Digits for Algorithm 2: 10 to 30 seconds each.")
@click.option("--algorithm-1", default=5, show_default=True, help="Digits for Algorithm 1: a minute or more each.")
def search(world, digits, algorithm_2, algorithm_1):
    """The δz search against the published, foolbox's, and a long run of itself.

    Foolbox's attacks join where it is installed: pip install -r requirements-benchmark.txt
    """
    from robust.benchmarks.search import run
    from robust.report import as_text, search_tables

    run(world_folder(world), digits, algorithm_2, algorithm_1)
    click.echo(as_text(search_tables(world_folder(world))))


@benchmark.command()
@click.option("--world", default="mnist", show_default=True, help="Name of a folder in weights/, or a path.")
@click.option("--images", type=click.IntRange(20), help="At most so many of each set and half of the test set [all].")
@click.option(
    "--slow-images", default=1000, show_default=True, type=click.IntRange(20),
    help="So many of them for δz and likelihood regret, where the calibration has no scores.",
)  # fmt: skip
def detectors(world, images, slow_images):
    """The guard's metrics against published detectors, on nonsense, spoilt digits and drawn digits.

    pytorch-ood's detectors join where it is installed: pip install -r requirements-benchmark.txt
    """
    from robust.benchmarks.detectors import run
    from robust.report import as_text, detectors_tables

    try:
        left_out = run(world_folder(world), images, slow_images)["left_out"]
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from None
    click.echo(as_text(detectors_tables(world_folder(world))))
    if left_out:
        click.echo(f"\nLeft out, since the data is not on this machine: {', '.join(left_out)}.")

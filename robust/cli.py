"""The commands: score, train, calibrate, report, benchmark."""

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path

import click

from robust.data.datasets import DATASETS, UnusableDataset
from robust.models.world import WEIGHTS, DamagedWorld, world_folder

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
BATCH = 256
LISTED = 10  # unreadable files named after a run


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
            yield from images_below(path)
        else:
            yield path


def images_below(folder: Path) -> Iterator[Path]:
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from images_below(path)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--world", default="mnist", show_default=True, help="Name of a folder in weights/, or a path.")
@click.option("--rule", default=None, help="A metric's name, either or both. [surprise, or either without it]")
@click.option("--metrics", default=None, help="Only these, such as vae_loss: names joined by commas. [all]")
@click.option("--out", default=None, type=click.Path(path_type=Path), help="Parquet file to write instead of JSON.")
@click.option("--workers", default=None, type=click.IntRange(1), help="With --out: processes. [one for each core]")
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="local",
    default=None,
    metavar="[ADDRESS]",
    help="With --out: score on the Ray cluster at ADDRESS, or on a local one; write it after PATHS.",
)
def score(paths, world, rule, metrics, out, workers, address):
    """Judge image files and folders; print one JSON object a line, in input order.

    --out writes the same rows to a Parquet file instead, from all cores, with a progress bar. A run that was
    interrupted goes on where it stopped when the same command is given again.

    Exits 0 when every file was scored, 1 when some could not be read.
    """
    from robust.guard import Guard
    from robust.models.world import World

    if out is None and (workers or address):
        raise click.UsageError("--workers and --ray need --out: the file to write.")
    if address and Path(address).exists():
        raise click.UsageError(f"--ray took {address} for an address: write --ray at the end of the command.")
    loaded = World.load(world_folder(world))
    try:
        guard = Guard.of(loaded, rule=rule, metrics=metrics.split(",") if metrics else None)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    files = map(str, image_paths(paths))
    failures = print_scores(guard, files) if out is None else write_scores(loaded, guard, files, out, workers, address)
    sys.exit(1 if failures else 0)


def print_scores(guard, files: Iterator[str]) -> int:
    """One JSON object a line; returns how many files could not be read. A δz of ∞ is null: JSON has no infinity."""
    from robust.serving.batch import score_files

    failures = 0
    while batch := list(islice(files, BATCH)):
        for row in score_files(guard, batch).to_pylist():
            error = row.pop("error")
            failures += error is not None
            row = {"path": row["path"], "error": error} if error else row
            click.echo(json.dumps({key: None if value == inf else value for key, value in row.items()}))
    return failures


def write_scores(world, guard, files: Iterator[str], out: Path, workers: int | None, address: str | None) -> int:
    """One Parquet file; returns how many files could not be read, and lists the first of them on stderr."""
    from robust.serving.batch import BatchError, in_processes, score_to_parquet, unreadable

    files = list(files)
    if not files:
        raise click.UsageError("There are no pictures in the folders given.")
    if not out.parent.is_dir() or out.is_dir():
        raise click.BadParameter(f"{out} cannot be written: name a file in a folder that exists.", param_hint="--out")
    if address:
        from robust.serving.batch_ray import on_ray

        compute = partial(on_ray, address=address, workers=workers)
    else:
        compute = partial(in_processes, workers=workers or len(os.sched_getaffinity(0)))
    try:
        score_to_parquet(world, guard, files, out, compute)
    except BatchError as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Interrupted. Run the same command again to go on.", err=True)
        raise
    except OSError as error:
        raise click.UsageError(f"{out} could not be written: {error.strerror}.") from None
    failures = list(unreadable(out))
    for path, reason in failures[:LISTED]:
        click.echo(f"{path}: {reason}", err=True)
    if failures:
        more = f", the first {LISTED} of which are listed above" if len(failures) > LISTED else ""
        click.echo(
            f"{len(failures):,} of {len(files):,} files could not be read{more}; see the column error.", err=True
        )
    return len(failures)


@main.command()
@click.option("--dataset", default="mnist", show_default=True, help="mnist, fashion-mnist, or FOLDER.")
@click.option("--size", default=None, type=click.IntRange(28, 64), help="Side of FOLDER's images, in pixels [28].")
@click.option("--out", default=None, type=click.Path(path_type=Path), help="Folder to write [weights/DATASET].")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--stage", "stages", multiple=True, help="Only this stage (lenet, verifier, vae, wgan, inverter); repeatable."
)
def train(dataset, size, out, seed, stages):
    """Train every net from the raw data, then calibrate. Resumes where an interrupted run stopped.

    FOLDER holds your own images, one folder for each class; or train/ and test/ with such folders in each. Images are
    cropped to squares and scaled; they are grey when none of them has colour.
    """
    from robust.data import datasets
    from robust.data.image_folder import read_image_folder
    from robust.evaluation.calibration import calibrate as calibrate_world
    from robust.models import training
    from robust.models.config import config_for

    own = None if dataset in DATASETS else read_image_folder(Path(dataset), size or 28)
    if size and not own:
        raise click.BadParameter(f"{dataset} has a size of its own.", param_hint="--size")
    images = own or datasets.known(dataset)
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
    from robust.data.image_folder import read_image_folder
    from robust.evaluation.calibration import calibrate as calibrate_world
    from robust.models.config import Config
    from robust.models.world import read_manifest

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
    from robust.evaluation.report import as_markdown, as_text, tables, update_block

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
@click.option("--algorithm-2", default=200, show_default=True, help="Digits for Algorithm 2: about 10 seconds each.")
@click.option("--algorithm-1", default=5, show_default=True, help="Digits for Algorithm 1: about 40 seconds each.")
def search(world, digits, algorithm_2, algorithm_1):
    """The δz search against the published, foolbox's, and a long run of itself.

    Foolbox's attacks join where it is installed: pip install foolbox
    """
    from robust.evaluation.report import as_text, search_tables
    from robust.evaluation.search import run

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

    pytorch-ood's detectors join where it is installed: pip install pytorch-ood scikit-learn
    """
    from robust.evaluation.detectors import run
    from robust.evaluation.report import as_text, detectors_tables

    try:
        left_out = run(world_folder(world), images, slow_images)["left_out"]
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from None
    click.echo(as_text(detectors_tables(world_folder(world))))
    if left_out:
        click.echo(f"\nLeft out, since the data is not on this machine: {', '.join(left_out)}.")


@benchmark.command()
@click.option("--world", default="mnist", show_default=True, help="Name of a folder in weights/, or a path.")
@click.option("--images", default=20_000, show_default=True, help="Images to score with LeNet and VAE loss.")
@click.option("--searched", default=128, show_default=True, help="Images to score with δz.")
@click.option("--ray", is_flag=True, help="On a local Ray, too.")
def batch(world, images, searched, ray):
    """Images a second from a folder of PNGs and from arrays, with one process and with one for each core."""
    from robust.evaluation.report import as_text
    from robust.evaluation.throughput import run, tables

    click.echo(as_text(tables(run(world_folder(world), images, searched, ray))))

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
from tqdm import tqdm

from robust.data.datasets import DATASETS, UnusableDataset
from robust.inputs.decode import PICTURE_SUFFIXES, UnusableImage
from robust.models.store import WEIGHTS, DamagedWorld, guard_folder

BATCH = 256
LISTED = 10  # unreadable files named after a run


class Commands(click.Group):
    """Turns the errors a user can mend into one sentence and exit status 2."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (DamagedWorld, UnusableDataset) as error:
            raise click.UsageError(str(error)) from None


guard_option = click.option(
    "--guard", "--world", "guard", default="mnist", show_default=True, help="Folder of a guard, or a name in weights/."
)
classifier_option = click.option(
    "--classifier", metavar="MODULE:NAME", help="The classifier of a guard that Guard.fit made: package.module:name."
)
dataset_option = click.option("--dataset", metavar="NAME|FOLDER", help="mnist, fashion-mnist, or a folder of pictures.")


def load_guard(guard: str, classifier: str | None, **options):
    """The guard of the options. Ends with one sentence where it cannot be loaded."""
    from robust.serving.source import GuardSource

    try:
        return GuardSource(str(guard_folder(guard)), classifier, **options).load()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@click.group(cls=Commands)
def main():
    """May I trust what this classifier just said?"""


def image_paths(paths: tuple[Path, ...], others: list[Path]) -> Iterator[Path]:
    """Files as given; folders become the picture files below them, sorted by name. All else below goes to `others`."""
    for path in paths:
        if path.is_dir():
            yield from images_below(path, others)
        else:
            yield path


def images_below(folder: Path, others: list[Path]) -> Iterator[Path]:
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if path.is_dir():
            if not path.is_symlink():
                yield from images_below(path, others)
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            yield path
        else:
            others.append(path)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@guard_option
@classifier_option
@click.option("--rule", default=None, help="A metric's name, any or all. [surprise, or any without it]")
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
def score(paths, guard, classifier, rule, metrics, out, workers, address):
    """Judge image files and folders; print one JSON object a line, in input order.

    --out writes the same rows to a Parquet file instead, from all cores, with a progress bar. A run that was
    interrupted goes on where it stopped when the same command is given again.

    Of a folder every file of a picture format is read, or gets a row that says why not; how many others there are is
    said on stderr.

    Exits 0 when every file was scored, 1 when some could not be read.
    """
    from robust.serving.source import GuardSource

    if out is None and (workers or address):
        raise click.UsageError("--workers and --ray need --out: the file to write.")
    if address and Path(address).exists():
        raise click.UsageError(f"--ray took {address} for an address: write --ray at the end of the command.")
    options = {"rule": rule, "metrics": tuple(metrics.split(",")) if metrics else None}
    source = GuardSource(str(guard_folder(guard)), classifier, **options)
    guard = load_guard(guard, classifier, **options)
    others: list[Path] = []
    files = map(str, image_paths(paths, others))
    failures = print_scores(guard, files) if out is None else write_scores(source, guard, files, out, workers, address)
    if others:
        click.echo(f"Left out, since their names are not those of pictures: {len(others):,}.", err=True)
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


def write_scores(source, guard, files: Iterator[str], out: Path, workers: int | None, address: str | None) -> int:
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
        score_to_parquet(source, guard, files, out, compute)
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
@guard_option
@classifier_option
@click.option("--rule", default=None, help="A metric's name, any or all. [surprise, or any without it]")
@click.option("--metrics", default=None, help="Only these, such as vae_loss: names joined by commas. [all]")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 serves other machines, too.")
@click.option("--port", default=8000, show_default=True)
@click.option(
    "--ray", "address", is_flag=False, flag_value="local", default=None, metavar="[ADDRESS]",
    help="In replicas on the Ray cluster at ADDRESS, or on a local one.",
)  # fmt: skip
@click.option("--replicas", default=None, type=click.IntRange(1), help="With --ray. [one for each CPU]")
def serve(guard, classifier, rule, metrics, host, port, address, replicas):
    """Judge pictures over HTTP: POST /v1/judge; also /health, /metrics for Prometheus and /openapi.json.

    Ctrl-C or SIGTERM stops it when the requests that it has taken in are answered.
    """
    if replicas and not address:
        raise click.UsageError("--replicas needs --ray.")
    try:
        import uvicorn

        from robust.serving.http import http_app
    except ImportError:
        raise click.ClickException(
            'The optional part is missing: pip install "robust-guard[serve]" brings it.'
        ) from None
    options = {"rule": rule, "metrics": tuple(metrics.split(",")) if metrics else None}
    loaded = load_guard(guard, classifier, **options)
    if address:
        from robust.serving.cluster import NoCluster
        from robust.serving.http_ray import serve_on_ray

        try:
            serve_on_ray(loaded, address, replicas, host, port, lambda n: click.echo(f"{n} replicas answer.", err=True))
        except NoCluster as error:
            raise click.UsageError(str(error)) from None
    else:
        uvicorn.run(http_app(loaded), host=host, port=port, log_level="warning")


@main.command()
@click.option("--dataset", default="mnist", show_default=True, help="mnist, fashion-mnist, or FOLDER.")
@click.option("--size", default=None, type=click.IntRange(28, 64), help="Side of FOLDER's images, in pixels [28].")
@click.option("--out", default=None, type=click.Path(path_type=Path), help="Folder to write [weights/DATASET].")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    help="Only this stage (lenet, verifier, orienter, vae, wgan, inverter); repeatable.",
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

    if unknown := set(stages) - set(training.STAGES):
        raise click.BadParameter(
            f"there is no {', '.join(sorted(unknown))}; there are {', '.join(training.STAGES)}.", param_hint="--stage"
        )
    own = None if dataset in DATASETS else read_image_folder(Path(dataset), size or 28)
    if size and not own:
        raise click.BadParameter(f"{dataset} has a size of its own.", param_hint="--size")
    images = own or datasets.known(dataset)
    _, channels, side, _ = images.train[0].shape
    config = config_for(images.name, seed, channels, side, len(images.subject.classes))
    folder = out or WEIGHTS / images.name
    training.train(images, folder, config, stages)
    if not stages:
        calibrate_world(folder, own)
        say_what_was_made(folder)


def say_what_was_made(folder: Path) -> None:
    """The classifier's accuracy, and metrics that came out idle: at their thresholds they refuse nothing of what they should."""
    from robust.guard import Guard
    from robust.models.store import read_manifest

    guard, figures = Guard.load(folder), read_manifest(folder)["figures"]
    click.echo(f"LeNet reads {figures['accuracy']:.2%} of the test images rightly.")
    for name, metric in guard.metrics.items():
        accepted = [shares[name] for shares in guard.self_test().values()]
        if accepted and min(accepted) > 0.95:
            click.echo(f"{metric.title} is idle: it accepts {min(accepted):.0%} or more of every comparison set.")


def given_images(dataset: str | None, manifest: dict, why: str):
    """The images of --dataset, else those that a world was trained on, as `robust.data.datasets.Dataset`."""
    from robust.data import datasets
    from robust.data.image_folder import read_image_folder

    name = dataset or manifest["dataset"]
    if name in DATASETS:
        found = datasets.known(name)
    elif dataset:
        found = read_image_folder(Path(dataset), manifest["config"]["size"])
    else:
        raise click.UsageError(f"{why}: say where they are with --dataset, mnist, fashion-mnist or FOLDER.")
    shape = (manifest["config"]["channels"], manifest["config"]["size"], manifest["config"]["size"])
    if found.test[0].shape[1:] != shape:
        theirs, ours = ("×".join(map(str, sides)) for sides in (found.test[0].shape[1:], shape))
        raise click.UsageError(f"{name} has images of {theirs} (channels, height, width), and the guard wants {ours}.")
    return found


@main.command()
@guard_option
@classifier_option
@dataset_option
def calibrate(guard, classifier, dataset):
    """Take the reference distributions anew, with the trained nets.

    A world takes them from its test set. A guard that Guard.fit made takes them from the pictures below --dataset FOLDER,
    good ones that nothing was trained on; they need no labels.
    """
    from robust.evaluation.calibration import calibrate as calibrate_world
    from robust.models.store import read_manifest

    folder = guard_folder(guard)
    manifest = read_manifest(folder)
    if "net" in manifest["classifier"]:
        own = given_images(dataset, manifest, "This is a world of your own images") if dataset else None
        calibrate_world(folder, own)
        return
    loaded = load_guard(guard, classifier)
    if dataset is None:
        raise click.UsageError("Good pictures are needed: say where they are with --dataset, FOLDER or a known name.")
    try:
        if dataset in DATASETS:
            images = given_images(dataset, manifest, "").test[0]
        else:
            files = list(image_paths((Path(dataset),), []))
            images = [loaded.read(file) for file in tqdm(files, desc="read pictures", unit="image")]
        loaded.calibrate(images).save(folder)
    except (ValueError, UnusableImage, OSError) as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"Calibrated {folder} on {len(loaded.reference['prediction']):,} images.")


@main.command()
@guard_option
@classifier_option
@click.option("--markdown", is_flag=True, help="Print Markdown instead of text.")
@click.option("--card", is_flag=True, help="Write the model card, README.md in the guard's folder.")
@click.option(
    "--update",
    type=click.Path(path_type=Path, exists=True),
    help="Write the rules' table into this file's report block.",
)
def report(guard, classifier, markdown, card, update):
    """Print the measured tables, next to the published ones where there are some.

    Nothing is computed anew. --classifier is needed only where its module defines a metric of the guard's.
    """
    from robust.evaluation.model_card import write_model_card
    from robust.evaluation.report import summary, tables
    from robust.evaluation.tables import as_markdown, as_text, update_block
    from robust.serving.source import named_object

    folder = guard_folder(guard)
    try:
        if classifier:
            named_object(classifier)
        if card:
            click.echo(f"Wrote {write_model_card(folder)}.")
        if update:
            update.write_text(update_block(update.read_text(), as_markdown([summary(folder)])))
        if not card and not update:
            click.echo(as_markdown(tables(folder)) if markdown else as_text(tables(folder)))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@main.group()
def benchmark():
    """How good and how fast: each command measures, and prints a table."""


@benchmark.command("visitors")
@click.option("--visitors", default="10,25,50", show_default=True, help="How many at once, one number after the other.")
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(20), help="How long it takes.")
@click.option(
    "--each", default=None, type=click.IntRange(20), help="Seconds that a visitor stays, until another comes. [all]"
)
def benchmark_visitors(visitors, seconds, each):
    """Visitors of the app who each draw something new every ten seconds: waits, errors, memory. In a clone of the project."""
    import subprocess

    from robust.evaluation.app import running_app

    client = Path("hosting/visitors.py")
    if not client.exists():
        raise click.ClickException("Run it where the project lies: hosting/visitors.py is not here.")
    with running_app(Path("app.py")) as (address, pid):
        numbers = ["--visitors", *visitors.split(","), "--seconds", str(seconds)]
        numbers += ["--each", str(each)] if each else []
        subprocess.run([sys.executable, client, address, str(pid), *numbers], check=True)


@benchmark.command("serve")
@click.option("--clients", default=20, show_default=True, type=click.IntRange(1))
@click.option("--requests", default=2000, show_default=True, type=click.IntRange(100))
@click.option("--metrics", default="vae_loss", show_default=True, help="What is computed.")
@click.option("--ray", is_flag=True, help="In two replicas on a local Ray, of which one is killed in the middle.")
def benchmark_serve(clients, requests, metrics, ray):
    """Requests a second and waits of `robust serve`, and what is lost when it is stopped in the middle."""
    from robust.evaluation.serve import measure
    from robust.evaluation.tables import as_text

    click.echo(as_text(measure(clients, requests, metrics, ray)))


@benchmark.command("app")
@click.option(
    "--script", default="app.py", show_default=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def benchmark_app(script):
    """Frames while a line is dragged, and the waits after its release and after a stroke; in Chromium."""
    from robust.evaluation.app import measure
    from robust.evaluation.tables import as_text

    try:
        click.echo(as_text(measure(script)))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None


@benchmark.command("room")
@click.option(
    "--script", default="app.py", show_default=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--phones", default=200, show_default=True, type=click.IntRange(1), help="Each draws every 20 seconds.")
@click.option("--seconds", default=300, show_default=True, type=click.IntRange(20), help="How long they draw.")
def benchmark_room(script, phones, seconds):
    """Phones that draw, the wall, a killed server, clients that mean harm."""
    from robust.evaluation.room import measure
    from robust.evaluation.tables import as_text

    try:
        click.echo(as_text(measure(script, phones, seconds)))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None


@benchmark.command()
@guard_option
@classifier_option
@dataset_option
@click.option("--digits", default=200, show_default=True, type=click.IntRange(1), help="Test images to search.")
@click.option(
    "--algorithm-2", default=200, show_default=True, type=click.IntRange(1), help="For Algorithm 2: 10 seconds each."
)
@click.option(
    "--algorithm-1", default=5, show_default=True, type=click.IntRange(1), help="For Algorithm 1: 40 seconds each."
)
def search(guard, classifier, dataset, digits, algorithm_2, algorithm_1):
    """The δz search against the published, foolbox's, and a long run of itself.

    Foolbox's attacks join where it is installed: pip install foolbox
    """
    from robust.evaluation.report import search_tables
    from robust.evaluation.search import run
    from robust.evaluation.tables import as_text
    from robust.models.store import read_manifest

    guard = load_guard(guard, classifier, metrics=("delta_z",))
    if not getattr(guard.classifier, "has_gradients", True):
        raise click.UsageError("This search follows gradients, and the classifier gives none.")
    folder = guard.contents.folder
    images = given_images(dataset, read_manifest(folder), "Test images are needed").test[0]
    run(guard, images, digits, algorithm_2, algorithm_1)
    click.echo(as_text(search_tables(folder)))


@benchmark.command()
@guard_option
@classifier_option
@dataset_option
@click.option("--images", type=click.IntRange(20), help="At most so many of each set and half of the test set [all].")
@click.option(
    "--slow-images", default=1000, show_default=True, type=click.IntRange(20),
    help="So many of them for δz and likelihood regret, where the calibration has no scores.",
)  # fmt: skip
def detectors(guard, classifier, dataset, images, slow_images):
    """The guard's metrics against published detectors, on nonsense, spoilt digits and drawn digits.

    pytorch-ood's detectors join where it is installed: pip install pytorch-ood scikit-learn
    """
    from robust.evaluation.detectors import run
    from robust.evaluation.report import detectors_tables
    from robust.evaluation.tables import as_text
    from robust.models.store import read_manifest

    guard = load_guard(guard, classifier)
    folder = guard.contents.folder
    found = given_images(dataset, read_manifest(folder), "Training and test images are needed")
    left_out = run(guard, found, images, slow_images)["left_out"]
    click.echo(as_text(detectors_tables(folder)))
    if left_out:
        click.echo(f"\nLeft out, since the data is not on this machine: {', '.join(left_out)}.")


@benchmark.command()
@guard_option
@classifier_option
@click.option("--images", default=20_000, show_default=True, help="Images to score with the classifier and VAE loss.")
@click.option("--searched", default=128, show_default=True, help="Images to score with δz; 0 for a guard without it.")
@click.option("--ray", is_flag=True, help="On a local Ray, too.")
def batch(guard, classifier, images, searched, ray):
    """Images a second from a folder of PNGs and from arrays, with one process and with one for each core."""
    from robust.evaluation.tables import as_text
    from robust.evaluation.throughput import run, tables
    from robust.serving.source import GuardSource

    try:
        measured = run(GuardSource(str(guard_folder(guard)), classifier), images, searched, ray)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(as_text(tables(measured)))


@benchmark.command()
@guard_option
@classifier_option
@click.option("--count", default=30, show_default=True, type=click.IntRange(1), help="Sheets of each kind.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Chooses writers, pens and light.")
@click.option(
    "--folder", "folders", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Also the pictures in this folder, which has a labels.csv: file,label,kind.",
)  # fmt: skip
@click.option(
    "--failures", type=click.Path(path_type=Path, dir_okay=False), help="PNG to show the failing pictures on."
)
def inputs(guard, classifier, count, seed, folders, failures):
    """Digits on paper of many kinds, rendered and your own: how many are read and accepted.

    For guards of digits, which find them on the paper: a guard that Guard.fit made takes pictures as they are.
    """
    from robust.evaluation.inputs import contact_sheet, run
    from robust.evaluation.tables import as_text
    from robust.models.store import CENTRED, read_manifest

    if read_manifest(guard_folder(guard))["reader"] != CENTRED:
        raise click.UsageError("This guard takes pictures as they are: it does not look for digits on paper.")
    loaded = load_guard(guard, classifier, metrics=("surprise",))
    try:
        tables, outcomes = run(loaded, loaded.contents.folder, count, seed, list(folders))
    except (FileNotFoundError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    click.echo(as_text(tables))
    if failures:
        contact_sheet(outcomes).save(failures)


@benchmark.command()
@click.option(
    "--icons", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The archive of `npm pack emoji-datasource-google`, for the task in colour. [coloured shapes]",
)  # fmt: skip
@click.option("--resnet", is_flag=True, help="Also a resnet18 at 224 pixels: some twenty minutes more.")
def guards(icons, resnet):
    """Guard.fit on classifiers that are not ours, beside pytorch-ood's detectors on the same classifiers.

    pip install pytorch-ood scikit-learn
    """
    from robust.evaluation.guards import run, tables
    from robust.evaluation.tables import as_text

    click.echo(as_text(tables(run(icons, resnet))))

"""How good `Guard.fit` is on classifiers that are not ours: what it accepts of outliers, and whether it keeps its promise.

Three classifiers are trained here: a small CNN and a random forest on Fashion-MNIST, and a CNN on icons in colour (or on
coloured shapes, which need no download); on request a resnet18 on the icons at 224 pixels. Beside each guard stand
pytorch-ood's detectors on the same classifier, fitted to the same training images, at thresholds of the same kind.
"""

import io
import json
import tarfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from robust.data import changes, datasets, image_sets, patterns
from robust.data.datasets import batch_for, to_bytes, to_float
from robust.decision.promise import promised_threshold
from robust.decision.thresholds import refused
from robust.decision.tradeoff import auroc
from robust.evaluation.baselines.from_pytorch_ood import pytorch_ood_metrics
from robust.evaluation.tables import Table
from robust.fitting import LARGEST_NET
from robust.guard import Guard
from robust.judge import single_metrics
from robust.metrics import Metric
from robust.models.classifier import AnyClassifier

FILE = Path(__file__).with_name("benchmark_guards.json")
FPR, CONFIDENCE = 0.05, 0.95
TRAIN, CALIBRATION, FRESH = 10_000, 2000, 4000  # images; the fresh ones measure the FPR
SOME = 1000  # images of each set of outliers
THEIRS = "pytorch-ood: "
STEPS = 2000  # of the verifier, where labels are given
LABELLED = f"Surprise, with labels ({STEPS:,} steps)"
DRAWS, DRAWN = 200, 500  # repeated calibrations, and the images of each, where that leaves as many to check it on
CLASSES = {  # of emoji-datasource, and the groups that make them
    "faces": ("Smileys & Emotion",),
    "animals": ("Animals & Nature",),
    "food": ("Food & Drink",),
    "places": ("Travel & Places",),
    "objects": ("Objects",),
    "flags": ("Flags",),
}
SHAPES = ("disc", "square", "triangle", "cross", "ring", "stripes")


@dataclass(frozen=True)
class Task:
    """A classifier, its data, and outliers. Images uint8 (N, channels, size, size); labels (N,) int64."""

    name: str
    classifier: object
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    outliers: dict[str, Tensor]


# --- Classifiers ---------------------------------------------------------------------------------------------------


def small_cnn(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * (size // 4) ** 2, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, classes),
    )  # fmt: skip


def trained(net: nn.Module, images: Tensor, labels: Tensor, steps: int, title: str, batch: int = 64) -> nn.Module:
    """The net after so many steps, in evaluation mode. Seed 0."""
    randomness = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    net.train()
    for _ in tqdm(range(steps), desc=title):
        chosen = torch.randint(0, len(images), (batch,), generator=randomness)
        optimizer.zero_grad()
        F.cross_entropy(net(to_float(images[chosen])), labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return net.eval()


# --- Data ----------------------------------------------------------------------------------------------------------


def icons(archive: Path, size: int) -> tuple[Tensor, Tensor]:
    """Icons of npm's emoji-datasource-google, `npm pack emoji-datasource-google`, on white, in six classes."""
    with tarfile.open(archive) as package:
        entries = json.load(package.extractfile("package/emoji.json"))
        images, labels = [], []
        for entry in tqdm(entries, desc="read icons"):
            label = next((i for i, groups in enumerate(CLASSES.values()) if entry["category"] in groups), None)
            if label is None or not entry.get("has_img_google"):
                continue
            found = package.extractfile(f"package/img/google/64/{entry['image']}").read()
            picture = Image.open(io.BytesIO(found)).convert("RGBA").resize((size, size), Image.Resampling.BOX)
            page = Image.new("RGBA", picture.size, "white")
            images.append(np.array(Image.alpha_composite(page, picture).convert("RGB")))
            labels.append(label)
    return torch.from_numpy(np.stack(images)).movedim(3, 1).contiguous(), torch.tensor(labels)


def augmented(images: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`count` copies, each shifted by up to an eighth of its side, since there are few icons. Seed 0."""
    randomness = np.random.default_rng(0)
    margin = images.shape[2] // 8
    wide = F.pad(images, (margin,) * 4, value=255)
    chosen, found = randomness.integers(len(images), size=count), []
    for i, (top, left) in zip(chosen, randomness.integers(0, 2 * margin + 1, (count, 2))):
        found.append(wide[i, :, top : top + images.shape[2], left : left + images.shape[3]])
    return torch.stack(found), labels[chosen]


def shapes(count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Six coloured shapes on coloured grounds, of any size and place."""
    randomness, images = np.random.default_rng(seed), []
    labels = randomness.integers(len(SHAPES), size=count)
    for label in labels:
        page = Image.new("RGB", (64, 64), tuple(randomness.integers(150, 256, 3).tolist()))
        pen, ink = ImageDraw.Draw(page), tuple(randomness.integers(0, 140, 3).tolist())
        side = int(randomness.integers(24, 50))
        x, y = (int(place) for place in randomness.integers(3, 62 - side, 2))
        box = (x, y, x + side, y + side)
        match SHAPES[label]:
            case "disc":
                pen.ellipse(box, fill=ink)
            case "square":
                pen.rectangle(box, fill=ink)
            case "triangle":
                pen.polygon([(x + side // 2, y), (x, y + side), (x + side, y + side)], fill=ink)
            case "cross":
                pen.line([(x, y), (x + side, y + side)], fill=ink, width=7)
                pen.line([(x + side, y), (x, y + side)], fill=ink, width=7)
            case "ring":
                pen.ellipse(box, outline=ink, width=6)
            case _:
                for line in range(y, y + side, 10):
                    pen.line([(x, line), (x + side, line)], fill=ink, width=4)
        images.append(np.array(page.resize((size, size), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(images)).movedim(3, 1).contiguous(), torch.from_numpy(labels)


def photo_patches(count: int, size: int) -> Tensor:
    """Patches of scikit-learn's two sample photos (china.jpg, flower.jpg), uint8 (count, 3, size, size)."""
    from sklearn.datasets import load_sample_images

    randomness, found = np.random.default_rng(0), []
    for photo in load_sample_images().images:
        for _ in range(count // 2):
            side = int(randomness.integers(48, 320))
            top, left = (int(randomness.integers(0, length - side)) for length in photo.shape[:2])
            patch = Image.fromarray(photo[top : top + side, left : left + side])
            found.append(np.array(patch.resize((size, size), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(found)).movedim(3, 1).contiguous()


def outliers(good: Tensor, others: dict[str, Tensor]) -> dict[str, Tensor]:
    """What no guard should accept: `others`, images made from nothing, and good ones that are spoilt."""
    channels, size = good.shape[1:3]
    some = to_float(good[:SOME])
    flat = {name: torch.full((1, channels, size, size), level) for name, level in (("black", 0.0), ("white", 1.0))}
    made = {
        **flat,
        "noise": patterns.noise(400, size, channels),
        "structured-noise": patterns.structured_noise(400, size).expand(-1, channels, -1, -1),
        "upside-down": changes.upside_down(some),
        "inverted": changes.inverted(some),
        "half-contrast": some * 0.5,
        "shuffled": changes.shuffled_patches(some),
    }
    return others | {name: to_bytes(images) for name, images in made.items()}


def clothes_tasks() -> list[Task]:
    from sklearn.ensemble import RandomForestClassifier

    (images, labels), test = datasets.load("fashion-mnist", True), datasets.load("fashion-mnist", False)
    train = images[:TRAIN], labels[:TRAIN]
    others = {"mnist": datasets.load("mnist", False)[0][:SOME], "printed": to_bytes(image_sets.letters(300))}
    letters = image_sets.load("omniglot")
    if letters is not None:
        others["omniglot"] = to_bytes(letters.images)
    torch.manual_seed(0)
    cnn = trained(small_cnn(1, 28, 10), images, labels, 2400, "train a CNN on clothes")
    forest = RandomForestClassifier(random_state=0, n_jobs=-1).fit(train[0].flatten(1).numpy() / 255, train[1].numpy())
    found = outliers(test[0][-SOME:], others)
    return [Task("CNN on clothes", cnn, train, test, found), Task("forest on clothes", forest, train, test, found)]


def colour_task(archive: Path | None, size: int, resnet: bool) -> Task:
    train_count, test_count = (1500, 900) if resnet else (TRAIN, CALIBRATION + FRESH)
    if archive:
        images, labels = icons(archive, size)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        first, second = order[: len(order) // 2], order[len(order) // 2 :]
        # Copies of one icon are no independent images: only the training set has them.
        train, test = augmented(images[first], labels[first], train_count), (images[second], labels[second])
    else:
        train, test = shapes(train_count, size, 0), shapes(test_count, size, 1)
    torch.manual_seed(0)
    what = "icons" if archive else "shapes"
    if resnet:
        from torchvision.models import resnet18

        net, steps, batch = resnet18(weights=None, num_classes=len(SHAPES)), 120, 16
    else:
        net, steps, batch = small_cnn(3, size, len(SHAPES)), 2000, 64
    name = f"{'resnet18' if resnet else 'CNN'} on {what}"
    net = trained(net, *train, steps, f"train a {name}", batch)
    own = test[0][-(200 if resnet else SOME) :]
    return Task(name, net, train, test, outliers(own, {"photos": photo_patches(SOME if not resnet else 200, size)}))


# --- Measurement ---------------------------------------------------------------------------------------------------


Scores = dict[str, np.ndarray]


def scores_of(metrics: Mapping[str, Metric], classifier: Callable[[Tensor], Tensor], images: Tensor) -> Scores:
    """Each metric's scores (N,) of images uint8 (N, channels, size, size)."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
    for part in images.split(batch_for(images)):
        part = to_float(part)
        with torch.no_grad():
            predictions = classifier(part).argmax(1)
        for name, metric in metrics.items():
            found[name].append(metric.scores(part, predictions))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def measure(task: Task) -> dict:
    """The guard with its defaults, one that was given labels, and pytorch-ood's detectors beside them."""
    calibration = min(CALIBRATION, len(task.test[0]) // 2)
    good, fresh = task.test[0][:calibration], task.test[0][calibration : calibration + FRESH]
    began = time.perf_counter()
    guard = fitted(task, good)
    seconds = time.perf_counter() - began
    classifier: AnyClassifier = guard.classifier
    ours = guard.metrics | single_metrics(guard.metrics.values())
    metrics = {metric.title: metric for metric in ours.values()}
    references = {metric.title: guard.reference[name] for name, metric in guard.metrics.items() if metric.parts}
    if task.train[0].shape[2] <= LARGEST_NET:
        labelled = fitted(task, good, labels=task.train[1], steps=STEPS)
        metrics[LABELLED] = labelled.metrics[labelled.rule.decides]
        references[LABELLED] = labelled.reference[labelled.rule.decides]
    if not classifier.gives_probabilities:
        with torch.no_grad():
            parts = [to_float(part) for part in task.train[0].split(batch_for(task.train[0]))]
            known = [(classifier.features(part), classifier(part)) for part in parts]
            features, logits = (torch.cat(found) for found in zip(*known))
        theirs = pytorch_ood_metrics(classifier, features, logits, task.train[1])
        metrics |= {f"{THEIRS}{metric.title}": metric for metric in theirs}
    scored = [good, fresh, *task.outliers.values()]
    reference, measured, *others = (
        scores_of(metrics, classifier, images) for images in tqdm(scored, desc=f"measure {task.name}")
    )
    # A metric of metrics judges each good image against the others: its scores as the guard keeps them.
    reference |= references
    rows = {
        title: figures(metric, reference[title], measured[title], {n: o[title] for n, o in zip(task.outliers, others)})
        for title, metric in metrics.items()
    }
    accuracy = float((torch.cat([classifier(to_float(p)) for p in fresh.split(batch_for(fresh))]).argmax(1) == task.test[1][calibration : calibration + FRESH]).float().mean())  # fmt: skip
    return {
        "seconds": seconds,
        "accuracy": accuracy,
        "rule": guard.metrics[guard.rule.decides].title,
        "calibration": calibration,
        "fresh": len(fresh),
        "redrawn": redrawn(guard, torch.cat([good, fresh])),
        "metrics": rows,
    }


def fitted(task: Task, good: Tensor, **options) -> Guard:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of sets that it is blind to: the table says it
        return Guard.fit(task.classifier, task.train[0], good, fpr=FPR, confidence=CONFIDENCE, **options)


def figures(metric: Metric, reference: np.ndarray, measured: np.ndarray, others: Scores) -> dict:
    """FPR on fresh images, the share of each set accepted, and the mean AUROC over the sets."""
    threshold = promised_threshold(reference, FPR, CONFIDENCE, metric.refuses)
    return {
        "fpr": float(refused(measured, threshold, metric.refuses).mean()),
        "accepted": {n: float((~refused(scores, threshold, metric.refuses)).mean()) for n, scores in others.items()},
        "auroc": float(np.mean([auroc(measured, scores, metric.refuses) for scores in others.values()])),
    }


def redrawn(guard: Guard, images: Tensor) -> dict:
    """Repeated calibrations on images drawn of those given, each measured on the others: how many images are drawn and left,
    the mean FPR, and the share of calibrations whose FPR is at most that promised. Few others make that share smaller
    than it is: they add their own chance to the draw's."""
    surprise = guard.metrics[guard.rule.decides]
    parts = scores_of(surprise.parts, guard.classifier, images)
    count, randomness, fprs = min(DRAWN, len(images) // 2), np.random.default_rng(0), []
    usual = surprise.reference
    for _ in range(DRAWS):
        order = randomness.permutation(len(images))
        chosen, others = order[:count], order[count:]
        surprise.calibrate({name: scores[chosen] for name, scores in parts.items()})
        threshold = promised_threshold(surprise.combine_good(), FPR, CONFIDENCE, surprise.refuses)
        fresh = surprise.combine({name: scores[others] for name, scores in parts.items()})
        fprs.append(float(refused(fresh, threshold, surprise.refuses).mean()))
    surprise.calibrate(usual)
    kept = float(np.mean([fpr <= FPR for fpr in fprs]))
    return {"drawn": count, "others": len(images) - count, "fpr": float(np.mean(fprs)), "kept": kept}


def run(archive: Path | None, resnet: bool) -> dict:
    """Measure all tasks, and write `benchmark_guards.json` beside this file."""
    measured = {}
    for task in _tasks(archive, resnet):
        measured[task.name] = measure(task)
        FILE.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    return measured


def _tasks(archive: Path | None, resnet: bool) -> Iterator[Task]:
    yield from clothes_tasks()
    yield colour_task(archive, 32, False)
    if resnet:
        yield colour_task(archive, 224, True)


def tables(measured: dict) -> list[Table]:
    """For each classifier: the guard's default rule, what it joins, and the five best of pytorch-ood's by AUROC."""
    return [_table(name, found) for name, found in measured.items()]


def _table(name: str, found: dict) -> Table:
    rows = found["metrics"]
    theirs = sorted((row for row in rows if row.startswith(THEIRS)), key=lambda row: -rows[row]["auroc"])[:5]
    ours = sorted((row for row in rows if not row.startswith(THEIRS)), key=lambda row: row != found["rule"])
    sets, again = list(rows[found["rule"]]["accepted"]), found["redrawn"]
    title = (
        f"{name}, {found['accuracy']:.1%} right: accepted when at most {FPR:.0%} of good images are refused with "
        f"{CONFIDENCE:.0%} confidence ({found['calibration']:,} images). Fitted in {found['seconds']:.0f} s"
        + f"; {DRAWS} calibrations on {again['drawn']:,} refuse {again['fpr']:.1%} of {again['others']:,} others on average "
        + f"and at most {FPR:.0%} in {again['kept']:.1%}"
    )
    header = ["metric", "FPR", *(image_sets.TITLES.get(one, one.capitalize()) for one in sets), "mean AUROC"]
    return Table(
        title,
        header,
        [
            [
                row,
                f"{rows[row]['fpr']:.1%}",
                *(f"{rows[row]['accepted'][s]:.1%}" for s in sets),
                f"{rows[row]['auroc']:.4f}",
            ]
            for row in [*ours, *theirs]
        ],
    )

"""Every metric against every kind of input: the guard's, published detectors on the same nets, and combinations.

One half of the test set sets the thresholds; every figure is taken on the other half. `robust.evaluation.figures` says which.
"""

import copy
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from robust.data import changes, datasets, image_sets
from robust.data.datasets import BATCH, UnusableDataset, to_bytes
from robust.data.image_sets import ImageSet
from robust.decision.rule import ALL, ANY
from robust.evaluation.baselines import Combination, baselines
from robust.evaluation.baselines.combination import BOTH, EITHER, PRODUCT
from robust.evaluation.figures import (
    AREAS,
    CHANGED,
    DRAWN,
    FIGURES,
    NONSENSE,
    RESAMPLES,
    SEED,
    WRONG,
    changed_figures,
    class_figures,
    drawn_figures,
    fpr_figures,
    main_figure,
    nonsense_figures,
    slipped,
    with_intervals,
    wrong_figures,
)
from robust.evaluation.tables import Table
from robust.guard import Guard
from robust.judge import single_metrics
from robust.metrics import DeltaZ, Metric, VAELoss
from robust.models.store import DamagedWorld

FILE = "benchmark_detectors.json"
PICTURES = "slipped"  # folder of one sheet for each set: pictures that metrics get wrong
SHOWN, ACROSS = 8, 20  # pictures of one metric and set that are kept; pictures in a row of a sheet
ALONE, TOGETHER = 30, 256  # images that are timed
PUBLISHED = (DeltaZ.name, VAELoss.name)
DIGITS = ("pendigits", "qmnist", "usps")  # sets of digits by other hands
# For a classifier of digits, near is what shares their strokes, and the rest is far (as in OpenOOD, Zhang et al. 2023).
NEAR = ("omniglot", "omniglot-all", "emnist-letters", "kmnist", "glyphs", "two-digits")
FEWEST_WRONG = 10  # wrong answers, to measure whether they are found
CLASS_FIGURES = ("read_right", "refused_right", "misread")
WRONG_ANSWERS = "wrong-answers"
SLOW = (DeltaZ.name, "likelihood_regret")
PAIRS = (  # metrics whose tail probabilities are multiplied
    PUBLISHED,
    ("vae_reconstruction", "nearest_features"),
    ("vae_loss", "nearest_features"),
    ("wgan_reconstruction", "nearest_features"),
)


# --- Scores --------------------------------------------------------------------------------------------------------


def predict(classifier: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([classifier(part).argmax(1) for part in images.split(BATCH)]).clone()


def score(metrics: list[Metric], images: Tensor, predictions: Tensor, slow: int, title: str) -> dict[str, np.ndarray]:
    """Scores of all images, of the first `slow` images by slow metrics."""
    found: dict[str, list] = {metric.name: [] for metric in metrics}
    starts = range(0, len(images), BATCH)
    for start in tqdm(starts, desc=title):
        part, predicted = images[start : start + BATCH], predictions[start : start + BATCH]
        for metric in metrics:
            count = len(part) if metric.name not in SLOW else min(len(part), max(slow - start, 0))
            if count == len(part):
                found[metric.name].append(metric.scores(part, predicted))
            elif count:
                found[metric.name].append(metric.scores(part[:count], predicted[:count]))
    scores = {name: np.concatenate(parts) for name, parts in found.items()}
    for name, values in scores.items():
        if np.isnan(values).any():
            raise ValueError(f"{name} gives no number for {np.isnan(values).sum()} of {title}.")
    return scores


def calibrated_scores(guard: Guard, name: str, chosen: Tensor, predictions: Tensor) -> dict[str, np.ndarray]:
    """All that the calibration knows of the images `chosen` (N,) of a set, so that δz need not be searched again.

    `predictions` (N,) are the classifier's for these images. Empty where they differ from the calibration's: it saw other images.
    """
    columns = guard.scores.get(name)
    if columns is None or int(chosen.max()) >= len(columns["prediction"]):
        return {}
    if (columns["prediction"][chosen] == predictions.numpy()).mean() < 0.999:  # rounding may tip one in a thousand
        return {}
    return {column: values[chosen] for column, values in columns.items()}


def combinations(metrics: dict[str, Metric], reference: dict[str, np.ndarray], guard: Guard) -> list[Combination]:
    """Rules and products of the metrics, calibrated on good scores, and the guard's default rule where it is a rule of
    several metrics."""
    found = []
    if set(PUBLISHED) <= metrics.keys():
        published = [metrics[name] for name in PUBLISHED]
        titles = ", ".join(metric.title for metric in published)
        found.append(Combination(EITHER, f"either: {titles}", EITHER, published, reference))
        found.append(Combination(BOTH, f"both: {titles}", BOTH, published, reference))
    for names in (pair for pair in PAIRS if set(pair) <= metrics.keys()):
        parts = [metrics[name] for name in names]
        title = " × ".join(part.title for part in parts)
        found.append(Combination("_x_".join(names), title, PRODUCT, parts, reference))
    word = guard.rule.decides
    if word in (ANY, ALL) and tuple(guard.metrics) != PUBLISHED:
        how = EITHER if word == ANY else BOTH
        found.append(Combination(word, f"{word} of the guard's", how, list(guard.metrics.values()), reference))
    return found


def default_rule(guard: Guard) -> str:
    """The name of the row that is the guard's default rule."""
    if tuple(guard.metrics) == PUBLISHED and guard.rule.decides in (ANY, ALL):
        return EITHER if guard.rule.decides == ANY else BOTH
    return guard.rule.decides


def milliseconds(metrics: list[Metric], images: Tensor, predictions: Tensor) -> dict[str, tuple[float, float]]:
    """What an image takes alone (the median) and in a batch of 256, by metric; the nets run anew for each.

    A combination takes what its parts take.
    """
    found: dict[str, tuple[float, float]] = {}
    for metric in tqdm(metrics, desc="milliseconds"):
        if isinstance(metric, Combination):
            alone, batched = (sum(times) for times in zip(*(found[part.name] for part in metric.parts)))
            found[metric.name] = round(alone, 4), round(batched, 4)
            continue
        singles = [timed(metric, images[i : i + 1], predictions[i : i + 1]) for i in range(min(ALONE, len(images)))]
        batch = images[:TOGETHER].clone()  # which no metric has met
        batched = timed(metric, batch, predictions[:TOGETHER]) / len(batch)
        found[metric.name] = round(float(np.median(singles)), 4), round(batched, 4)
    return found


def timed(metric: Metric, images: Tensor, predictions: Tensor) -> float:
    began = time.perf_counter()
    metric.scores(images, predictions)
    return 1000 * (time.perf_counter() - began)


# --- The measurement -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """A set as it was scored: the classifier's predictions (N,), and each metric's scores, (N,) or fewer if slow."""

    kind: str
    images: ImageSet
    predictions: np.ndarray
    scores: dict[str, np.ndarray]

    @property
    def right(self) -> np.ndarray:
        """Whether the classifier is right, bool (N,); of nonsense, which may have labels of its own, never."""
        return (self.predictions == self.images.labels.numpy()) & (self.kind != NONSENSE)

    def with_right(self, name: str) -> np.ndarray:
        """A metric's scores, and 1 where the classifier is right, (N, 2)."""
        scores = self.scores[name]
        return scores if scores.ndim == 2 else np.stack([scores, self.right[: len(scores)]], 1)

    def of(self, parts: list[Metric]) -> dict[str, np.ndarray]:
        """The scores of those images that all the parts have scored."""
        count = min(len(self.scores[part.name]) for part in parts)
        return {part.name: self.scores[part.name][:count] for part in parts}


def measure(
    guard: Guard, training: ImageSet, test: ImageSet, others: dict[str, ImageSet], images: int | None, slow: int
) -> tuple[dict, dict[str, Tensor]]:
    """Score every set with every metric, take the figures, and keep some of the pictures that each metric gets wrong.

    Those come by set, (n, channels, size, size); "slipped" holds their places for each metric, "read_as" their classes.

    `training` fits the baselines; `test` is the in-distribution test set, in the order of the calibration; `others`
    maps names of `robust.data.image_sets` to the other sets. At most `images` of each set, and of each half of the test set, are
    used; `slow` of them by slow metrics.
    """
    single = single_metrics(guard.metrics.values())
    joined = [copy.copy(metric) for metric in guard.metrics.values() if metric.parts]
    theirs = {m.name: m for m in baselines(guard, training.images, training.labels)}
    metrics = {**single, **{name: metric for name, metric in theirs.items() if name not in single}}

    def scored(name: str, kind: str, found: ImageSet, chosen: Tensor) -> Scored:
        picked = ImageSet(found.images[chosen[:images]], found.labels[chosen[:images]])
        predictions = predict(guard.classifier, picked.images)
        calibrated = calibrated_scores(guard, name, chosen[:images], predictions)
        known = {metric: values for metric, values in calibrated.items() if metric in metrics}
        missing = [metric for metric in metrics.values() if metric.name not in known]
        scores = score(missing, picked.images, predictions, slow, set_title(name)) | known
        return Scored(kind, picked, predictions.numpy(), scores)

    first, second = shuffled(len(test.images)).chunk(2)
    reference = scored(guard.contents.dataset, DRAWN, test, first)
    good = scored(guard.contents.dataset, DRAWN, test, second)
    found = {}
    for name, one in others.items():
        kind = DRAWN if name in DIGITS else NONSENSE
        found[name] = scored(name, kind, one, shuffled(len(one.images)))
    for name, change in changes.CHANGES.items():
        become = changes.BECOME.get(name, {}) if guard.contents.dataset == "mnist" else {}
        labels = torch.tensor([become.get(label, label) for label in good.images.labels.tolist()])
        spoilt = ImageSet(change(good.images.images), labels)
        found[name] = scored(name, CHANGED, spoilt, torch.arange(len(spoilt.images)))

    for metric in joined:
        join(metric, reference, [good, *found.values()])
    combined = combinations(metrics, reference.scores, guard)
    for metric in combined:
        for one in (reference, good, *found.values()):
            one.scores[metric.name] = metric.combine(one.of(metric.parts))
    answers = together(good, *(one for one in found.values() if one.kind == DRAWN))
    if (~answers.right).sum() >= FEWEST_WRONG:
        found[WRONG_ANSWERS] = answers
    every, timed_images = [*in_order(guard, metrics, joined), *combined], good.images.images[:TOGETHER]
    costs = milliseconds(every, timed_images, predict(guard.classifier, timed_images))
    figures = {metric.name: metric_figures(metric, reference, good, found) for metric in tqdm(every, desc="figures")}
    rule = next(metric for metric in every if metric.name == default_rule(guard))
    sheets, read_as, classes = {}, {}, {}
    for name, one in found.items():
        if one.kind == DRAWN:
            judged = one.with_right(rule.name)
            labels = one.images.labels[: len(judged)].numpy()
            by_class = class_figures(reference.scores[rule.name], judged, labels, rule.refuses)
            classes[name] = {"by_class": by_class}
        wrong = {metric.name: wrongly_judged(metric, reference, one)[:SHOWN] for metric in every}
        kept = np.unique(np.concatenate([*wrong.values()]))
        sheets[name], read_as[name] = one.images.images[kept], one.predictions[kept].tolist()
        for metric, places in wrong.items():
            figures[metric]["sets"][name]["slipped"] = np.searchsorted(kept, places).tolist()
    measured = {
        "published": list(PUBLISHED),
        "default_rule": default_rule(guard),
        "test_images": [len(reference.right), len(good.right)],
        "slow": slow,
        "resamples": RESAMPLES,
        "seed": SEED,
        "threads": torch.get_num_threads(),
        "sets": {
            name: {"title": set_title(name), "kind": one.kind, "images": len(one.right), "read_as": read_as[name]}
            | ({} if one.kind == NONSENSE else {"read_right": float(one.right.mean())})
            | classes.get(name, {})
            | ({"near": guard.contents.dataset == "mnist" and name in NEAR} if one.kind == NONSENSE else {})
            for name, one in found.items()
        },
        "metrics": {
            metric.name: {"title": metric.title, "about": about(metric)}
            | dict(zip(("ms_alone", "ms_batched"), costs[metric.name]))
            | figures[metric.name]
            for metric in every
        },
    }
    return measured, sheets


def join(metric: Metric, reference: Scored, others: list[Scored]) -> None:
    """Score the sets with a metric of metrics that knows the reference alone, as everything else here does, and none of the
    good images that it is measured on."""
    parts = [*metric.parts.values()]
    metric.calibrate(reference.of(parts))
    for one in others:
        one.scores[metric.name] = metric.combine(one.of(parts))
    reference.scores[metric.name] = metric.combine_good()


def wrongly_judged(metric: Metric, reference: Scored, one: Scored) -> np.ndarray:
    """Places of the images of a set that the metric gets wrong. Of several sets together none, where it is slow: it has not
    scored all of them."""
    if len(one.scores[metric.name]) < len(one.right) and one.kind == WRONG:
        return np.empty(0, int)
    return slipped(reference.scores[metric.name], one.with_right(metric.name), one.kind, metric.refuses)


def in_order(guard: Guard, metrics: dict[str, Metric], joined: list[Metric]) -> list[Metric]:
    """The guard's metrics first, in its order, then those that they join, then the baselines."""
    every = metrics | {metric.name: metric for metric in joined}
    return [*(every.pop(name) for name in guard.metrics), *every.values()]


def together(*sets: Scored) -> Scored:
    """Right and wrong answers of several sets. Since slow metrics have scored the first images of each set alone, scores
    here are pairs of score and whether the classifier is right, (N, 2)."""
    images = ImageSet(torch.cat([one.images.images for one in sets]), torch.cat([one.images.labels for one in sets]))
    scores = {name: np.concatenate([one.with_right(name) for one in sets]) for name in sets[0].scores}
    return Scored(WRONG, images, np.concatenate([one.predictions for one in sets]), scores)


def set_title(name: str) -> str:
    return {WRONG_ANSWERS: "Wrong answers"}.get(name) or image_sets.TITLES.get(name, name)


def shuffled(count: int) -> Tensor:
    """The numbers below `count` in a random order, the same each time."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(SEED))


def metric_figures(metric: Metric, reference: Scored, good: Scored, found: dict[str, Scored]) -> dict:
    """ "fpr", and for each set "images" and the keys of FIGURES: all as [value, low, high]."""
    figures_of = {NONSENSE: nonsense_figures, CHANGED: changed_figures, DRAWN: drawn_figures, WRONG: wrong_figures}
    threshold_from, measured_on = reference.scores[metric.name], good.scores[metric.name]
    figures = {}
    for name, one in found.items():
        measured = one.scores[metric.name] if one.kind == NONSENSE else one.with_right(metric.name)
        samples = [threshold_from, measured]
        if one.kind in (NONSENSE, CHANGED):
            samples.insert(1, measured_on)
        intervals = with_intervals(partial(figures_of[one.kind], refuses=metric.refuses), *samples)
        figures[name] = {"images": len(measured)} | dict(zip(FIGURES[one.kind], intervals))
    fpr = with_intervals(partial(fpr_figures, refuses=metric.refuses), threshold_from, measured_on)[0]
    return {"fpr": fpr, "sets": figures}


def about(metric: Metric) -> str:
    """What a metric computes, in a sentence with its source: its `about`, else its class's first paragraph."""
    words = getattr(metric, "about", None) or type(metric).__doc__.split("\n\n")[0]
    return " ".join(words.split())


# --- Files and tables ----------------------------------------------------------------------------------------------


def load_if_there(name: str, channels: int, size: int) -> ImageSet | None:
    """A set of `robust.data.image_sets`; None where its data is neither here nor to be had."""
    try:
        return image_sets.load(name, channels, size)
    except (UnusableDataset, OSError):  # not in ROBUST_DATA, or no network
        return None


def run(guard: Guard, dataset: datasets.Dataset, images: int | None, slow: int) -> dict:
    """Measure and write `benchmark_detectors.json` into the guard's folder.

    `dataset` has the training set, to fit the baselines, and the test set.
    """
    shape = guard.contents.config.shape
    training, test = (ImageSet(datasets.to_float(x), labels) for x, labels in (dataset.train, dataset.test))
    names = [*image_sets.comparisons(dataset.name), *image_sets.PATTERNS]
    if shape == {"channels": 1, "size": 28}:
        names += [*NEAR, *(DIGITS if dataset.name == "mnist" else [])]
    names = [*dict.fromkeys(names)]
    found = {name: load_if_there(name, **shape) for name in names}
    here = {name: one for name, one in found.items() if one is not None}
    measured, sheets = measure(guard, training, test, here, images, slow)
    measured["left_out"] = [image_sets.TITLES[name] for name in names if found[name] is None]
    write(guard.contents.folder, measured, sheets)
    return measured


def write(folder: Path, measured: dict, sheets: dict[str, Tensor]) -> None:
    (folder / FILE).write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(folder / PICTURES, ignore_errors=True)
    (folder / PICTURES).mkdir()
    for name, images in sheets.items():
        if len(images):
            sheet(images).save(folder / PICTURES / f"{name}.png", optimize=True)


def sheet(images: Tensor) -> Image.Image:
    """Images (N, channels, size, size) in [0, 1] as one picture, ACROSS in a row."""
    missing = -len(images) % ACROSS
    tiles = torch.cat([images, images.new_zeros(missing, *images.shape[1:])]).unflatten(0, (-1, ACROSS))
    pixels = to_bytes(tiles).permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2).squeeze(2)
    return Image.fromarray(pixels.contiguous().numpy())


def slipped_pictures(folder: Path, measured: dict, metric: str, name: str) -> list[tuple[Image.Image, int]]:
    """Pictures of a set that a metric gets wrong, and the classes that the classifier reads in them; none where the sheet is
    not what `run` wrote."""
    places = measured["metrics"][metric]["sets"][name]["slipped"]
    if not places:
        return []
    read_as = measured["sets"][name]["read_as"]
    try:
        with Image.open(folder / PICTURES / f"{name}.png") as pictures:
            side = pictures.width // ACROSS
            return [(pictures.crop(_tile(place, side)), read_as[place]) for place in places]
    except (OSError, IndexError, Image.DecompressionBombError):
        return []


def _tile(place: int, side: int) -> tuple[int, int, int, int]:
    x, y = side * (place % ACROSS), side * (place // ACROSS)
    return x, y, x + side, y + side


def read(folder: Path) -> dict | None:
    """What `run` wrote into a guard's folder; None before it. Raises DamagedWorld when it is not what `run` writes."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        measured = json.loads(file.read_text())
        if _is_whole(measured):
            return measured
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise DamagedWorld(f"{file} is damaged. Measure again: python -m robust benchmark detectors")


def _is_whole(measured: dict) -> bool:
    """Whether it is what `measure` makes. Raises KeyError, TypeError or ValueError for much of what is not."""
    sets, rows = measured["sets"], measured["metrics"]
    if measured["default_rule"] not in rows:
        return False
    figures = []
    for row in rows.values():
        figures += [row["fpr"], [row["ms_alone"], row["ms_batched"], 0]]
        for name, one in sets.items():
            found = row["sets"][name]
            figures += [found[figure] for figure in FIGURES[one["kind"]]]
            if not all(0 <= place < len(one["read_as"]) for place in found["slipped"]):
                return False
    names_files = all(name == WRONG_ANSWERS or name in image_sets.TITLES for name in sets)
    words = [
        *(row[key] for row in rows.values() for key in ("title", "about")),
        *measured["left_out"],
        *measured["published"],
    ]
    words += [one["title"] for one in sets.values()]
    near = [one["near"] for one in sets.values() if one["kind"] == NONSENSE]
    classes = [shares for one in sets.values() if one["kind"] == DRAWN for shares in one["by_class"].values()]
    figures += [[shares[key] for key in CLASS_FIGURES] for shares in classes]
    counts = [*measured["test_images"], *(measured[key] for key in ("slow", "threads", "resamples", "seed"))]
    return (
        names_files
        and all(len(list(map(float, figure))) == 3 for figure in figures)
        and all(isinstance(word, str) for word in words)
        and all(isinstance(one, bool) for one in near)
        and all(isinstance(count, int) for count in counts)
    )


def tables(measured: dict) -> list[Table]:
    """What the report prints: every metric on every set at 5 % FPR, and without a threshold of its own, near and far."""
    metrics, found = measured["metrics"].values(), measured["sets"]
    at_threshold = [
        [row["title"], f"{row['fpr'][0]:.1%}"]
        + [f"{row['sets'][name][main_figure(one)[0]][0]:.2%}" for name, one in found.items()]
        + [f"{row['ms_alone']:.1f}", f"{row['ms_batched']:.2f}"]
        for row in metrics
    ]
    header = ["metric", "FPR", *(f"{one['title']}: {main_figure(one)[1]}" for one in found.values())]
    nonsense = {name: one for name, one in found.items() if one["kind"] == NONSENSE}
    near, others = ([n for n, one in nonsense.items() if one["near"] == kind] for kind in (True, False))
    means = {"near": near, "far": others} if near else {"nonsense": others}
    ranked = [name for name, one in found.items() if one["kind"] != DRAWN]
    free = [
        [row["title"]]
        + [mean_of(row, names, figure) for names in means.values() for figure in ("fnr", "auroc", "aupr") if names]
        + [f"{row['sets'][name]['auroc'][0]:.4f}" for name in ranked]
        for row in metrics
    ]
    heads = [f"{title}: {word}" for title, names in means.items() for word in ("accepted", "AUROC", "AUPR") if names]
    rest = [
        (name, key, f"{one['title']}: {words[0]}")
        for name, one in found.items() if one["kind"] in (CHANGED, DRAWN)
        for key, words in FIGURES[one["kind"]].items() if key not in (main_figure(one)[0], "auroc")
    ]  # fmt: skip
    others = [[row["title"], *(shown(key, row["sets"][name][key][0]) for name, key, _ in rest)] for row in metrics]
    return [
        Table(_conditions(measured), [*header, "ms alone", "ms in batches"], at_threshold),
        Table("Detectors: means, and AUROC of each", ["metric", *heads, *(found[n]["title"] for n in ranked)], free),
        Table("Detectors: what else is measured of those", ["metric", *(title for *_, title in rest)], others),
        *class_tables(measured),
    ]


def class_tables(measured: dict) -> list[Table]:
    """What the guard's default rule costs on each class of every set of drawn digits."""
    rule = measured["metrics"][measured["default_rule"]]["title"]
    found = []
    for one in measured["sets"].values():
        if one["kind"] == DRAWN:
            rows = [
                [label, f"{shares['images']:,}", *(f"{shares[figure]:.1%}" for figure in CLASS_FIGURES)]
                for label, shares in one["by_class"].items()
            ]
            words = ["read right", *(FIGURES[DRAWN][figure][0] for figure in CLASS_FIGURES[1:])]
            found.append(Table(f"{one['title']} by class: {rule} at 5 % FPR", ["class", "images", *words], rows))
    return found


def _conditions(measured: dict) -> str:
    half, slow, threads = measured["test_images"][0], measured["slow"], measured["threads"]
    said = f"Detectors: thresholds from {half:,} test images, figures on others; slow metrics on at most {slow:,} "
    said += f"of a set that the calibration has not scored; {threads} thread{'s' * (threads != 1)}"
    return said + (f"; not at hand: {', '.join(measured['left_out'])}" if measured["left_out"] else "")


def shown(figure: str, value: float) -> str:
    return f"{value:.4f}" if figure in AREAS else f"{value:.2%}"


def mean_of(row: dict, names: list[str], figure: str) -> str:
    return shown(figure, float(np.mean([row["sets"][name][figure][0] for name in names])))

"""Every metric against every kind of input: the guard's, published detectors on the same nets, and combinations.

Words as in `robust.decision.thresholds`: FPR is the share of good digits refused, FNR the share of nonsense accepted. (Papers
that call in-distribution images positive call our FNR at 5 % FPR "FPR at 95 % TPR", and the other way round.) One half
of the test set sets the thresholds; every figure is taken on the other half.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from robust.data import datasets, image_sets
from robust.data.datasets import UnusableDataset
from robust.data.image_sets import ImageSet
from robust.decision.rule import ALL, ANY
from robust.decision.thresholds import Side, refused, threshold_at_fnr, threshold_at_fpr
from robust.decision.tradeoff import auroc
from robust.evaluation.baselines import Combination, baselines
from robust.evaluation.baselines.combination import BOTH, EITHER, PRODUCT
from robust.evaluation.tables import Table
from robust.guard import Guard
from robust.judge import BATCH, single_metrics
from robust.metrics import DeltaZ, Metric, VAELoss
from robust.models.store import DamagedWorld

FILE = "benchmark_detectors.json"
FPR = 0.05  # of every threshold here
FNR_AT_95_TPR = 0.05
SEED = 0
RESAMPLES = 500  # of the bootstrap; its intervals hold 95 % of them
ALONE, TOGETHER = 30, 256  # images that are timed
PUBLISHED = (DeltaZ.name, VAELoss.name)
DRAWN_DIGITS = "pendigits"
SLOW = (DeltaZ.name, "likelihood_regret")
PAIRS = (  # metrics whose tail probabilities are multiplied
    PUBLISHED,
    ("vae_reconstruction", "nearest_features"),
    ("vae_loss", "nearest_features"),
    ("wgan_reconstruction", "nearest_features"),
)

NONSENSE, CHANGED, DRAWN = "nonsense", "changed", "drawn"  # kinds of sets
FIGURES = {  # what is measured on each kind: key -> (title, what it says); the first is the one that matters most
    NONSENSE: {
        "fnr": ("accepted at 5 % FPR", "Share of these inputs that is accepted when 5 % of good digits are refused."),
        "fpr": ("FPR at 95 % TPR", "Share of good digits that is refused when 95 % of these inputs are refused."),
        "auroc": ("AUROC", "The chance that an input of this set looks more suspicious than a good digit."),
    },
    CHANGED: {
        "misread": (
            "accepted and misread",
            "Share of these images that is accepted at 5 % FPR although the classifier errs.",
        ),
        "accepted": ("accepted", "Share of these images that is accepted at 5 % FPR, rightly read or not."),
    },
    DRAWN: {
        "refused_right": ("rightly read, but refused", "Share of the rightly read that is refused at 5 % FPR."),
        "accepted_right": ("accepted and rightly read", "Share of all that is accepted at 5 % FPR and rightly read."),
    },
}
MORE_IS_BETTER = ("auroc", "accepted_right")


# --- Figures of one metric on one set ------------------------------------------------------------------------------


def nonsense_figures(reference: np.ndarray, good: np.ndarray, nonsense: np.ndarray, refuses: Side) -> list[float]:
    """fnr, fpr and auroc, as in FIGURES. `reference` scores set the threshold, `good` ones are measured."""
    accepted = ~refused(nonsense, threshold_at_fpr(reference, FPR, refuses), refuses)
    good_refused = refused(good, threshold_at_fnr(nonsense, FNR_AT_95_TPR, refuses), refuses)
    return [accepted.mean(), good_refused.mean(), auroc(good, nonsense, refuses)]


def changed_figures(reference: np.ndarray, images: np.ndarray, refuses: Side) -> list[float]:
    """misread and accepted, as in FIGURES. `images` (N, 2): score, and 1 where the classifier is right."""
    accepted = ~refused(images[:, 0], threshold_at_fpr(reference, FPR, refuses), refuses)
    return [(accepted & (images[:, 1] == 0)).mean(), accepted.mean()]


def drawn_figures(reference: np.ndarray, images: np.ndarray, refuses: Side) -> list[float]:
    """refused_right and accepted_right, as in FIGURES. `images` as in `changed_figures`."""
    accepted = ~refused(images[:, 0], threshold_at_fpr(reference, FPR, refuses), refuses)
    right = images[:, 1] == 1
    return [(~accepted[right]).mean() if right.any() else np.nan, (accepted & right).mean()]


def fpr_figures(reference: np.ndarray, good: np.ndarray, refuses: Side) -> list[float]:
    """What the threshold costs on the half of the test set that did not set it."""
    return [refused(good, threshold_at_fpr(reference, FPR, refuses), refuses).mean()]


def with_intervals(figures: Callable[..., list[float]], *samples: np.ndarray) -> list[list[float]]:
    """[value, low, high] of each figure of the samples: the bootstrap's 2.5th and 97.5th percentiles.

    Every sample is drawn again, so the threshold's own uncertainty is in the interval.
    """
    randomness = np.random.default_rng(SEED)
    samples = [np.sort(sample) if sample.ndim == 1 else sample for sample in samples]

    def drawn_again(sample: np.ndarray) -> np.ndarray:
        times = np.bincount(randomness.integers(len(sample), size=len(sample)), minlength=len(sample))
        return np.repeat(sample, times, axis=0)  # still sorted: the figures are found faster

    drawn = [figures(*map(drawn_again, samples)) for _ in range(RESAMPLES)]
    edges = np.quantile(drawn, [0.025, 0.975], axis=0).T
    return [[float(value), *map(float, edge)] for value, edge in zip(figures(*samples), edges)]


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
    """A set as it was scored: whether the classifier is right, bool (N,), and each metric's scores, (N,) or fewer if slow."""

    kind: str
    images: ImageSet
    right: np.ndarray
    scores: dict[str, np.ndarray]

    def add(self, metric: Combination) -> None:
        """Combine the scores of those images that all the parts have scored."""
        count = min(len(self.scores[part.name]) for part in metric.parts)
        self.scores[metric.name] = metric.combine({part.name: self.scores[part.name][:count] for part in metric.parts})


def measure(
    guard: Guard, training: ImageSet, test: ImageSet, others: dict[str, ImageSet], images: int | None, slow: int
) -> dict:
    """Score every set with every metric, and take the figures.

    `training` fits the baselines; `test` is the in-distribution test set, in the order of the calibration; `others`
    maps names of `robust.data.image_sets` to the other sets. At most `images` of each set, and of each half of the test set, are
    used; `slow` of them by slow metrics.
    """
    ours = guard.metrics | single_metrics(guard.metrics.values())
    metrics = ours | {m.name: m for m in baselines(guard, training.images, training.labels)}

    def scored(name: str, kind: str, found: ImageSet, chosen: Tensor) -> Scored:
        picked = ImageSet(found.images[chosen[:images]], found.labels[chosen[:images]])
        predictions = predict(guard.classifier, picked.images)
        known = calibrated_scores(guard, name, chosen[:images], predictions)
        missing = [metric for metric in metrics.values() if metric.name not in known]
        scores = score(missing, picked.images, predictions, slow, set_title(name)) | known
        return Scored(kind, picked, (predictions == picked.labels).numpy(), scores)

    first, second = shuffled(len(test.images)).chunk(2)
    reference = scored(guard.contents.dataset, DRAWN, test, first)
    good = scored(guard.contents.dataset, DRAWN, test, second)
    found = {}
    for name, one in others.items():
        kind = DRAWN if name == DRAWN_DIGITS else NONSENSE
        found[name] = scored(name, kind, one, shuffled(len(one.images)))
    for name, change in image_sets.CHANGES.items():
        spoilt = ImageSet(change(good.images.images), good.images.labels)
        found[name] = scored(name, CHANGED, spoilt, torch.arange(len(spoilt.images)))

    combined = combinations(metrics, reference.scores, guard)
    for metric in combined:
        for one in (reference, good, *found.values()):
            one.add(metric)
    every, timed_images = [*metrics.values(), *combined], good.images.images[:TOGETHER]
    costs = milliseconds(every, timed_images, predict(guard.classifier, timed_images))
    return {
        "published": list(PUBLISHED),
        "default_rule": default_rule(guard),
        "test_images": [len(reference.right), len(good.right)],
        "slow": slow,
        "resamples": RESAMPLES,
        "seed": SEED,
        "threads": torch.get_num_threads(),
        "sets": {
            name: {"title": set_title(name), "kind": one.kind, "images": len(one.right)}
            | ({} if one.kind == NONSENSE else {"read_right": float(one.right.mean())})
            for name, one in found.items()
        },
        "metrics": {
            metric.name: {"title": metric.title, "about": about(metric)}
            | dict(zip(("ms_alone", "ms_batched"), costs[metric.name]))
            | metric_figures(metric, reference, good, found)
            for metric in tqdm(every, desc="figures")
        },
    }


def set_title(name: str) -> str:
    return image_sets.TITLES.get(name, name)


def shuffled(count: int) -> Tensor:
    """The numbers below `count` in a random order, the same each time."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(SEED))


def metric_figures(metric: Metric, reference: Scored, good: Scored, found: dict[str, Scored]) -> dict:
    """ "fpr", and for each set "images" and the keys of FIGURES: all as [value, low, high]."""
    figures_of = {NONSENSE: nonsense_figures, CHANGED: changed_figures, DRAWN: drawn_figures}
    threshold_from, measured_on = reference.scores[metric.name], good.scores[metric.name]
    figures = {}
    for name, one in found.items():
        values = one.scores[metric.name]
        if one.kind == NONSENSE:
            samples = (threshold_from, measured_on, values)
        else:
            samples = (threshold_from, np.stack([values, one.right[: len(values)]], 1))
        intervals = with_intervals(partial(figures_of[one.kind], refuses=metric.refuses), *samples)
        figures[name] = {"images": len(values)} | dict(zip(FIGURES[one.kind], intervals))
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
    drawn = [DRAWN_DIGITS] if dataset.name == "mnist" else []
    names = [*image_sets.comparisons(dataset.name), "structured-noise", *drawn]
    found = {name: load_if_there(name, **shape) for name in names}
    measured = measure(guard, training, test, {k: v for k, v in found.items() if v is not None}, images, slow)
    measured["left_out"] = [image_sets.TITLES[name] for name in names if found[name] is None]
    (guard.contents.folder / FILE).write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    return measured


def read(folder: Path) -> dict | None:
    """What `run` wrote into a guard's folder; None before it. Raises DamagedWorld when it is not what `run` writes."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        measured = json.loads(file.read_text())
        for row in measured["metrics"].values():
            for name, one in measured["sets"].items():
                figures = [row["fpr"], *(row["sets"][name][figure] for figure in FIGURES[one["kind"]])]
                assert all(len(list(map(float, figure))) == 3 for figure in figures)
        return measured | {"left_out": measured["left_out"], "test_images": measured["test_images"]}
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError):
        raise DamagedWorld(f"{file} is damaged. Measure again: python -m robust benchmark detectors") from None


def main_figure(found: dict) -> tuple[str, str]:
    """Key and title of the figure that matters most on a set of the measurement."""
    key, (title, _) = next(iter(FIGURES[found["kind"]].items()))
    return key, title


def tables(measured: dict) -> list[Table]:
    """What the report prints: every metric on every set at 5 % FPR, and without a threshold of its own."""
    metrics, found = measured["metrics"].values(), measured["sets"]
    nonsense = {name: one for name, one in found.items() if one["kind"] == NONSENSE}
    at_threshold = [
        [row["title"], f"{row['fpr'][0]:.1%}"]
        + [f"{row['sets'][name][main_figure(one)[0]][0]:.2%}" for name, one in found.items()]
        + [f"{row['ms_alone']:.1f}", f"{row['ms_batched']:.2f}"]
        for row in metrics
    ]
    header = ["metric", "FPR", *(f"{one['title']}: {main_figure(one)[1]}" for one in found.values())]
    free = [
        [row["title"]]
        + [f"{row['sets'][name]['auroc'][0]:.4f} / {row['sets'][name]['fpr'][0]:.1%}" for name in nonsense]
        for row in metrics
    ]
    title = f"Detectors: thresholds from {measured['test_images'][0]:,} test images, figures on others"
    return [
        Table(title, [*header, "ms alone", "ms in batches"], at_threshold),
        Table("Detectors: AUROC / FPR at 95 % TPR", ["metric", *(one["title"] for one in nonsense.values())], free),
    ]

"""What the bench of metrics measures: figures of one metric on one set, with their intervals.

Words as in `robust.decision.thresholds`: FPR is the share of good images refused, FNR the share of nonsense accepted. (Papers
that call in-distribution images positive call our FNR at 5 % FPR "FPR at 95 % TPR", and the other way round.)
"""

from collections.abc import Callable

import numpy as np

from robust.decision.thresholds import Side, refused, threshold_at_fnr, threshold_at_fpr
from robust.decision.tradeoff import aupr, auroc

FPR = 0.05  # of every threshold here
FNR_AT_95_TPR = 0.05
SEED = 0
RESAMPLES = 200  # of the bootstrap; its intervals hold 95 % of them

NONSENSE, CHANGED, DRAWN, WRONG = "nonsense", "changed", "drawn", "wrong"  # kinds of sets
AUROC = ("AUROC", "The chance that an input of this set looks more suspicious than a good one.")
FIGURES = {  # what is measured on each kind: key -> (title, what it says); the first is the one that matters most
    NONSENSE: {
        "fnr": ("accepted at 5 % FPR", "Share of these inputs that is accepted when 5 % of good images are refused."),
        "fpr": ("FPR at 95 % TPR", "Share of good images that is refused when 95 % of these inputs are refused."),
        "auroc": AUROC,
        "aupr": ("AUPR", "Average precision in finding these inputs among as many good images; guessing gives 0.5."),
    },
    CHANGED: {
        "misread": (
            "accepted and misread",
            "Share of these images that is accepted at 5 % FPR although the classifier errs.",
        ),
        "accepted": ("accepted", "Share of these images that is accepted at 5 % FPR, rightly read or not."),
        "auroc": AUROC,
        "auroc_misread": (
            "AUROC of the misread",
            "The chance that a misread image of this set looks more suspicious than a good one: a turned 0 is still a 0.",
        ),
    },
    DRAWN: {
        "refused_right": ("rightly read, but refused", "Share of the rightly read that is refused at 5 % FPR."),
        "accepted_right": ("accepted and rightly read", "Share of all that is accepted at 5 % FPR and rightly read."),
        "misread": (
            "accepted and misread",
            "Share of all that is accepted at 5 % FPR although the classifier errs.",
        ),
    },
    WRONG: {
        "accepted": (
            "accepted at 5 % FPR",
            "Share of the wrong answers that is accepted when 5 % of good images are refused.",
        ),
        "auroc": ("AUROC", "The chance that a wrong answer looks more suspicious than a right one."),
    },
}
AREAS = ("auroc", "auroc_misread", "aupr")  # figures that are no shares
MORE_IS_BETTER = (*AREAS, "accepted_right")


def nonsense_figures(reference: np.ndarray, good: np.ndarray, nonsense: np.ndarray, refuses: Side) -> list[float]:
    """fnr, fpr, auroc and aupr, as in FIGURES. `reference` scores set the threshold, `good` ones are measured."""
    accepted = ~refused(nonsense, threshold_at_fpr(reference, FPR, refuses), refuses)
    good_refused = refused(good, threshold_at_fnr(nonsense, FNR_AT_95_TPR, refuses), refuses)
    return [accepted.mean(), good_refused.mean(), auroc(good, nonsense, refuses), aupr(good, nonsense, refuses)]


def changed_figures(reference: np.ndarray, good: np.ndarray, images: np.ndarray, refuses: Side) -> list[float]:
    """misread, accepted, auroc and auroc_misread, as in FIGURES. `images` (N, 2): score, and 1 where the classifier is right."""
    accepted, misread = ~refused(images[:, 0], threshold_at_fpr(reference, FPR, refuses), refuses), images[:, 1] == 0
    area = auroc(good, images[misread, 0], refuses) if misread.any() else np.nan
    return [(accepted & misread).mean(), accepted.mean(), auroc(good, images[:, 0], refuses), area]


def drawn_figures(reference: np.ndarray, images: np.ndarray, refuses: Side) -> list[float]:
    """refused_right, accepted_right and misread, as in FIGURES. `images` as in `changed_figures`."""
    accepted = ~refused(images[:, 0], threshold_at_fpr(reference, FPR, refuses), refuses)
    right = images[:, 1] == 1
    refused_right = (~accepted[right]).mean() if right.any() else np.nan
    return [refused_right, (accepted & right).mean(), (accepted & ~right).mean()]


def class_figures(
    reference: np.ndarray, images: np.ndarray, labels: np.ndarray, refuses: Side
) -> dict[str, dict[str, float]]:
    """For each class of `labels` (N,), by its number: images, the share that is read right, and refused_right and misread
    as in FIGURES. `images` as in `changed_figures`."""
    found = {}
    for label in np.unique(labels):
        own = images[labels == label]
        refused_right, _, misread = drawn_figures(reference, own, refuses)
        read_right = float(own[:, 1].mean())
        found[str(label)] = {"images": len(own), "read_right": read_right}
        found[str(label)] |= {"refused_right": float(refused_right), "misread": float(misread)}
    return found


def wrong_figures(reference: np.ndarray, images: np.ndarray, refuses: Side) -> list[float]:
    """accepted and auroc, as in FIGURES. `images` as in `changed_figures`: right answers and wrong ones."""
    right = images[:, 1] == 1
    accepted = ~refused(images[~right, 0], threshold_at_fpr(reference, FPR, refuses), refuses)
    if not accepted.size:
        return [np.nan, np.nan]
    return [accepted.mean(), auroc(images[right, 0], images[~right, 0], refuses)]


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
    edges = np.nanquantile(drawn, [0.025, 0.975], axis=0).T
    return [[float(value), *map(float, edge)] for value, edge in zip(figures(*samples), edges)]


def slipped(reference: np.ndarray, images: np.ndarray, kind: str, refuses: Side) -> np.ndarray:
    """Places of the images that a metric gets wrong at 5 % FPR, int (n,). `images` as in `changed_figures`.

    Nonsense that is accepted, whatever else is accepted and misread, and of other hands' digits the rightly read that are
    refused.
    """
    accepted, right = ~refused(images[:, 0], threshold_at_fpr(reference, FPR, refuses), refuses), images[:, 1] == 1
    return np.flatnonzero(~accepted & right if kind == DRAWN else accepted & ~right)


def main_figure(found: dict) -> tuple[str, str]:
    """Key and title of the figure that matters most on a set of the measurement."""
    key, (title, _) = next(iter(FIGURES[found["kind"]].items()))
    return key, title

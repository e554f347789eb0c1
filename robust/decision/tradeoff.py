"""The trade between false alarms and misses: ROC, thresholds for a goal, expected cost.

A rule of several metrics has several thresholds. To search them all is to fit the comparison set; here they move
together, each refusing the same share of the reference set, so that a rule, too, goes from lenient to strict.
"""

from dataclasses import dataclass

import numpy as np

from robust.decision.rule import ALL, Rule, Scores
from robust.decision.thresholds import Side, outlier_scores


@dataclass(frozen=True)
class Trade:
    """A rule at L levels, from lenient to strict.

    `thresholds` maps each metric of the rule to (L,) finite thresholds; `fpr` (L,) rises and `fnr` (L,) falls, 0..1.
    """

    thresholds: dict[str, np.ndarray]
    fpr: np.ndarray
    fnr: np.ndarray

    def thresholds_at(self, level: int) -> dict[str, float]:
        return {name: float(values[level]) for name, values in self.thresholds.items()}


def trade(rule: Rule, reference: Scores, comparison: Scores) -> Trade:
    """Every step of a rule from refusing nothing of the reference set to refusing nearly all of it.

    Of `rule` its own thresholds do not count. `reference` (N,) and `comparison` (M,) hold the metrics' scores.
    Level 0 is the strictest threshold that refuses no reference image, level i the strictest that lets each metric
    refuse at most i of them. Levels whose thresholds would be infinite are left out.
    """
    ordered = {name: _suspicious_first(reference[name], rule.sides[name]) for name in rule.metrics}
    levels = min(int(np.isfinite(values).sum()) for values in ordered.values())
    thresholds = {name: outlier_scores(-values[:levels], rule.sides[name]) for name, values in ordered.items()}
    refused, all_good = _count_refused(refusal_levels(rule, reference, reference), levels)
    caught, all_nonsense = _count_refused(refusal_levels(rule, reference, comparison), levels)
    return Trade(thresholds, refused / all_good, (all_nonsense - caught) / all_nonsense)


def refusal_levels(rule: Rule, reference: Scores, scores: Scores) -> np.ndarray:
    """The level of `trade` at which the rule begins to refuse each of M images, int (M,): small is most suspicious."""
    levels = []
    for name in rule.metrics:
        ordered = _suspicious_first(reference[name], rule.sides[name])
        levels.append(np.searchsorted(ordered, -outlier_scores(scores[name], rule.sides[name]), side="right"))
    return np.maximum.reduce(levels) if rule.decides == ALL else np.minimum.reduce(levels)


def level_at_fpr(found: Trade, fpr: float) -> int:
    """The strictest level whose FPR is at most `fpr` (0..1)."""
    return int(np.searchsorted(found.fpr, fpr + 1e-12, side="right")) - 1


def level_at_fnr(found: Trade, fnr: float) -> int | None:
    """The most lenient level whose FNR is at most `fnr` (0..1), or None when no finite threshold reaches it."""
    fits = np.flatnonzero(found.fnr <= fnr + 1e-12)
    return int(fits[0]) if fits.size else None


def expected_cost(fpr: np.ndarray, fnr: np.ndarray, ratio: float, share: float) -> np.ndarray:
    """Cost per input, in refusals of a good one, when a wrong acceptance costs `ratio` of them.

    `share` (0..1) is how much of what arrives is nonsense.
    """
    return (1 - share) * np.asarray(fpr) + share * ratio * np.asarray(fnr)


def auroc(reference: np.ndarray, comparison: np.ndarray, refuses: Side) -> float:
    """The chance that a comparison score is more suspicious than a reference score, ties counted half: 0..1."""
    ordered = _suspicious_first(reference, refuses)
    others = -outlier_scores(comparison, refuses)
    below_or_tied = np.searchsorted(ordered, others, "left") + np.searchsorted(ordered, others, "right")
    return float(1 - below_or_tied.mean() / (2 * len(ordered)))


def aupr(reference: np.ndarray, comparison: np.ndarray, refuses: Side) -> float:
    """Average precision where the comparison set is to be found and both sets weigh the same, whatever their sizes: 0..1.

    Guessing gives 0.5.
    """
    ordered, others = (_suspicious_first(scores, refuses) for scores in (reference, comparison))
    found = np.searchsorted(others, others, "right") / len(others)
    alarms = np.searchsorted(ordered, others, "right") / len(ordered)
    return float((found / (found + alarms)).mean())


def roc(found: Trade, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the ROC curve, at most so many: false positive rate and true positive rate (1 - FNR)."""
    chosen = np.unique(np.geomspace(1, len(found.fpr), points).astype(int) - 1)
    return np.r_[0, found.fpr[chosen], 1], np.r_[0, 1 - found.fnr[chosen], 1]


def guard_code(thresholds: dict[str, float], rule: str, world: str = "mnist") -> str:
    """The lines of Python that build a world's guard with these thresholds and this rule."""
    lines = "".join(f'        "{name}": {float(value)!r},\n' for name, value in thresholds.items())
    name = "" if world == "mnist" else f"    {world!r},\n"
    arguments = f'{name}    thresholds={{\n{lines}    }},\n    rule="{rule}",\n'
    return f"from robust import Guard\n\nguard = Guard.load(\n{arguments})\n"


def _suspicious_first(scores: np.ndarray, refuses: Side) -> np.ndarray:
    """Sorted, and turned so that small is suspicious."""
    return np.sort(-outlier_scores(scores, refuses))


def _count_refused(refused_from: np.ndarray, levels: int) -> tuple[np.ndarray, int]:
    """How many images each level refuses, int (levels,), and how many there are."""
    return np.searchsorted(np.sort(refused_from), np.arange(levels), side="right"), len(refused_from)

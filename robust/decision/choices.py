"""How a threshold may be chosen: by value, by percentile, by a false positive rate that is counted, or by a promised one."""

from dataclasses import dataclass

import numpy as np

from robust.decision.promise import Promise, promised_threshold
from robust.decision.thresholds import Side, threshold_at_fpr


@dataclass(frozen=True)
class FPR:
    """A threshold chosen by the share (0..1) of the reference that it may refuse: `FPR(0.05)`."""

    share: float

    def __post_init__(self):
        if not 0 <= self.share < 1:
            raise ValueError(f"An FPR is a share from 0 to below 1, such as 0.05 for 5 %, not {self.share}.")


@dataclass(frozen=True)
class Percentile:
    """A threshold chosen by its percentile rank (0..100) among the reference scores: `Percentile(95)`."""

    rank: float

    def __post_init__(self):
        if not 0 <= self.rank <= 100:
            raise ValueError(f"A percentile goes from 0 to 100, not {self.rank}.")


Choice = float | FPR | Percentile | Promise


def threshold_value(choice: Choice, reference: np.ndarray, refuses: Side) -> float:
    """The threshold that is chosen by a promised or counted FPR, by percentile, or by value, given the reference scores (N,).

    A percentile is one of the scores (no interpolation, which infinite scores would not survive).
    """
    if isinstance(choice, Promise):
        return promised_threshold(reference, choice.share, choice.confidence, refuses)
    if isinstance(choice, FPR):
        return threshold_at_fpr(reference, choice.share, refuses)
    if isinstance(choice, Percentile):
        return float(np.percentile(reference, choice.rank, method="nearest"))
    if isinstance(choice, bool) or not isinstance(choice, (int, float, np.number)) or np.isnan(choice):
        raise ValueError(f"A threshold is a number, FPR(share), Promise(share) or Percentile(rank), not {choice!r}.")
    return float(choice)


def choice_as_json(choice: Choice) -> float | dict:
    """A choice of a threshold as JSON knows it."""
    if isinstance(choice, Promise):
        return {"fpr": choice.share, "confidence": choice.confidence}
    if isinstance(choice, FPR):
        return {"fpr": choice.share}
    return {"percentile": choice.rank} if isinstance(choice, Percentile) else float(choice)


def choice_from_json(choice: float | dict) -> Choice:
    """The inverse of `choice_as_json`."""
    if not isinstance(choice, dict):
        return choice
    if "confidence" in choice:
        return Promise(choice["fpr"], choice["confidence"])
    return FPR(choice["fpr"]) if "fpr" in choice else Percentile(choice["percentile"])

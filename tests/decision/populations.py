"""Populations whose true FPR is known at every threshold, to see in how many draws a promise holds."""

import numpy as np
from scipy.stats import norm

SIZE = 100_000  # drawn from with replacement, so that draws are independent


def continuous() -> np.ndarray:
    return np.sort(norm.ppf((np.arange(SIZE) + 0.5) / SIZE))


def tied() -> np.ndarray:
    """Steps of 0.25, 30 % of them exactly 0, and infinities at both ends, 2 % of them suspicious."""
    scores = np.round(4 * continuous()) / 4
    scores[: SIZE * 3 // 100], scores[-SIZE * 2 // 100 :] = -np.inf, np.inf
    scores[np.abs(continuous()) < 0.385] = 0
    return np.sort(scores)


def true_fpr(population: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """The share of a sorted population above a threshold."""
    return 1 - np.searchsorted(population, threshold, side="right") / len(population)


def draws(population: np.ndarray, count: int, times: int, seed: int = 0) -> np.ndarray:
    """Reference sets (times, count)."""
    return population[np.random.default_rng(seed).integers(len(population), size=(times, count))]

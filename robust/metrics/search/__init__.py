"""Searches for the nearest latent whose image the classifier reads otherwise."""

from robust.metrics.search.gradient import nearest_counterexample
from robust.metrics.search.result import SearchResult

__all__ = ["SearchResult", "nearest_counterexample"]

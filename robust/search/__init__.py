"""Searches for the nearest latent whose image the classifier reads otherwise."""

from robust.search.gradient import nearest_counterexample
from robust.search.result import SearchResult

__all__ = ["SearchResult", "nearest_counterexample"]

"""Robustness metrics, one class in one file each."""

from robust.metrics.base import Metric, Parts
from robust.metrics.delta_z import DeltaZ
from robust.metrics.energy import Energy
from robust.metrics.evidence import Evidence
from robust.metrics.surprise import Surprise, tail_probability
from robust.metrics.vae_loss import VAELoss

__all__ = ["DeltaZ", "Energy", "Evidence", "Metric", "Parts", "Surprise", "VAELoss", "tail_probability"]

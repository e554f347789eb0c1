"""Robustness metrics, one class in one file each."""

from robust.metrics.base import Metric
from robust.metrics.delta_z import DeltaZ
from robust.metrics.vae_loss import VAELoss

__all__ = ["DeltaZ", "Metric", "VAELoss"]

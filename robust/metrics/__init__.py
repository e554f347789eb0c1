"""Robustness metrics, one class in one file each."""

from robust.metrics.base import Metric, Parts
from robust.metrics.confidence import Confidence
from robust.metrics.delta_z import DeltaZ
from robust.metrics.energy import Energy
from robust.metrics.evidence import Evidence
from robust.metrics.excess_loss import ExcessLoss
from robust.metrics.exposure import Exposure
from robust.metrics.knn import KNN
from robust.metrics.layers import EarlyLayers, LateLayers
from robust.metrics.orientation import Orientation
from robust.metrics.surprise import Surprise, tail_probability
from robust.metrics.vae_loss import VAELoss

__all__ = [
    "KNN",
    "Confidence",
    "DeltaZ",
    "EarlyLayers",
    "Energy",
    "Evidence",
    "ExcessLoss",
    "Exposure",
    "LateLayers",
    "Metric",
    "Orientation",
    "Parts",
    "Surprise",
    "VAELoss",
    "tail_probability",
]

"""May I trust what this classifier just said?"""

from robust.drift import Drift, DriftWatch
from robust.guard import Guard, NotReliableClassification, Report
from robust.preprocess import EmptyImage, UnreadableImage, UnusableImage
from robust.stream import Unusable
from robust.thresholds import FPR, Percentile
from robust.world import DamagedWorld

__all__ = [
    "FPR",
    "DamagedWorld",
    "Drift",
    "DriftWatch",
    "EmptyImage",
    "Guard",
    "NotReliableClassification",
    "Percentile",
    "Report",
    "UnreadableImage",
    "Unusable",
    "UnusableImage",
]

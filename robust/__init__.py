"""May I trust what this classifier just said?"""

from robust.guard import Guard, NotReliableClassification, Report
from robust.preprocess import EmptyImage, UnreadableImage, UnusableImage
from robust.thresholds import FPR, Percentile
from robust.world import DamagedWorld

__all__ = [
    "FPR",
    "DamagedWorld",
    "EmptyImage",
    "Guard",
    "NotReliableClassification",
    "Percentile",
    "Report",
    "UnreadableImage",
    "UnusableImage",
]

"""May I trust what this classifier just said?"""

from robust.guard import Guard, NotReliableClassification, Report
from robust.preprocess import EmptyImage, UnreadableImage, UnusableImage
from robust.world import DamagedWorld

__all__ = [
    "DamagedWorld",
    "EmptyImage",
    "Guard",
    "NotReliableClassification",
    "Report",
    "UnreadableImage",
    "UnusableImage",
]

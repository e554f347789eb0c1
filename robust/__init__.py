"""May I trust what this classifier just said?"""

from robust.decision.choices import FPR, Percentile
from robust.decision.promise import Promise
from robust.guard import Guard
from robust.inputs.decode import UnreadableImage, UnusableImage
from robust.inputs.objects import EmptyImage
from robust.inputs.prepare import SeveralObjects
from robust.judge import NotReliableClassification, Report
from robust.models.store import DamagedWorld
from robust.serving.drift import Drift, DriftWatch
from robust.serving.stream import Unusable

__version__ = "0.6.0"

__all__ = [
    "FPR",
    "DamagedWorld",
    "Drift",
    "DriftWatch",
    "EmptyImage",
    "Guard",
    "NotReliableClassification",
    "Percentile",
    "Promise",
    "Report",
    "SeveralObjects",
    "UnreadableImage",
    "Unusable",
    "UnusableImage",
    "__version__",
]

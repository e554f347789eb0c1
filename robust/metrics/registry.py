"""The metrics by name: those in this folder, one file each, and whichever the user's own code has defined."""

import importlib
import pkgutil
from pathlib import Path

from robust.metrics.base import Metric, Parts


def metric_class(kind: str) -> type[Metric]:
    """The class that goes by a name. Raises ValueError for a name that no imported class has."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.ispkg:
            importlib.import_module(f"robust.metrics.{module.name}")
    if kind not in Metric.known:
        raise ValueError(
            f"There is no metric named {kind}; there are {', '.join(names())}. "
            "One of your own is known as soon as the module that defines it is imported."
        )
    return Metric.known[kind]


def names() -> list[str]:
    """The metrics of this folder that `Guard.fit` takes by name."""
    ours = (kind for kind, found in Metric.known.items() if found.__module__.startswith("robust.metrics."))
    return [kind for kind in ours if "name" in Metric.known[kind].__dict__]


def build(kind: str, parts: Parts, **options) -> Metric:
    """The metric of that name, from a guard's parts. Raises ValueError for a name that no imported class has."""
    return metric_class(kind).build(parts, **options)

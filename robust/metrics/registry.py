"""The metrics by name: those in this folder, one file each, and whichever the user's own code has defined."""

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from robust.decision.thresholds import Side
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


def nets_of(saved: Sequence[dict]) -> list[str]:
    """The nets that metrics need, and those that they join, given {"kind", "options"} of each, as manifests have it."""
    kinds = [kind for metric in saved for kind in (metric["kind"], *metric["options"].get("of", ()))]
    return list(dict.fromkeys(net for kind in kinds for net in metric_class(kind).nets))


class Label(NamedTuple):
    """What there is to say of a metric without its nets."""

    title: str
    refuses: Side
    digits: int


def labels_of(saved: Sequence[dict]) -> dict[str, Label]:
    """The labels of metrics by name, given {"kind", "options"} of each, as manifests have it."""
    found = {}
    for metric in saved:
        kind = metric_class(metric["kind"])
        name, title = kind.called(**metric["options"])
        found[name] = Label(title, kind.refuses, kind.digits)
    return found

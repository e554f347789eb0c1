"""Where a process gets a guard from: a few words, where the guard itself is megabytes of nets."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from robust.guard import Guard


@dataclass(frozen=True)
class GuardSource:
    """A guard on disk, and how it is to be used.

    folder: a guard's folder, or a name in weights/. classifier: "package.module:name", for a guard whose classifier is
    its owner's. rule, metrics: as in `Guard.load`.
    """

    folder: str
    classifier: str | None = None
    rule: str | None = None
    metrics: tuple[str, ...] | None = None

    def load(self) -> Guard:
        """The guard. Raises DamagedWorld, and ValueError for a classifier, rule or metric that does not fit."""
        classifier = named_object(self.classifier) if self.classifier else None
        return Guard.load(self.folder, rule=self.rule, classifier=classifier, metrics=self.metrics)


def named_object(name: str):
    """The object that "package.module:name" names; modules in the current folder are found, too.

    Raises ValueError, with one sentence, when there is none.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(f"{name} names no classifier: write package.module:name.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever the owner's module raises
        raise ValueError(f"{module} could not be imported: {type(error).__name__}: {error}") from error
    if not hasattr(found, attribute):
        raise ValueError(f"{module} has no {attribute}: write package.module:name of your classifier.")
    return getattr(found, attribute)

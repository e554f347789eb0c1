"""What the pictures of a world show: the names of its classes, the words for them, and how they sit in their frame."""

from dataclasses import dataclass

from robust.data.examples import CLOTHES
from robust.inputs.prepare import INK_SHARE


@dataclass(frozen=True)
class Subject:
    """classes: the name of each class, in the order of the classifier's outputs.

    noun, plural: what a picture shows ("digit", "digits"). answer: what a class is ("digit", "kind of clothing").
    ink_share: how `prepare` frames a picture; see there.
    """

    classes: tuple[str, ...]
    noun: str = "picture"
    plural: str = "pictures"
    answer: str = "class"
    ink_share: float | None = None


SUBJECTS = {
    "mnist": Subject(tuple("0123456789"), "digit", "digits", "digit", INK_SHARE),
    "fashion-mnist": Subject(CLOTHES, "piece of clothing", "clothes", "kind of clothing", 1.0),
}


def subject_of(manifest: dict) -> Subject:
    """The subject of a world: a known data set's, else the one that its manifest records."""
    if manifest["dataset"] in SUBJECTS:
        return SUBJECTS[manifest["dataset"]]
    recorded = manifest["subject"]
    return Subject(**recorded | {"classes": tuple(recorded["classes"])})

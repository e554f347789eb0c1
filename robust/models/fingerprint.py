"""Telling a guard's classifier from others, by its answers to a few images that are kept with the guard."""

from pathlib import Path

import torch
from torch import Tensor

from robust.data.datasets import to_float
from robust.models.classifier import AnyClassifier, same_answers

COUNT = 16


def fingerprint(classifier: AnyClassifier, images: Tensor) -> dict[str, Tensor]:
    """The first of the images uint8 (N, channels, size, size), and the "answers" to them (n, classes), as probabilities."""
    images = images[:COUNT]
    with torch.no_grad():
        return {"images": images.clone(), "answers": classifier(to_float(images)).softmax(1)}


def check_fingerprint(classifier: AnyClassifier, stored: dict[str, Tensor], folder: Path) -> None:
    """Raises ValueError for another classifier than the one that gave the `stored` answers."""
    images = to_float(stored["images"])
    try:
        with torch.no_grad():
            answers = classifier(images).softmax(1)
    except Exception as error:  # whatever the caller's classifier raises
        raise ValueError(
            f"The classifier failed on the images stored with the guard in {folder}: {type(error).__name__}: {error}"
        ) from error
    alike = same_answers(stored["answers"].numpy(), answers.numpy())
    if not alike.all():
        raise ValueError(
            f"This is not the classifier that the guard in {folder} was fitted to: it answers {int((~alike).sum())} "
            f"of {len(alike)} stored images differently. Give that classifier, or fit a guard to this one."
        )
    if classifier.has_gradients and not classifier.finds_gradients(images):
        raise ValueError(
            f"The guard in {folder} was fitted to a classifier with gradients, and this one gives none, so that its δz "
            "would not be comparable. Give that classifier, or fit a guard to this one."
        )

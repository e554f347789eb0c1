"""Any detector of pytorch-ood (Kirchheim et al., 2022) as a metric, fitted to the guard's training images."""

import inspect

import numpy as np
import torch
from torch import Tensor

from robust.data.datasets import batch_for
from robust.metrics.base import Metric, Parts

ONE_BY_ONE = ("OpenMax",)  # whose scores depend on which other images are in the batch
MOST = 10_000  # training images that a detector is fitted to, and that are kept with the guard


class PytorchOOD(Metric):
    """A detector by its name in `pytorch_ood.detector`, on the guarded classifier: `PytorchOOD("KNN", k=50)`.

    It works on the classifier's logits or features (what enters its last fully connected layer; pixels for a black box),
    or on images and the classifier's gradients, as the detector asks. What it is fitted to is kept, and it is fitted again when the guard is loaded: no pickle.
    """

    kind = "pytorch_ood"
    refuses = "high"
    digits = 3

    def __init__(self, detector: str, **arguments):
        """arguments: of the detector's constructor, as JSON knows them. Its model, head, weights and biases are filled in.

        Raises ValueError where pytorch-ood is not installed, has no such detector, or has one for other inputs.
        """
        try:
            from pytorch_ood import api
            from pytorch_ood import detector as ood
        except ImportError:
            raise ValueError(f"{detector} is a detector of pytorch-ood: pip install pytorch-ood scikit-learn") from None
        self.detector_class = getattr(ood, detector, None)
        takes = {
            api.LogitsDetector: "logits",
            api.FeaturesDetector: "features",
            api.FeatureMapsDetector: "feature_maps",
            api.GradientDetector: "images",
        }
        bases = inspect.getmro(self.detector_class) if inspect.isclass(self.detector_class) else ()
        self.takes = next((takes[base] for base in bases if base in takes), None)
        if self.takes is None:
            raise ValueError(f"pytorch-ood has no detector {detector} that works on logits, features or images.")
        self.detector_name, self.arguments = detector, arguments
        self.name, self.title = self.called(detector)
        self.kept: dict[str, Tensor] = {}

    @classmethod
    def called(cls, detector: str, **arguments) -> tuple[str, str]:
        return detector.lower(), detector

    @classmethod
    def build(cls, parts: Parts, detector: str, **arguments) -> "PytorchOOD":
        metric = cls(detector, **arguments)
        metric._bind(parts)
        return metric

    def fit(self, images: Tensor, labels: Tensor | None, parts: Parts) -> None:
        """Raises ValueError where the detector needs labels, or a last layer that the classifier does not show."""
        self._bind(parts)
        if not self.detector.requires_fit:
            return
        if labels is None:
            raise ValueError(
                f"{self.detector_name} needs labels: give Guard.fit(labels=...) those of the training images."
            )
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:MOST]
        inputs = [self._input(images[part].float() / 255) for part in chosen.split(batch_for(images))]
        self.load_state({"inputs": torch.cat(inputs), "labels": torch.as_tensor(labels)[chosen].long()})

    def options(self) -> dict:
        return {"detector": self.detector_name} | self.arguments

    def state(self) -> dict[str, Tensor]:
        return self.kept

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.kept = state
        if state:
            self._method("fit")(state["inputs"], state["labels"])

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        batch = batch_for(images)
        parts = images.split(batch) if len(images) > batch else [images]  # itself, so that one pass serves all metrics
        return torch.cat([self._predict(part).detach().double() for part in parts]).numpy()

    def _predict(self, images: Tensor) -> Tensor:
        if self.takes == "images":
            return self.detector.predict(images)
        inputs = self._input(images)
        batch = 1 if self.detector_name in ONE_BY_ONE else len(inputs)
        return torch.cat([self._method("predict")(part) for part in inputs.split(batch)])

    def _bind(self, parts: Parts) -> None:
        """Make the detector, with what its constructor asks of the classifier."""
        self.classifier = parts.classifier
        head = getattr(parts.classifier, "head", None)
        filled = {"model": parts.classifier, "encoder": None, "backbone": None, "head": head}
        if head is not None:
            filled |= {"w": head.weight.detach(), "b": head.bias.detach()}
        wanted = inspect.signature(self.detector_class).parameters
        missing = [name for name in ("head", "w", "b") if name in wanted and filled.get(name) is None]
        if missing:
            raise ValueError(f"{self.detector_name} needs a torch classifier that ends in a fully connected layer.")
        given = {name: value for name, value in filled.items() if name in wanted}
        self.detector = self.detector_class(**given | self.arguments)

    def _method(self, verb: str):
        """fit_logits, predict_features, ...: the library names them by what they take."""
        return getattr(self.detector, f"{verb}_{self.takes}")

    @torch.no_grad()
    def _input(self, images: Tensor) -> Tensor:
        return self.classifier(images) if self.takes == "logits" else self.classifier.features(images)

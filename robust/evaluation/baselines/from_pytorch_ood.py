"""The detectors of pytorch-ood (Kirchheim et al., 2022) as metrics, fitted to the training set alone.

Left out are those that need what we do not have or must not use: outliers to train on (WeightedEBO), text (MCM),
random answers (MCD), the gradients of all weights for each image (GradNorm, GradUncertainty), or the wide feature maps
of large nets (ASH, SCALE, LTS, RankFeat, Gram, NACUE, MultiMahalanobis); and OpenMax, whose scores depend on which
other images are in the batch. Parameters are the papers' or the library's defaults: tuning them would take outliers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from robust.evaluation.baselines.features import Features
from robust.metrics import Metric


@dataclass(frozen=True)
class Fitting:
    """LeNet's features (N, features) and the labels (N,) of the training images."""

    features: Tensor
    labels: Tensor


class PytorchOOD(Metric):
    """A detector of pytorch-ood on LeNet. Its outlier scores are high for outliers."""

    refuses = "high"

    def __init__(self, title: str, about: str, detector, features: Features, training: Fitting):
        """Fits the detector where it needs it. `about` says in one sentence what it computes."""
        from pytorch_ood import api

        self.name = title.lower().replace(" ", "_").replace("-", "_")
        self.title, self.detector, self.features = title, detector, features
        paper = detector.info.paper
        self.about = f"{about} ({paper.venue} {paper.year})." if paper else f"{about}."
        if isinstance(detector, api.LogitsDetector):
            self.kind = "logits"
        elif isinstance(detector, api.FeaturesDetector):
            self.kind = "features"
        elif isinstance(detector, api.FeatureMapsDetector):
            self.kind = "feature_maps"
        else:
            self.kind = "images"
        if detector.requires_fit:
            self._method("fit")(self._input(training.features), training.labels)

    def scores(self, images: Tensor, predictions: Tensor) -> np.ndarray:
        if self.kind == "images":
            found = self.detector.predict(images)
        else:
            found = self._method("predict")(self._input(self.features(images)))
        return found.detach().double().numpy()

    def _method(self, verb: str):
        """fit_logits, predict_features, ...: the library names them by what they take."""
        return getattr(self.detector, f"{verb}_{self.kind}")

    @torch.no_grad()
    def _input(self, features: Tensor) -> Tensor:
        return self.features.lenet.head(features) if self.kind == "logits" else features


def pytorch_ood_metrics(features: Features, training: Fitting) -> list[Metric]:
    """Every detector of pytorch-ood that fits LeNet; none where the library is not installed."""
    try:
        from pytorch_ood import detector as ood
    except ImportError:
        return []
    lenet, head = features.lenet, features.lenet.head
    linear = head[-1]
    every = [
        ("MSP", "The largest softmax probability, low for outliers", ood.MaxSoftmax(lenet)),
        ("max logit", "The largest logit, low for outliers", ood.MaxLogit(lenet)),
        ("energy", "−log Σ exp of the logits", ood.EnergyBased(lenet)),
        ("entropy", "The entropy of the softmax probabilities", ood.Entropy(lenet)),
        ("GEN", "A generalised entropy of the softmax probabilities", ood.GEN(lenet)),
        ("KL matching", "KL divergence from the class's mean probabilities", ood.KLMatching(lenet)),
        ("ODIN", "MSP at temperature 1,000 after one step towards the prediction", ood.ODIN(lenet)),
        ("Mahalanobis", "Mahalanobis distance to the nearest class mean in LeNet's features", ood.Mahalanobis(None)),
        ("relative Mahalanobis", "Mahalanobis distance less that to the mean of all classes", ood.RMD(None)),
        ("class Gaussians", "Likelihood of LeNet's features under one Gaussian for each class", ood.GMM(None)),
        ("KNN", "Distance to the 50th nearest training image in LeNet's features, normalised", ood.KNN(None)),
        ("NNGuide", "Energy, guided by the 10 nearest training images", ood.NNGuide(None, head)),
        (
            "ViM",
            "Energy against the features' part outside the training set's principal space",
            ood.ViM(None, d=linear.in_features // 2, w=linear.weight, b=linear.bias),
        ),
        ("ReAct", "Energy after clipping features at their 90th percentile", ood.ReAct(None, head)),
        ("VRA", "Energy after clipping features at both ends", ood.VRA(None, head)),
        ("DICE", "Energy from the 10 % strongest weights", ood.DICE(None, w=linear.weight, b=linear.bias, p=0.9)),
        ("fDBD", "Distance of the features to the decision boundaries", ood.fDBD(None, linear)),
        ("SHE", "Inner product of the features with the class's mean", ood.SHE(None, head)),
        ("NCI", "Angle of the features to the class's weights", ood.NCI(None, linear)),
        ("pNML", "Regret of the last layer against a learner that knows the label", ood.PNML(None, head)),
    ]
    return [PytorchOOD(title, about, detector, features, training) for title, about, detector in every]

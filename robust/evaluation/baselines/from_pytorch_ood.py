"""The detectors of pytorch-ood (Kirchheim et al., 2022) as metrics, fitted to the training set alone.

Left out are those that need what we do not have or must not use: outliers to train on (WeightedEBO), text (MCM),
random answers (MCD), the gradients of all weights for each image (GradNorm, GradUncertainty), or the wide feature maps
of large nets (ASH, SCALE, LTS, RankFeat, Gram, NACUE, MultiMahalanobis). Parameters are the papers' or the library's
defaults: tuning them would take outliers.
"""

from torch import Tensor

from robust.metrics import Metric, Parts
from robust.metrics.pytorch_ood import PytorchOOD
from robust.models.classifier import AnyClassifier

DETECTORS = (  # title, what it computes, its name in pytorch-ood, arguments
    ("MSP", "The largest softmax probability, low for outliers", "MaxSoftmax", {}),
    ("max logit", "The largest logit, low for outliers", "MaxLogit", {}),
    ("energy", "−log Σ exp of the logits", "EnergyBased", {}),
    ("entropy", "The entropy of the softmax probabilities", "Entropy", {}),
    ("GEN", "A generalised entropy of the softmax probabilities", "GEN", {}),
    ("OpenMax", "Probability of an unknown class, from the distance of the logits to the class's mean", "OpenMax", {}),
    ("KL matching", "KL divergence from the class's mean probabilities", "KLMatching", {}),
    ("ODIN", "MSP at temperature 1,000 after one step towards the prediction", "ODIN", {}),
    ("Mahalanobis", "Mahalanobis distance to the nearest class mean in the features", "Mahalanobis", {}),
    ("relative Mahalanobis", "Mahalanobis distance less that to the mean of all classes", "RMD", {}),
    ("class Gaussians", "Likelihood of the features under one Gaussian for each class", "GMM", {}),
    ("deep KNN", "Distance to the 50th nearest training image in the features, normalised", "KNN", {}),
    ("NNGuide", "Energy, guided by the 10 nearest training images", "NNGuide", {}),
    ("ViM", "Energy against the features' part outside the training set's principal space", "ViM", {"d": None}),
    ("ReAct", "Energy after clipping features at their 90th percentile", "ReAct", {}),
    ("VRA", "Energy after clipping features at both ends", "VRA", {}),
    ("DICE", "Energy from the 10 % strongest weights", "DICE", {"p": 0.9}),
    ("fDBD", "Distance of the features to the decision boundaries", "fDBD", {}),
    ("SHE", "Inner product of the features with the class's mean", "SHE", {}),
    ("NCI", "Angle of the features to the class's weights", "NCI", {}),
    ("pNML", "Regret of the last layer against a learner that knows the label", "PNML", {}),
)


def pytorch_ood_metrics(classifier: AnyClassifier, features: Tensor, logits: Tensor, labels: Tensor) -> list[Metric]:
    """Every detector of pytorch-ood that fits the classifier, fitted to the features (N, features), logits (N, classes) and
    labels (N,) of its training images; none where the library is not installed."""
    try:
        import pytorch_ood  # noqa: F401
    except ImportError:
        return []
    found = []
    for title, about, detector, arguments in DETECTORS:
        if "d" in arguments:
            if classifier.head is None:
                continue
            arguments = {"d": classifier.head.in_features // 2}
        try:
            metric = PytorchOOD.build(Parts(classifier), detector, **arguments)
        except ValueError:  # it asks for a last layer that a black box does not show
            continue
        paper = metric.detector.info.paper
        metric.name, metric.title = title.lower().replace(" ", "_").replace("-", "_"), title
        metric.about = f"{about} ({paper.venue} {paper.year})." if paper else f"{about}."
        if metric.detector.requires_fit:
            inputs = logits if metric.takes == "logits" else features
            try:
                metric.load_state({"inputs": inputs, "labels": labels})
            except ValueError:  # it learns from right answers, and a class has none
                continue
        found.append(metric)
    return found

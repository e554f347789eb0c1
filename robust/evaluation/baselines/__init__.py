"""Metrics to compare the guard's with: published detectors on the same nets, one class in one file each."""

import torch
from torch import Tensor

from robust.data.datasets import BATCH
from robust.evaluation.baselines.combination import Combination
from robust.evaluation.baselines.deep_svdd import DeepSVDD
from robust.evaluation.baselines.dose import DoSE
from robust.evaluation.baselines.f_anogan import FAnoGAN
from robust.evaluation.baselines.from_pytorch_ood import pytorch_ood_metrics
from robust.evaluation.baselines.likelihood_regret import LikelihoodRegret
from robust.evaluation.baselines.nearest_features import NearestFeatures
from robust.evaluation.baselines.nearest_training_image import NearestTrainingImage
from robust.evaluation.baselines.typicality import Typicality
from robust.evaluation.baselines.vae_reconstruction import VAEReconstruction
from robust.evaluation.baselines.wgan_reconstruction import WGANReconstruction
from robust.evaluation.baselines.which_way_up import WhichWayUp
from robust.fitting import LARGEST_NET
from robust.guard import Guard
from robust.metrics import Metric
from robust.models.classifier import AnyClassifier
from robust.models.store import load_net, read_manifest

__all__ = ["Combination", "LikelihoodRegret", "baselines"]


def baselines(guard: Guard, images: Tensor, labels: Tensor) -> list[Metric]:
    """Every baseline that the guard's nets allow, fitted to the training images (N, channels, size, size) in [0, 1] and
    labels (N,).

    Those of pytorch-ood join where it is installed.
    """
    nets, folder, classifier = guard.contents.nets, guard.contents.folder, guard.classifier
    if not isinstance(classifier, AnyClassifier):
        classifier = AnyClassifier(classifier, gives_probabilities=False, has_gradients=True)
    with torch.no_grad():
        features = torch.cat([classifier.features(part) for part in images.split(BATCH)])
        logits = torch.cat([classifier(part) for part in images.split(BATCH)])
    found: list[Metric] = []
    if "vae" in nets:
        vae = nets["vae"]
        found += [VAEReconstruction(vae), LikelihoodRegret(vae), Typicality(vae, images), DoSE(vae, classifier, images)]
    if "generator" in nets:
        found.append(WGANReconstruction(nets["generator"], nets["inverter"]))
        if (folder / "critic.safetensors").exists():
            critic = load_net(folder, "critic", read_manifest(folder))  # which no metric of a guard needs
            found.append(FAnoGAN(nets["generator"], nets["inverter"], critic))
    found += [NearestTrainingImage(images), NearestFeatures(classifier, features)]
    if images.shape[-1] <= LARGEST_NET:
        found += [DeepSVDD(images), WhichWayUp(images)]
    return found + pytorch_ood_metrics(classifier, features, logits, labels)

"""Metrics to compare the guard's with: published detectors on the same nets, one class in one file each."""

from torch import Tensor

from robust.evaluation.baselines.combination import Combination
from robust.evaluation.baselines.f_anogan import FAnoGAN
from robust.evaluation.baselines.features import Features
from robust.evaluation.baselines.from_pytorch_ood import Fitting, PytorchOOD, pytorch_ood_metrics
from robust.evaluation.baselines.likelihood_regret import LikelihoodRegret
from robust.evaluation.baselines.nearest_features import NearestFeatures
from robust.evaluation.baselines.nearest_training_image import NearestTrainingImage
from robust.evaluation.baselines.vae_reconstruction import VAEReconstruction
from robust.evaluation.baselines.wgan_reconstruction import WGANReconstruction
from robust.metrics import Metric
from robust.models.world import World

__all__ = ["Combination", "LikelihoodRegret", "PytorchOOD", "baselines"]


def baselines(world: World, images: Tensor, labels: Tensor) -> list[Metric]:
    """Every baseline, fitted to the training images (N, channels, size, size) in [0, 1] and labels (N,).

    Those of pytorch-ood join where it is installed.
    """
    nets = world.nets
    features = Features(nets["lenet"])
    training = features(images)
    return [
        VAEReconstruction(nets["vae"]),
        LikelihoodRegret(nets["vae"]),
        WGANReconstruction(nets["generator"], nets["inverter"]),
        FAnoGAN(nets["generator"], nets["inverter"], nets["critic"]),
        NearestTrainingImage(images),
        NearestFeatures(features, training),
        *pytorch_ood_metrics(features, Fitting(training, labels)),
    ]

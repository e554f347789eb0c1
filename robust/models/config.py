"""What decides a world's weights, apart from its data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Architecture and schedule of the training stages. Recorded in the manifest."""

    channels: int = 1
    size: int = 28
    classes: int = 10
    seed: int = 0
    augment: bool = True
    lenet_width: int = 16
    lenet_steps: int = 24_500
    vae_latent: int = 20
    vae_steps: int = 20_000
    latent: int = 32
    wgan_width: int = 16
    wgan_steps: int = 18_000
    critic_steps: int = 2
    inverter_width: int = 32
    inverter_steps: int = 16_000
    inverter_lambda: float = 0.1
    inverter_agreement: float = 20.0
    verifier_width: int = 24
    verifier_steps: int = 8_000
    orienter_width: int = 16
    orienter_steps: int = 8_000

    @property
    def shape(self) -> dict:
        return {"channels": self.channels, "size": self.size}


def config_for(dataset: str, seed: int = 0, channels: int = 1, size: int = 28, classes: int = 10) -> Config:
    """The published world's long schedule for MNIST, a shorter one for others; the augmentation is made for digits."""
    if dataset == "mnist":
        return Config(seed=seed)
    shorter = {"lenet_steps": 10_000, "verifier_width": 16, "verifier_steps": 5_000}
    shorter |= {"wgan_steps": 14_000, "inverter_steps": 20_000}
    return Config(channels, size, classes, seed, augment=False, **shorter)

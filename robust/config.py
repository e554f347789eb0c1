"""What decides a world's weights, apart from its data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Architecture and schedule of the four training stages. Recorded in the manifest."""

    channels: int = 1
    size: int = 28
    classes: int = 10
    seed: int = 0
    augment: bool = True
    lenet_width: int = 16
    lenet_steps: int = 14_000
    vae_latent: int = 20
    vae_steps: int = 20_000
    latent: int = 32
    wgan_width: int = 16
    wgan_steps: int = 18_000
    critic_steps: int = 2
    inverter_width: int = 32
    inverter_steps: int = 16_000
    inverter_lambda: float = 0.1

    @property
    def shape(self) -> dict:
        return {"channels": self.channels, "size": self.size}


def config_for(dataset: str, seed: int = 0) -> Config:
    """The published configuration; the augmentation is made for digits."""
    return Config(seed=seed, augment=dataset == "mnist")

"""A world: one folder with everything about one in-distribution data set.

    lenet, verifier, vae, generator, critic, inverter .safetensors    the nets
    scores.safetensors                       reference distributions, "<set>/<score>"
    training_images.safetensors              some of the training images and their labels
    manifest.json                            configuration, data checksums, SHA-256 of every file
    history/, benchmark_*.json               training history and measurements
    README.md                                the model card

The weights are safetensors, never pickle. Loading checks every hash it relies on.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from robust.data.subjects import Subject, subject_of
from robust.inputs.prepare import Prepared, prepare
from robust.models.config import Config
from robust.models.nets import VAE, Critic, Generator, Inverter, LeNet, Verifier
from robust.models.weights import WEIGHTS

DEFAULT_WORLD = WEIGHTS / "mnist"
NETS = ("lenet", "verifier", "vae", "generator", "critic", "inverter")
SCORES = "scores.safetensors"
FITTED = "fitted guard"  # the kind of a guard that Guard.fit made
FORMAT = 2  # of the manifest; 1 named the metrics of a fitted guard without their options
TRAINING_IMAGES = "training_images.safetensors"


class DamagedWorld(RuntimeError):
    """A file of the world is missing or is not the one that the manifest names. The text says which, and what to do."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_manifest(folder: Path) -> dict:
    """The manifest of a world, or of a saved guard. Raises DamagedWorld when there is none or it cannot be read."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        if manifest["format"] > FORMAT:
            raise DamagedWorld(f"{folder} was made by a newer version of Robust: install that one.")
        Config(**manifest["config"])
        if "kind" not in manifest:  # a guard made by Guard.fit says its kind, and has no subject
            subject_of(manifest)
        return manifest
    except FileNotFoundError:
        raise DamagedWorld(f"There are no trained nets in {folder}. Make them with: python -m robust train") from None
    except ValueError:
        raise DamagedWorld(f"{path} is damaged: it is not JSON. Restore it from the repository.") from None
    except (KeyError, TypeError):
        raise DamagedWorld(f"{path} is damaged, or from another version. Restore it from the repository.") from None


def write_manifest(folder: Path, updates: dict) -> None:
    """Merge `updates` into the manifest and record the SHA-256 of every safetensors file beside it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    manifest |= updates
    manifest["sha256"] = {file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))}
    path.write_text(json.dumps(manifest, indent=1) + "\n")


def checked(folder: Path, name: str, manifest: dict) -> Path:
    """The path of a file whose hash is the manifest's. Raises DamagedWorld otherwise."""
    path = folder / name
    remedy = "Restore it, or make it again (a world with: python -m robust train)."
    if name not in manifest.get("sha256", {}) or not path.is_file():
        raise DamagedWorld(f"{path} is missing. {remedy}")
    if sha256(path) != manifest["sha256"][name]:
        raise DamagedWorld(f"{path} is damaged: it is not the file that manifest.json names. {remedy}")
    return path


def build_net(name: str, config: Config) -> nn.Module:
    """An untrained net of the configuration."""
    makers = {
        "lenet": lambda: LeNet(**config.shape, classes=config.classes, width=config.lenet_width),
        "verifier": lambda: Verifier(**config.shape, classes=config.classes, width=config.verifier_width),
        "vae": lambda: VAE(**config.shape, latent=config.vae_latent),
        "generator": lambda: Generator(**config.shape, latent=config.latent, width=config.wgan_width),
        "critic": lambda: Critic(**config.shape, width=config.wgan_width),
        "inverter": lambda: Inverter(**config.shape, latent=config.latent, width=config.inverter_width),
    }
    return makers[name]()


@dataclass
class World:
    """The nets of one world, ready to score, its reference distributions, and some of the training images.

    training_images (N, channels, size, size) uint8 and training_labels (N,) int64: what to compare inputs with.
    """

    folder: Path
    manifest: dict
    nets: dict[str, nn.Module]
    scores: dict[str, dict[str, np.ndarray]]
    training_images: Tensor | None = None
    training_labels: Tensor | None = None

    @classmethod
    def load(cls, folder: str | Path = DEFAULT_WORLD, with_scores: bool = True) -> "World":
        """Read and check a world, by its folder or its name in WEIGHTS. Raises DamagedWorld, which says what is wrong."""
        folder = world_folder(folder)
        manifest = read_manifest(folder)
        config = Config(**manifest["config"])
        nets = {}
        for name in NETS:
            nets[name] = build_net(name, config)
            nets[name].load_state_dict(load_file(checked(folder, f"{name}.safetensors", manifest)))
            # channels_last: the small convolutions run up to twice as fast on a CPU
            nets[name].eval().requires_grad_(False).to(memory_format=torch.channels_last)
        if not with_scores:  # a world in the making
            return cls(folder, manifest, nets, {})
        scores = read_scores(checked(folder, SCORES, manifest))
        training = load_file(checked(folder, TRAINING_IMAGES, manifest))
        return cls(folder, manifest, nets, scores, training["images"], training["labels"])

    @property
    def config(self) -> Config:
        return Config(**self.manifest["config"])

    @property
    def subject(self) -> Subject:
        """What its pictures show: the names of the classes, and the words for them."""
        return subject_of(self.manifest)

    @property
    def prepare(self) -> Callable[..., Prepared]:
        """`robust.inputs.prepare.prepare` as this world's nets need it."""
        return partial(prepare, **self.config.shape, ink_share=self.subject.ink_share)

    @property
    def in_distribution(self) -> str:
        """Name of the reference set: the test set of the data that the nets were trained on."""
        return self.manifest["dataset"]

    @property
    def reference(self) -> dict[str, np.ndarray]:
        """The reference scores: metric name to (N,) float64."""
        return self.scores[self.in_distribution]

    @property
    def comparison_sets(self) -> list[str]:
        return [name for name in self.scores if name != self.in_distribution]


def world_folder(world: str | Path) -> Path:
    """A world by its name in WEIGHTS, or by its path."""
    return WEIGHTS / world if (WEIGHTS / world).is_dir() else Path(world)


def is_fitted(folder: str | Path) -> bool:
    """Whether a folder holds a saved guard, rather than a world. Raises DamagedWorld when it holds neither."""
    return read_manifest(world_folder(folder)).get("kind") == FITTED


def worlds() -> list[str]:
    """Names of the worlds in WEIGHTS, MNIST first."""
    return sorted(
        (file.parent.name for file in WEIGHTS.glob("*/manifest.json")), key=lambda name: (name != "mnist", name)
    )


def read_scores(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """{set: {score: (N,) array}}, by name."""
    sets: dict[str, dict[str, np.ndarray]] = {}
    columns = load_file(path)
    for key in sorted(columns, key=lambda key: key.split("/")):
        name, score = key.split("/")
        values = columns[key]
        sets.setdefault(name, {})[score] = values.numpy().astype(np.float64 if values.is_floating_point() else np.int64)
    return sets


def write_scores(folder: Path, scores: dict[str, dict[str, np.ndarray]]) -> None:
    """Write the reference distributions: float32 scores, int64 predictions."""
    flat = {}
    for name, columns in scores.items():
        for score, values in columns.items():
            values = torch.from_numpy(np.ascontiguousarray(values))
            flat[f"{name}/{score}"] = values.float() if values.is_floating_point() else values
    save_file(flat, folder / SCORES)

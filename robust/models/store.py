"""A guard's folder, the same for every guard:

    lenet, verifier, vae, generator, inverter .safetensors    the nets of its metrics, and its classifier if it ships
    metric_NAME.safetensors                  what a metric has learned beside nets
    scores.safetensors                       scores of the reference set and of comparison sets, "<set>/<score>"
    training_images.safetensors              some of the training images and their labels, or
    fingerprint.safetensors                  a few test images and the owner's classifier's answers to them
    manifest.json                            what is in it (`manifest.schema.json`), SHA-256 of every file and of itself
    critic.safetensors, history/, examples/, benchmark_*.json, README.md    what training and measuring left

The classifier of a guard that `Guard.fit` made is not in it: it is its owner's. A guard whose classifier ships with it is
called a world. The weights are safetensors, never pickle. Loading checks every hash it relies on.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from robust.data.subjects import Subject
from robust.models.config import Config
from robust.models.nets import VAE, Critic, Generator, Inverter, LeNet, Orienter, Verifier
from robust.models.weights import WEIGHTS

DEFAULT_WORLD = WEIGHTS / "mnist"
SCORES = "scores.safetensors"
TRAINING_IMAGES = "training_images.safetensors"
FINGERPRINT = "fingerprint.safetensors"
FORMAT = 4  # of the manifest; up to 3, evidence was another number; 1 and 2 had fitted guards in another way
OWN = "test"  # the reference set of a guard that Guard.fit made
MEASURED = ("data_sha256", "training_seconds", "figures")  # what a manifest may say beside what makes the guard
CENTRED, AS_GIVEN = "centred", "as given"  # how a guard reads a picture


class DamagedWorld(RuntimeError):
    """A file of a guard is missing or is not the one that the manifest names. The text says which, and what to do."""


def guard_folder(guard: str | Path) -> Path:
    """A guard by its name in WEIGHTS, or by its path."""
    return WEIGHTS / guard if (WEIGHTS / guard).is_dir() else Path(guard)


def worlds() -> list[str]:
    """Names of the guards in WEIGHTS, MNIST first."""
    return sorted(
        (file.parent.name for file in WEIGHTS.glob("*/manifest.json")), key=lambda name: (name != "mnist", name)
    )


# --- The manifest --------------------------------------------------------------------------------------------------


def read_manifest(folder: Path) -> dict:
    """A guard's manifest, as today's format has it. Raises DamagedWorld when there is none or it cannot be relied on."""
    path = folder / "manifest.json"
    damaged = f"{path} is damaged%s. Restore it, or make it again."
    try:
        manifest = json.loads(path.read_bytes(), parse_constant=_no_number)
    except FileNotFoundError:
        raise DamagedWorld(f"There are no trained nets in {folder}. Make them with: python -m robust train") from None
    except (ValueError, RecursionError):
        raise DamagedWorld(damaged % ": it is not JSON") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise DamagedWorld(damaged % "")
    if manifest["format"] > FORMAT:
        raise DamagedWorld(f"{folder} was made by a newer version of Robust: install that one.")
    signed = manifest["format"] >= 3 or "checksum" in manifest  # older ones are not
    if signed and manifest.get("checksum") != _checksum(manifest):
        raise DamagedWorld(damaged % ": it is not what was written")
    try:
        manifest = _upgraded(manifest)
    except (KeyError, TypeError, AttributeError):
        raise DamagedWorld(damaged % "") from None
    if mistake := next(_validator().iter_errors(manifest), None):
        raise DamagedWorld(damaged % f": {'.'.join(map(str, mistake.path)) or 'it'} is not as it should be")
    return manifest


def write_manifest(folder: Path, updates: dict) -> None:
    """Merge `updates` into the manifest and record the SHA-256 of every safetensors file beside it, and its own."""
    path = folder / "manifest.json"
    manifest = (_upgraded(json.loads(path.read_text())) if path.exists() else {}) | {"format": FORMAT} | updates
    manifest["sha256"] = {file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))}
    manifest["checksum"] = _checksum(manifest)
    path.write_text(json.dumps(manifest, indent=1) + "\n")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _checksum(manifest: dict) -> str:
    """SHA-256 of all that a manifest says but its checksum."""
    said = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


@cache
def _validator():
    import jsonschema  # 0.1 s: only when there is a manifest to read

    schema = json.loads(Path(__file__).with_name("manifest.schema.json").read_text())
    return jsonschema.Draft202012Validator(schema)


def _upgraded(manifest: dict) -> dict:
    """A manifest of an older format as today's has it. Raises DamagedWorld for one with evidence, whose scores in there are
    not what evidence is today."""
    if manifest["format"] == FORMAT:
        return manifest
    is_world = manifest["format"] < 3 and "kind" not in manifest
    if is_world or '"evidence"' in json.dumps(manifest["metrics"]):
        raise DamagedWorld(
            "This guard was made by an older version of Robust, which measured evidence otherwise: make it again, elsewhere."
        )
    if manifest["format"] == 3:
        return manifest | {"format": FORMAT}
    subject = Subject(tuple(map(str, range(manifest["config"]["classes"]))))
    metrics = [named if isinstance(named, dict) else {"kind": named, "options": {}} for named in manifest["metrics"]]
    rest = {key: value for key, value in manifest.items() if key != "kind"}
    about = {"format": FORMAT, "dataset": OWN, "reader": AS_GIVEN, "subject": _as_lists(asdict(subject))}
    return rest | about | {"metrics": metrics}


def _as_lists(subject: dict) -> dict:
    return subject | {"classes": list(subject["classes"])}


def world(config: Config) -> dict:
    """What a world's manifest says of its guard."""
    # Evidence learned to say no, and weighs as much as the other two.
    surprise = {"of": ["excess_loss", "evidence", "energy"], "weights": {"evidence": 2.0}}
    if config.augment:  # for digits alone: most are none in a mirror
        surprise["of"].append("orientation")
        surprise["weights"]["orientation"] = 0.75  # with more, more letters are taken for digits
    kinds = {"delta_z": {}, "vae_loss": {}, "surprise": surprise}
    return {
        "reader": CENTRED,
        "classifier": {"net": "lenet"},
        "metrics": [{"kind": kind, "options": options} for kind, options in kinds.items()],
        "thresholds": {kind: {"fpr": 0.05} for kind in kinds},
        "rule": "surprise",
    }


# --- Files ---------------------------------------------------------------------------------------------------------


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
        "orienter": lambda: Orienter(**config.shape, classes=config.classes, width=config.orienter_width),
        "vae": lambda: VAE(**config.shape, latent=config.vae_latent),
        "generator": lambda: Generator(**config.shape, latent=config.latent, width=config.wgan_width),
        "critic": lambda: Critic(**config.shape, width=config.wgan_width),
        "inverter": lambda: Inverter(**config.shape, latent=config.latent, width=config.inverter_width),
    }
    return makers[name]()


def ready_to_score(net: nn.Module) -> nn.Module:
    """channels_last: the small convolutions run up to twice as fast on a CPU."""
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def load_net(folder: Path, name: str, manifest: dict) -> nn.Module:
    """A trained net, ready to score. Raises DamagedWorld."""
    net, path = build_net(name, Config(**manifest["config"])), checked(folder, f"{name}.safetensors", manifest)
    weights = load_file(path)
    try:
        net.load_state_dict(weights)
    except RuntimeError:
        raise DamagedWorld(f"{path} holds another net than manifest.json describes. Make both again.") from None
    if not all(values.isfinite().all() for values in weights.values() if values.is_floating_point()):
        raise DamagedWorld(f"{path} has weights that are not numbers. Restore it, or make it again.")
    return ready_to_score(net)


def save_net(net: nn.Module, path: Path) -> None:
    save_file({name: value.contiguous().cpu() for name, value in net.state_dict().items()}, path)


def read_scores(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """{set: {score: (N,) array}}, by name. Raises DamagedWorld for scores that are not numbers; a δz may be ∞."""
    sets: dict[str, dict[str, np.ndarray]] = {}
    columns = load_file(path)
    for key in sorted(columns, key=lambda key: key.split("/")):
        name, score = key.split("/")
        values = columns[key]
        if values.isnan().any():
            raise DamagedWorld(f"{path} has scores that are not numbers: {key}. Restore it, or calibrate again.")
        sets.setdefault(name, {})[score] = values.numpy().astype(np.float64 if values.is_floating_point() else np.int64)
    return sets


def write_scores(folder: Path, scores: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write the reference distributions: float32 scores, int64 predictions."""
    flat = {}
    for name, columns in scores.items():
        for score, values in columns.items():
            values = torch.from_numpy(np.ascontiguousarray(values))
            flat[f"{name}/{score}"] = values.float() if values.is_floating_point() else values
    save_file(flat, folder / SCORES)


# --- What a guard holds --------------------------------------------------------------------------------------------


@dataclass
class Contents:
    """What a guard keeps beside its classifier, its metrics and its rule.

    dataset: name of its reference set. nets: those of its metrics, and its classifier if it ships, by name.
    comparisons: scores (N,) on sets of images that are none of its own, {set: {score: array}}.
    training: "images" uint8 (N, channels, size, size) and "labels" (N,), to compare inputs with; empty without.
    fingerprint: "images", and the "answers" (N, classes) of its owner's classifier, as probabilities; empty if it ships.
    folder: where it was loaded from. identity: the SHA-256 of its files. measured: what else its manifest says, of
    training and calibration.
    """

    config: Config
    subject: Subject
    dataset: str = OWN
    reader: str = AS_GIVEN
    nets: dict[str, nn.Module] = field(default_factory=dict)
    comparisons: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    training: dict[str, Tensor] = field(default_factory=dict)
    fingerprint: dict[str, Tensor] = field(default_factory=dict)
    folder: Path | None = None
    identity: dict[str, str] = field(default_factory=dict)
    measured: dict = field(default_factory=dict)

    @property
    def ships(self) -> bool:
        """Whether its classifier ships with it."""
        return not self.fingerprint


def read_contents(folder: Path, manifest: dict, nets: Collection[str]) -> Contents:
    """What a folder holds beside scores, with the `nets` named. Raises DamagedWorld, which says what is wrong."""
    subject = Subject(**manifest["subject"] | {"classes": tuple(manifest["subject"]["classes"])})
    ships = "net" in manifest["classifier"]
    return Contents(
        Config(**manifest["config"]),
        subject,
        manifest["dataset"],
        manifest["reader"],
        {name: load_net(folder, name, manifest) for name in nets},
        training=load_file(checked(folder, TRAINING_IMAGES, manifest)) if ships else {},
        fingerprint={} if ships else load_file(checked(folder, FINGERPRINT, manifest)),
        folder=folder,
        identity=manifest["sha256"],
        measured={key: manifest[key] for key in MEASURED if key in manifest},
    )

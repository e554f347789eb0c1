"""Training of the nets of a world, one stage each: lenet, verifier, orienter, vae, wgan (two nets), inverter.

Every step draws its batch and its noise from a generator seeded with (seed, step), so a run that was
interrupted and resumed ends with the same weights as one that was not.
"""

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from robust.data import datasets
from robust.data.augment import as_others_draw, augment, fit_to_frame, harden
from robust.data.changes import WAYS_UP
from robust.data.datasets import Dataset, UnusableDataset, to_float
from robust.data.outliers import spoilt_digits, spoilt_images
from robust.models.config import Config
from robust.models.store import TRAINING_IMAGES, build_net, read_manifest, save_net, world, write_manifest

STAGES = ("lenet", "verifier", "orienter", "vae", "wgan", "inverter")
CHECKPOINT_SECONDS = 30


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def step_generator(seed: int, step: int) -> torch.Generator:
    """Randomness of one training step."""
    return torch.Generator().manual_seed((seed << 40) + step)


@lru_cache(maxsize=2)
def _epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=step_generator(seed, -1 - epoch))


def batch_indices(count: int, batch: int, seed: int, step: int) -> Tensor:
    """The step's share of a shuffled pass over `count` items."""
    per_epoch = count // batch
    start = (step % per_epoch) * batch
    return _epoch_order(count, seed, step // per_epoch)[start : start + batch]


def linear_decay(optimizer, steps: int):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)


def first_descent(steps: int) -> int:
    return round(steps * 5 / 8)


def two_descents(optimizer, steps: int):
    """Linear decay to 0 over the first 5/8 of the steps, then again from half: a warm restart (Loshchilov & Hutter 2017)."""
    first = first_descent(steps)

    def share(step: int) -> float:
        return 1 - step / first if step < first else 0.5 * (steps - step) / max(1, steps - first)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def one_cycle_and_descent(optimizer, steps: int):
    """Up to the optimizer's learning rate and down to 0 in the first 2/3 of the steps (Smith 2018), then down again from
    a quarter of it."""
    first = round(steps * 2 / 3)
    rise = 0.3 * first

    def share(step: int) -> float:
        if step < rise:
            return step / rise
        if step < first:
            return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / (first - rise))
        return 0.25 * (steps - step) / (steps - first)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


@contextmanager
def ctrl_c_waits() -> Iterator[list[bool]]:
    """Ctrl-C within the block makes the list true, and nothing else. Outside the main thread it never comes."""
    interrupted: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    usual = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, usual)


def run(
    stage: str,
    steps: int,
    state: dict,
    step: Callable[[int], dict],
    config: Config,
    folder: Path,
    log_every: int = 200,
) -> None:
    """Call `step(i)` for every i, with a progress bar, and resume from the last checkpoint.

    `state` maps names to whatever has a state_dict (nets, optimizers, schedules). `step` returns the
    figures to log as 0-d tensors or floats. Writes `history/<stage>.json`.
    """
    checkpoint = folder / ".checkpoints" / f"{stage}.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    done, seconds, records = 0, 0.0, []
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device())
        if saved["config"] == asdict(config):
            for name, thing in state.items():
                thing.load_state_dict(saved["state"][name])
            done, seconds, records = saved["done"], saved["seconds"], saved["records"]

    def save():
        saved = {"state": {name: thing.state_dict() for name, thing in state.items()}, "config": asdict(config)}
        torch.save(saved | {"done": done, "seconds": seconds, "records": records}, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)

    began = last_save = time.monotonic() - seconds
    progress = tqdm(range(done, steps), desc=stage, initial=done, total=steps, mininterval=2)
    for i in progress:
        with ctrl_c_waits() as interrupted:  # half a step is not to be kept
            figures = step(i)
        done, seconds = i + 1, time.monotonic() - began
        if interrupted:
            save()
            raise KeyboardInterrupt
        if done % log_every == 0 or done == steps:
            figures = {name: float(value) for name, value in figures.items()}
            records.append({"step": done} | figures)
            progress.set_postfix({name: f"{value:.3g}" for name, value in figures.items()})
        if time.monotonic() - last_save > CHECKPOINT_SECONDS:
            save()
            last_save = time.monotonic()
    save()
    history = folder / "history" / f"{stage}.json"
    history.parent.mkdir(exist_ok=True)
    history.write_text(json.dumps({"seconds": round(seconds, 1), "steps": steps, "records": records}))


def train_lenet(images: Tensor, labels: Tensor, config: Config, folder: Path) -> None:
    """Cross-entropy, on digits as others draw them where the images are digits."""
    torch.manual_seed(config.seed)  # dropout and initial weights
    net = build_net("lenet", config).to(device(), memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = one_cycle_and_descent(optimizer, config.lenet_steps)

    def step(i: int) -> dict:
        indices = batch_indices(len(images), 128, config.seed, i)
        batch, target = to_float(images[indices]), labels[indices].to(device())
        if config.augment:
            batch = as_others_draw(batch, labels[indices], step_generator(config.seed, i))
        torch.manual_seed(config.seed + i)
        loss = F.cross_entropy(net(batch.to(device())), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return {"loss": loss.detach()}

    run("lenet", config.lenet_steps, {"net": net, "optimizer": optimizer, "schedule": schedule}, step, config, folder)
    save_net(net, folder / "lenet.safetensors")


def hard_digits(digits: Tensor, labels: Tensor, randomness: torch.Generator) -> tuple[Tensor, Tensor]:
    """Digits as others draw them, and pseudo-outliers under the same changes: only the shape tells them apart."""
    drawn = spoilt_digits(digits, labels, randomness)
    outliers = harden(fit_to_frame(augment(drawn, randomness)), randomness)
    outliers[::4] = drawn[::4]
    return as_others_draw(digits, labels, randomness, every=2), outliers


def train_verifier(images: Tensor, labels: Tensor, config: Config, folder: Path) -> None:
    """Binary cross-entropy per class: images say yes to their own class, pseudo-outliers to none."""

    def loss(net: nn.Module, good: Tensor, classes: Tensor, outliers: Tensor, randomness: torch.Generator) -> Tensor:
        inputs = torch.cat([good, outliers]).to(device())
        target = torch.zeros(len(inputs), config.classes)
        target[torch.arange(len(good)), classes] = 1
        answers = net(inputs)
        return F.binary_cross_entropy_with_logits(answers, target.to(device()), reduction="sum") / len(inputs)

    _train_beside_outliers("verifier", config.verifier_steps, 64, loss, images, labels, config, folder)


def train_orienter(images: Tensor, labels: Tensor, config: Config, folder: Path) -> None:
    """Cross-entropy over every class in every way up, and none of them: pseudo-outliers, as they are and turned, too."""
    ways = len(WAYS_UP)

    def loss(net: nn.Module, good: Tensor, classes: Tensor, outliers: Tensor, randomness: torch.Generator) -> Tensor:
        turn = WAYS_UP[int(torch.randint(1, ways, (1,), generator=randomness))]
        inputs = torch.cat([*(way(good) for way in WAYS_UP), outliers, turn(outliers)])
        none = torch.full((2 * len(outliers),), ways * config.classes)
        target = torch.cat([*(ways * classes + way for way in range(ways)), none])
        return F.cross_entropy(net(inputs.to(device())), target.to(device()))

    _train_beside_outliers("orienter", config.orienter_steps, 32, loss, images, labels, config, folder)


def _train_beside_outliers(
    stage: str, steps: int, batch: int, loss_of: Callable, images: Tensor, labels: Tensor, config: Config, folder: Path
) -> None:
    """AdamW in one cycle on loss_of(net, images, classes, pseudo-outliers, randomness), as many of these as of those."""
    torch.manual_seed(config.seed)
    net = build_net(stage, config).to(device(), memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)

    def step(i: int) -> dict:
        randomness = step_generator(config.seed, i)
        indices = batch_indices(len(images), batch, config.seed, i)
        good, classes = to_float(images[indices]), labels[indices]
        if config.augment:
            good, outliers = hard_digits(good, classes, randomness)
        else:
            outliers = spoilt_images(good, classes, randomness)
        loss = loss_of(net, good, classes, outliers, randomness)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return {"loss": loss.detach()}

    state = {"net": net, "optimizer": optimizer, "schedule": schedule}
    run(stage, steps, state, step, config, folder)
    save_net(net, folder / f"{stage}.safetensors")


def train_vae(images: Tensor, config: Config, folder: Path) -> None:
    """Adam on reconstruction + KL with a sampled latent; the learning rate falls to zero."""
    torch.manual_seed(config.seed)
    net = build_net("vae", config).to(device())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = linear_decay(optimizer, config.vae_steps)

    def step(i: int) -> dict:
        batch = to_float(images[batch_indices(len(images), 128, config.seed, i)]).to(device())
        noise = torch.randn(len(batch), config.vae_latent, generator=step_generator(config.seed, i))
        reconstruction, kl = (part.mean() for part in net.losses(batch, noise.to(device())))
        optimizer.zero_grad()
        (reconstruction + kl).backward()
        optimizer.step()
        schedule.step()
        return {"reconstruction": reconstruction.detach(), "kl": kl.detach()}

    run("vae", config.vae_steps, {"net": net, "optimizer": optimizer, "schedule": schedule}, step, config, folder)
    save_net(net, folder / "vae.safetensors")


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """E[(|grad C| - 1)^2] on points between real and generated images (Gulrajani et al. 2017, eq. 3)."""
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def train_wgan(images: Tensor, config: Config, folder: Path, batch: int = 64) -> None:
    """min over G, max over C of E[C(x)] - E[C(G(z))], with the gradient penalty. Saves G's average."""
    torch.manual_seed(config.seed)
    generator, critic = build_net("generator", config).to(device()), build_net("critic", config).to(device())
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    adams = [  # two time scales (Heusel et al. 2017): the critic learns faster
        torch.optim.Adam(net.parameters(), lr=lr, betas=(0.0, 0.9)) for net, lr in ((generator, 2e-4), (critic, 4e-4))
    ]
    schedules = [linear_decay(adam, config.wgan_steps) for adam in adams]

    def step(i: int) -> dict:
        randomness = step_generator(config.seed, i)
        for k in range(config.critic_steps):
            indices = batch_indices(len(images), batch, config.seed, i * config.critic_steps + k)
            real = to_float(images[indices]).to(device())
            latents = torch.randn(batch, config.latent, generator=randomness).to(device())
            with torch.no_grad():
                fake = generator(latents)
            mix = torch.rand(batch, 1, 1, 1, generator=randomness).to(device())
            scores = critic(torch.cat([real, fake]))
            distance = scores[:batch].mean() - scores[batch:].mean()
            penalty = gradient_penalty(critic, real, fake, mix)
            adams[1].zero_grad()
            (10 * penalty - distance).backward()
            adams[1].step()
        latents = torch.randn(batch, config.latent, generator=randomness).to(device())
        loss = -critic(generator(latents)).mean()
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        average.update_parameters(generator)
        for schedule in schedules:
            schedule.step()
        return {"distance": distance.detach(), "penalty": penalty.detach()}

    state = {"generator": generator, "critic": critic, "average": average}
    state |= {f"adam{i}": adam for i, adam in enumerate(adams)}
    state |= {f"schedule{i}": schedule for i, schedule in enumerate(schedules)}
    run("wgan", config.wgan_steps, state, step, config, folder)
    save_net(average.module, folder / "generator.safetensors")
    save_net(critic, folder / "critic.safetensors")


def disagreement(classifier: Callable[[Tensor], Tensor], images: Tensor, again: Tensor) -> Tensor:
    """Mean of KL(f(images) || f(again)) in nats, a gradient for `again` alone."""
    with torch.no_grad():
        wanted = classifier(images).log_softmax(1)
    read = classifier(again).log_softmax(1)
    return F.kl_div(read, wanted.to(read.device), log_target=True, reduction="batchmean")


class NotWorthwhile(Exception):
    """The caller's watch found that a stage will not come to anything; the text says what it saw."""


def train_inverter(
    images: Tensor,
    config: Config,
    folder: Path,
    batch: int = 64,
    classifier: Callable[[Tensor], Tensor] | None = None,
    watch: Callable[[nn.Module, nn.Module], None] | None = None,
) -> None:
    """min over I of E|G(I(x)) - x|^2 + lambda E|z - I(G(z))|^2 with G frozen (Zhao et al. 2018, eq. 2).

    With a differentiable `classifier`, images to logits, plus config.inverter_agreement * KL(f(x) || f(G(I(x)))): δz is 0
    wherever f reads G(I(x)) otherwise than x, and where that happens too often δz can refuse nothing. In the second descent half of the real images are augmented: by then what is left to learn is rare hands. After a third
    of the steps `watch` sees generator and inverter, and may raise NotWorthwhile.
    """
    torch.manual_seed(config.seed)
    generator = build_net("generator", config)
    generator.load_state_dict(load_file(folder / "generator.safetensors"))
    generator.to(device()).requires_grad_(False)
    inverter = build_net("inverter", config).to(device())
    weight = config.inverter_agreement if classifier else 0.0
    optimizer = torch.optim.Adam(inverter.parameters(), lr=1e-3)
    schedule = two_descents(optimizer, config.inverter_steps)

    def step(i: int) -> dict:
        randomness = step_generator(config.seed, i)
        real = to_float(images[batch_indices(len(images), batch, config.seed, i)])
        if config.augment and i >= first_descent(config.inverter_steps):
            real[::2] = augment(real[::2], randomness)
        real = real.to(device())
        latents = torch.randn(batch, config.latent, generator=randomness).to(device())
        found = inverter(torch.cat([real, generator(latents)]))
        again = generator(found[:batch])
        reconstruction = (again - real).flatten(1).square().sum(1).mean()
        divergence = (found[batch:] - latents).square().sum(1).mean()
        loss = reconstruction + config.inverter_lambda * divergence
        if weight:
            loss = loss + weight * disagreement(classifier, real, again)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if watch and i + 1 == config.inverter_steps // 3:
            watch(generator, inverter)
        return {"reconstruction": reconstruction.detach(), "divergence": divergence.detach()}

    state = {"inverter": inverter, "optimizer": optimizer, "schedule": schedule}
    run("inverter", config.inverter_steps, state, step, config, folder)
    save_net(inverter, folder / "inverter.safetensors")


def stages_of(config: Config) -> list[str]:
    """The stages of a world. Digits alone need the orienter: a shirt in a mirror is a shirt."""
    return [stage for stage in STAGES if config.augment or stage != "orienter"]


def train(dataset: str | Dataset, folder: Path, config: Config, stages: Sequence[str] = ()) -> None:
    """Train the stages, all of the world's unless some are named, in order into `folder` and record them in its manifest;
    finished stages are kept.

    `dataset` is the name of a known data set, or the user's own. Raises UnusableDataset when the folder holds a world
    of other images: its unfinished stages must not go on with these.
    """
    dataset = datasets.known(dataset) if isinstance(dataset, str) else dataset
    (images, labels), (test_images, _) = dataset.train, dataset.test
    folder.mkdir(parents=True, exist_ok=True)
    checksums = {"train": datasets.checksum(images), "test": datasets.checksum(test_images)}
    if (folder / "manifest.json").exists() and read_manifest(folder)["data_sha256"] != checksums:
        raise UnusableDataset(f"{folder} holds a world of other images: remove it, or write elsewhere with --out.")
    about = {"dataset": dataset.name, "subject": asdict(dataset.subject), "config": asdict(config)}
    write_manifest(folder, world(config) | about | {"data_sha256": checksums})
    trainers = {
        "lenet": lambda: train_lenet(images, labels, config, folder),
        "verifier": lambda: train_verifier(images, labels, config, folder),
        "orienter": lambda: train_orienter(images, labels, config, folder),
        "vae": lambda: train_vae(images, config, folder),
        "wgan": lambda: train_wgan(images, config, folder),
        "inverter": lambda: train_inverter(images, config, folder, classifier=trained_lenet(config, folder)),
    }
    for stage in stages or stages_of(config):
        trainers[stage]()
        write_manifest(folder, {"training_seconds": training_seconds(folder)})
    if set(training_seconds(folder)) == set(stages_of(config)):
        write_training_images(folder, images, labels)
        write_manifest(folder, {})


def trained_lenet(config: Config, folder: Path) -> nn.Module:
    """LeNet as an earlier stage left it, fixed."""
    net = build_net("lenet", config)
    net.load_state_dict(load_file(folder / "lenet.safetensors"))
    return net.to(device()).eval().requires_grad_(False)


def write_training_images(folder: Path, images: Tensor, labels: Tensor, total_bytes: int = 1_600_000) -> None:
    """The first training images of each class, equally many, for pages that show what an input is near to."""
    each = total_bytes // (images[0].numel() * len(labels.unique()))
    chosen = torch.cat([(labels == label).nonzero().squeeze(1)[:each] for label in labels.unique()])
    save_file({"images": images[chosen].contiguous(), "labels": labels[chosen]}, folder / TRAINING_IMAGES)


def training_seconds(folder: Path) -> dict[str, float]:
    """Seconds each finished stage took, over all its resumptions."""
    histories = {stage: folder / "history" / f"{stage}.json" for stage in STAGES}
    return {stage: json.loads(path.read_text())["seconds"] for stage, path in histories.items() if path.exists()}

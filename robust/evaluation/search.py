"""How near the true δz the searches come, and what they cost: on the same digits and nets, in one run.

"Best known" is the smallest δz that any search in the run found, the long run of ours among them.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from robust.data import datasets
from robust.evaluation.tables import Table
from robust.guard import Guard
from robust.metrics.search import SearchResult, nearest_counterexample
from robust.metrics.search.stochastic import hybrid_search, iterative_search

FILE = "benchmark_search.json"
OURS = "ours"
LONG_RUN = "ours, long run"
ALGORITHM_1 = "Algorithm 1 (Zhao et al.)"
ALGORITHM_2 = "Algorithm 2 (Zhao et al.)"


def latents_to_search(guard: Guard, images: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """I(x) and f(x) of the first `count` images uint8 (N, channels, size, size) with f(G(I(x))) = f(x): elsewhere δz is 0
    for every search."""
    classifier, nets = guard.classifier, guard.contents.nets
    images = datasets.to_float(images[: 2 * count + 50])
    with torch.inference_mode():
        labels, latents = classifier(images).argmax(1), nets["inverter"](images)
        agrees = (classifier(nets["generator"](latents)).argmax(1) == labels).nonzero().squeeze(1)[:count]
    return latents[agrees].clone(), labels[agrees].clone()


def foolbox_searches(composition: nn.Module) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Foolbox's minimum-norm L2 attacks on f∘G: each maps latents and labels to counterexamples."""
    try:
        import foolbox
    except ImportError:
        return {}
    model = foolbox.PyTorchModel(composition.eval(), bounds=(-20, 20), device="cpu")
    attacks = {
        "DDN (foolbox, 200 steps)": foolbox.attacks.DDNAttack(steps=200),
        "FMN (foolbox, 200 steps)": foolbox.attacks.L2FMNAttack(steps=200),
        "DeepFool (foolbox)": foolbox.attacks.L2DeepFoolAttack(steps=50),
    }
    return {
        name: lambda latents, labels, attack=attack: attack(model, latents, labels, epsilons=None)[0]
        for name, attack in attacks.items()
    }


class _Counted(nn.Module):
    """f∘G that counts the rows it evaluates, for libraries that do not."""

    def __init__(self, classifier, generator):
        super().__init__()
        self.classifier, self.generator, self.rows = classifier, generator, 0

    def forward(self, latents: Tensor) -> Tensor:
        self.rows += len(latents)
        return self.classifier(self.generator(latents))


def measure(guard: Guard, images: Tensor, count: int, hybrid: int, iterative: int) -> dict:
    """Run every search on `count` of the images uint8 (N, channels, size, size), Algorithm 2 on the first `hybrid` of them and Algorithm 1 on the first
    `iterative`. Ours is timed alone beside each digit of Algorithm 2, and in batches at the start and at the end (the
    faster counts): a machine that is slow for some minutes is slow for both sides of a ratio."""
    classifier, generator = guard.classifier, guard.contents.nets["generator"]
    latents, labels = latents_to_search(guard, images, count)
    rows: dict[str, dict] = {}

    def record(name: str, result: SearchResult, seconds: float, seconds_alone: float | None) -> None:
        rows[name] = {
            "delta_z": result.delta_z.tolist(),
            "evaluations": float(result.evaluations.double().mean()),
            "seconds": seconds / len(result.delta_z),
            "seconds_alone": seconds_alone,
        }

    def ours(digits: slice) -> tuple[SearchResult, float]:
        return timed(lambda: nearest_counterexample(classifier, generator, latents[digits], labels[digits]))

    ours(slice(8))  # warm up
    result, seconds = ours(slice(count))
    record(OURS, result, seconds, None)
    result, seconds = timed(lambda: long_run(classifier, generator, latents, labels))
    record(LONG_RUN, result, seconds, None)
    composition = _Counted(classifier, generator)
    for name, attack in foolbox_searches(composition).items():
        composition.rows = 0
        found, seconds = timed(lambda attack=attack: attack(latents, labels))
        record(name, verified(classifier, generator, latents, labels, found, composition.rows), seconds, None)
    for name, search, most in ((ALGORITHM_2, hybrid_search, hybrid), (ALGORITHM_1, iterative_search, iterative)):
        parts, times, ours_alone = [], [], []
        for i in tqdm(range(min(most, count)), desc=name):
            if name == ALGORITHM_2:
                ours(slice(i, i + 1))  # finds the caches cold
                ours_alone.append(ours(slice(i, i + 1))[1])
            part, took = timed(lambda i=i: search(classifier, generator, latents[i : i + 1], labels[i : i + 1]))
            parts.append(part)
            times.append(took)
        together = SearchResult(
            *(torch.cat([getattr(p, field) for p in parts]) for field in SearchResult.__dataclass_fields__)
        )
        record(name, together, sum(times), float(np.median(times)))
        if name == ALGORITHM_2:
            rows[OURS]["seconds_alone"] = float(np.median(ours_alone))
    rows[OURS]["seconds"] = min(rows[OURS]["seconds"], ours(slice(count))[1] / count)
    return {"digits": count, "latent": latents.shape[1], "threads": torch.get_num_threads(), "searches": rows}


def long_run(classifier, generator, latents: Tensor, labels: Tensor) -> SearchResult:
    """Ours without haste: all classes, many random starts, many steps."""
    return nearest_counterexample(classifier, generator, latents, labels, effort=8)


def verified(classifier, generator, latents, labels, found: Tensor, evaluations: int) -> SearchResult:
    """A library's counterexamples as a result: ∞ where the class did not change after all."""
    with torch.inference_mode():
        classes = classifier(generator(found)).argmax(1)
    distance = torch.where(classes != labels, (found - latents).norm(dim=1), torch.inf)
    each = torch.full((len(latents),), 2 * evaluations // len(latents))  # forward and backward
    return SearchResult(latents, found, distance, torch.where(classes != labels, classes, -1), each)


def timed(call: Callable) -> tuple:
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def table(measured: dict) -> Table:
    """The measurements as a table; ratios are to the best known δz of each digit."""
    searches = measured["searches"]
    count = measured["digits"]
    found = {name: padded(row["delta_z"], count) for name, row in searches.items()}
    best = np.nanmin(np.stack(list(found.values())), axis=0)
    header = [
        "search",
        "digits",
        "median",
        "95th pct.",
        "worst",
        "worse than ours",
        "evaluations",
        "s alone",
        "s in batches",
    ]
    rows = []
    for name, row in searches.items():
        ratio = (found[name] / best)[~np.isnan(found[name])]
        worse = np.mean((found[name] > 1.01 * found[OURS])[~np.isnan(found[name])])
        alone = f"{row['seconds_alone']:.4f}" if row["seconds_alone"] else ""
        batched = "" if name in (ALGORITHM_1, ALGORITHM_2) else f"{row['seconds']:.4f}"
        rows.append(
            [name, str(len(ratio)), f"{np.median(ratio):.3f}", f"{np.quantile(ratio, 0.95):.3f}", f"{ratio.max():.3f}"]
            + [f"{worse:.0%}", f"{row['evaluations']:,.0f}", alone, batched]
        )
    return Table(f"δz against the best known, {count} digits, {measured['latent']} latent dimensions", header, rows)


def padded(values: list[float], count: int) -> np.ndarray:
    return np.concatenate([values, np.full(count - len(values), np.nan)])


def summary(measured: dict) -> list[list[str]]:
    """The ratios that matter, as rows: what, figure, on how many digits."""
    searches = measured["searches"]
    ours, published = searches[OURS], searches[ALGORITHM_2]
    theirs = np.array(published["delta_z"])
    mine = np.array(ours["delta_z"][: len(theirs)])
    digits = f"{len(theirs)} digits"
    return [
        ["δz, ours / Algorithm 2, median", f"{np.median(mine / theirs):.3f}", digits],
        ["ours is larger", f"{(mine > theirs * 1.0001).sum()} times", digits],
        [
            "one image, faster than Algorithm 2",
            f"{published['seconds_alone'] / ours['seconds_alone']:.0f} times",
            digits,
        ],
        [
            "in batches, faster than alone",
            f"{ours['seconds_alone'] / ours['seconds']:.1f} times",
            f"{measured['threads']} threads",
        ],
    ]


def run(guard: Guard, images: Tensor, count: int, hybrid: int, iterative: int) -> dict:
    """Measure and write `benchmark_search.json` into the guard's folder."""
    measured = measure(guard, images, count, hybrid, iterative)
    (guard.contents.folder / FILE).write_text(json.dumps(measured, indent=1) + "\n")
    return measured

"""The measured figures of a guard next to the published ones, from the files in its folder."""

import json
from pathlib import Path

import numpy as np

from robust.data.image_sets import TITLES
from robust.decision.by_class import thresholds_by_class
from robust.decision.choices import choice_from_json, threshold_value
from robust.decision.promise import fpr_interval
from robust.decision.rule import ALL, ANY, Rule, rule_name
from robust.decision.thresholds import threshold_at_fpr
from robust.evaluation import detectors, search
from robust.evaluation.blind_spots import blind_spot
from robust.evaluation.tables import Table
from robust.metrics import registry
from robust.metrics.registry import Label
from robust.models.store import SCORES, checked, read_manifest, read_scores

INTERVAL = "of all good ones (95 %)"  # where the FPR lies of which so much was counted
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
UNASKED = (TITLES["fashion-mnist-scaled"], TITLES["noise"])  # sets that the summary leaves out


def published() -> dict:
    """The figures of the talk that this project reproduces."""
    return json.loads(Path(__file__).with_name("published.json").read_text())


def tables(folder: Path) -> list[Table]:
    """All tables of a guard. Raises DamagedWorld when its files are missing or damaged, and ValueError for a metric of the
    user's own whose module is not imported."""
    manifest = read_manifest(folder)
    scores = read_scores(checked(folder, SCORES, manifest))
    reference, plural = scores.pop(manifest["dataset"]), manifest["subject"].get("plural", "pictures")
    comparisons = {TITLES.get(name, name): columns for name, columns in scores.items()}
    metrics = registry.labels_of(manifest["metrics"])
    classifier = "LeNet" if "net" in manifest["classifier"] else "the classifier"
    # The talk is about MNIST: its figures stand beside that world only.
    talk = published() if manifest["dataset"] == "mnist" else None
    found = [
        *nets_tables(manifest, reference, talk),
        quartile_table(metrics, reference, comparisons, talk),
        confidence_table(comparisons, talk, classifier, plural),
        rule_table(metrics, reference, comparisons, talk),
        *self_test_tables(metrics, manifest, reference, comparisons),
        *blind_spot_tables(metrics, reference, comparisons),
        *example_tables(manifest, metrics, talk),
        *search_tables(folder),
        *detectors_tables(folder),
    ]
    return found if talk else [without_published(table) for table in found]


def summary(folder: Path) -> Table:
    """The table of the rules, with those comparison sets alone that the talk or people at the pad would ask for."""
    table = next(table for table in tables(folder) if table.title.startswith("Rules"))
    left_out = [i for i, cell in enumerate(table.header) if cell in ("thresholds", *map("FNR {}".format, UNASKED))]
    kept = [i for i in range(len(table.header)) if i not in left_out]
    return Table(table.title, [table.header[i] for i in kept], [[row[i] for i in kept] for row in table.rows])


def without_published(table: Table) -> Table:
    """Without the columns that only the talk fills."""
    kept = [i for i, cell in enumerate(table.header) if "published" not in cell]
    return Table(table.title, [table.header[i] for i in kept], [[row[i] for i in kept] for row in table.rows])


def search_tables(folder: Path) -> list[Table]:
    """The benchmark of the δz search, where it has been run on this world."""
    file = folder / search.FILE
    if not file.exists():
        return []
    measured = json.loads(file.read_text())
    return [search.table(measured), Table("In short", ["", "", ""], search.summary(measured))]


def detectors_tables(folder: Path) -> list[Table]:
    """The benchmark of the metrics, where it has been run on this world."""
    measured = detectors.read(folder)
    return detectors.tables(measured) if measured else []


def nets_tables(manifest: dict, reference: dict, talk: dict | None) -> list[Table]:
    """What training and calibrating a world measured; none for a guard that `Guard.fit` made."""
    if "figures" not in manifest:
        return []
    seconds = manifest.get("training_seconds", {})
    rows = [
        [
            "LeNet's accuracy on the test set",
            f"{manifest['figures']['accuracy']:.2%}",
            f"{talk['accuracy']:.0%}" if talk else "",
        ],
        ["agreement f(G(I(x))) = f(x) on the test set, I(x) refined", f"{reference['agrees'].mean():.2%}", ""],
        ["training, minutes", " + ".join(f"{name} {s / 60:.0f}" for name, s in seconds.items()), ""],
        ["calibration, minutes", f"{manifest['figures']['calibration_seconds'] / 60:.1f}", ""],
    ]
    return [Table("Nets", ["", "ours", "published"], rows)]


def quartiles(values: np.ndarray) -> list[float]:
    low, first, median, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return [low, first, median, values.mean(), third, high]


def quartile_table(metrics: dict[str, Label], reference: dict, comparisons: dict, talk: dict | None) -> Table:
    """Quartiles, over the images that δz reaches; δz² over the correctly read ones, as published."""
    header = ["metric", "on", "min", "1st qu.", "median", "mean", "3rd qu.", "max", "5th pct.", "95th pct."]

    def row(metric: str, name: str, values: np.ndarray, digits: int) -> list[str]:
        values = values[np.isfinite(values)]
        edges = np.quantile(values, [0.05, 0.95])
        return [metric, name] + [f"{value:.{digits}f}" for value in [*quartiles(values), *edges]]

    rows = []
    if talk:
        correct = reference["prediction"] == reference["label"]
        rows.append(["δz²", "published: 500 test images"] + [f"{v:.4f}" for v in talk["delta_z_squared"]] + [f"{talk['delta_z_squared_5th_percentile']:.3f}", ""])  # fmt: skip
        rows.append(row("δz²", "test images read correctly", reference["delta_z"][correct] ** 2, 4))
    for metric, label in metrics.items():
        if talk and metric == "vae_loss":
            said = [f"{v:.2f}" for v in talk["vae_loss"]]
            rows.append(["VAE loss", "published: 10,000 test images", *said, "", ""])
        for name, columns in {"test images": reference, **comparisons}.items():
            rows.append(row(label.title, name, columns[metric], label.digits + 1))
    return Table("Distributions", header, rows)


def self_test_tables(metrics: dict[str, Label], manifest: dict, reference: dict, comparisons: dict) -> list[Table]:
    """What the guard's own thresholds accept of every comparison set, by metric and by its rule."""
    sides = {name: label.refuses for name, label in metrics.items()}
    chosen = {name: choice_from_json(choice) for name, choice in manifest["thresholds"].items()}
    values = {name: threshold_value(chosen[name], reference[name], side) for name, side in sides.items()}
    promised = chosen if manifest.get("by_class") else {}
    classes = thresholds_by_class(promised, reference, sides)
    rule = Rule(values, sides, rule_name(manifest["rule"], list(sides)), classes)
    rows = []
    for name, columns in {"test images": reference, **comparisons}.items():
        shares = [float((~mask).mean()) for mask in rule.refusals(columns).values()]
        rows.append([name, *(f"{share:.1%}" for share in [*shares, float((~rule.refused(columns)).mean())])])
    header = ["accepted of", *(label.title for label in metrics.values()), f"the rule ({rule.decides})"]
    mask = rule.refused(reference)
    low, high = fpr_interval(int(mask.sum()), len(mask))
    title = f"Self-test, at the guard's own thresholds: FPR {mask.mean():.2%}, {low:.2%} to {high:.2%} {INTERVAL}"
    return [Table(title, header, rows)]


def confidence_table(comparisons: dict, talk: dict | None, classifier: str, plural: str) -> Table:
    rows = []
    for name, columns in comparisons.items():
        shares = [f"{(columns['probability'] > level).mean():.1%}" for level in (0.99, 0.95, 0.75)]
        said = talk["fashion_confidence"].values() if talk and name == TITLES["fashion-mnist"] else []
        rows.append([name, *shares, *[f"{share:.1%}" for share in said]] + [""] * (3 - len(said)))
    levels = ["> 0.99", "> 0.95", "> 0.75"]
    header = [f"{classifier}'s probability", *levels, *[f"published {level}" for level in levels]]
    return Table(f"How sure {classifier} is of images that are not {plural}", header, rows)


def operating_points(metrics: dict[str, Label], reference: dict) -> list[tuple[str, Rule]]:
    """Each metric at 5 % of its own, the VAE loss at its maximum, too, as published; any and all of them at 5 %; with what
    they are called."""
    sides = {name: label.refuses for name, label in metrics.items()}
    five = {name: threshold_at_fpr(reference[name], 0.05, side) for name, side in sides.items()}
    points = []
    for name, side in sides.items():
        if name == "vae_loss":
            maximum = five | {name: threshold_at_fpr(reference[name], 0.0, side)}
            points.append((f"{name} above its maximum", Rule(maximum, sides, name)))
        word = "above its 95th" if side == "high" else "below its 5th"
        points.append((f"{name} {word} percentile", Rule(five, sides, name)))
    if len(metrics) > 1:
        points.append((f"any of the {NUMBERS.get(len(metrics), len(metrics))} at 5 %", Rule(five, sides, ANY)))
        points.append(("all of them at 5 %", Rule(five, sides, ALL)))
    return points


def rule_table(metrics: dict[str, Label], reference: dict, comparisons: dict, talk: dict | None) -> Table:
    header = [
        "refused when",
        "thresholds",
        "FPR",
        INTERVAL,
        *[f"FNR {name}" for name in comparisons],
        "published FPR",
        "published FNR",
    ]
    rows = []
    for title, rule in operating_points(metrics, reference):
        mask = rule.refused(reference)
        low, high = fpr_interval(int(mask.sum()), len(mask))
        fnr = [1 - rule.refused(columns).mean() for columns in comparisons.values()]
        said = talk["rules"].get(title) if talk else None
        rows.append(
            [
                title,
                ", ".join(f"{rule.thresholds[name]:.3f}" for name in rule.metrics),
                f"{mask.mean():.2%}",
                f"{low:.2%} to {high:.2%}",
                *[f"{rate:.2%}" for rate in fnr],
            ]
            + ([f"{said['fpr']:.2%}", f"{said['fnr']:.2%}"] if said else ["", ""])
        )
    return Table("Rules: FPR = test images refused, FNR = comparison images accepted", header, rows)


def blind_spot_tables(metrics: dict[str, Label], reference: dict, comparisons: dict) -> list[Table]:
    """The sets that the VAE explains better than its own test set, where there are any (Nalisnick et al. 2019)."""
    at_five = operating_points(metrics, reference)[-1][1]
    rows = []
    for name, columns in comparisons.items():
        if found := blind_spot(reference, columns, at_five):
            shares = [f"{share:.2%}" for share in found.accepted.values()]
            rows.append([name, f"{found.median:.1f}", f"{found.reference_median:.1f}", *shares])
    header = ["set", "median VAE loss", "of the test images", *[f"accepted by {name} at 5 %" for name in metrics]]
    return [Table("Sets that the VAE explains better than its own test images", header, rows)] if rows else []


def example_tables(manifest: dict, metrics: dict[str, Label], talk: dict | None) -> list[Table]:
    """The pictures of the talk; none for a guard that `Guard.fit` made."""
    if "figures" not in manifest:
        return []
    subject = manifest["subject"]
    header = ["picture", "LeNet says", "δz", "δz² published", "VAE loss", "published", "verdict"]
    rows = []
    for name, found in manifest["figures"]["examples"].items():
        said = talk["examples"].get(name, {}) if talk else {}
        delta_z = "∞" if found["delta_z"] is None else f"{found['delta_z']:.4f}"
        verdict = ", ".join(
            f"{label.title} {'accepts' if found[f'{metric}_reliable'] else 'refuses'}"
            for metric, label in metrics.items()
        )
        rows.append(
            [name, f"{subject['classes'][found['prediction']]} ({found['probability']:.2f})", delta_z]
            + [f"{said['delta_z_squared']:.1e}" if said else "", f"{found['vae_loss']:.1f}"]
            + [f"{said['vae_loss']:.1f}" if said else "", verdict]
        )
    return [Table(f"Not {subject['plural']}, at the default thresholds", header, rows)]

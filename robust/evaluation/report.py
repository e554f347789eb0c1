"""The measured figures of a world next to the published ones, from the files in its folder."""

import json
from pathlib import Path

import numpy as np

from robust.data.image_sets import TITLES
from robust.data.subjects import Subject, subject_of
from robust.decision.rule import ALL, ANY, Rule
from robust.decision.thresholds import Side, threshold_at_fpr
from robust.evaluation import detectors, search
from robust.evaluation.blind_spots import blind_spot
from robust.evaluation.tables import Table
from robust.metrics import DeltaZ, Surprise, VAELoss
from robust.models.world import SCORES, checked, read_manifest, read_scores

UNASKED = (TITLES["fashion-mnist-scaled"], TITLES["noise"])  # sets that the summary leaves out
SIDES: dict[str, Side] = {metric.name: metric.refuses for metric in (DeltaZ, VAELoss, Surprise)}


def published() -> dict:
    """The figures of the talk that this project reproduces."""
    return json.loads(Path(__file__).with_name("published.json").read_text())


def tables(folder: Path) -> list[Table]:
    """All tables of a world. Raises DamagedWorld when its files are missing or damaged."""
    manifest = read_manifest(folder)
    scores = read_scores(checked(folder, SCORES, manifest))
    reference, subject = scores[manifest["dataset"]], subject_of(manifest)
    comparisons = {TITLES[name]: columns for name, columns in scores.items() if name != manifest["dataset"]}
    # The talk is about MNIST: its figures stand beside that world only.
    talk = published() if manifest["dataset"] == "mnist" else None
    found = [
        nets_table(manifest, reference, talk),
        quartile_table(reference, comparisons, talk),
        confidence_table(comparisons, talk, subject),
        rule_table(reference, comparisons, talk),
        *blind_spot_tables(reference, comparisons),
        example_table(manifest["figures"]["examples"], talk, subject),
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


def nets_table(manifest: dict, reference: dict, talk: dict | None) -> Table:
    seconds = manifest.get("training_seconds", {})
    rows = [
        [
            "LeNet's accuracy on the test set",
            f"{manifest['figures']['accuracy']:.2%}",
            f"{talk['accuracy']:.0%}" if talk else "",
        ],
        ["agreement f(G(I(x))) = f(x) on the test set", f"{reference['agrees'].mean():.2%}", ""],
        ["training, minutes", " + ".join(f"{name} {s / 60:.0f}" for name, s in seconds.items()), ""],
        ["calibration, minutes", f"{manifest['figures']['calibration_seconds'] / 60:.1f}", ""],
    ]
    return Table("Nets", ["", "ours", "published"], rows)


def quartiles(values: np.ndarray) -> list[float]:
    low, first, median, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return [low, first, median, values.mean(), third, high]


def quartile_table(reference: dict, comparisons: dict, talk: dict | None) -> Table:
    """Quartiles, over the images that δz reaches; δz² over the correctly read ones, as published."""
    header = ["metric", "on", "min", "1st qu.", "median", "mean", "3rd qu.", "max", "5th pct.", "95th pct."]

    def row(metric: str, name: str, values: np.ndarray, digits: int) -> list[str]:
        values = values[np.isfinite(values)]
        edges = np.quantile(values, [0.05, 0.95])
        return [metric, name] + [f"{value:.{digits}f}" for value in [*quartiles(values), *edges]]

    correct = reference["prediction"] == reference["label"]
    rows = []
    if talk:
        rows.append(["δz²", "published: 500 test images"] + [f"{v:.4f}" for v in talk["delta_z_squared"]] + [f"{talk['delta_z_squared_5th_percentile']:.3f}", ""])  # fmt: skip
        rows.append(row("δz²", "test images read correctly", reference["delta_z"][correct] ** 2, 4))
    rows.append(row("δz", "test images", reference["delta_z"], 4))
    rows += [row("δz", name, columns["delta_z"], 4) for name, columns in comparisons.items()]
    if talk:
        rows.append(["VAE loss", "published: 10,000 test images"] + [f"{v:.2f}" for v in talk["vae_loss"]] + ["", ""])
    rows.append(row("VAE loss", "test images", reference["vae_loss"], 2))
    rows += [row("VAE loss", name, columns["vae_loss"], 2) for name, columns in comparisons.items()]
    return Table("Distributions", header, rows)


def confidence_table(comparisons: dict, talk: dict | None, subject: Subject) -> Table:
    rows = []
    for name, columns in comparisons.items():
        shares = [f"{(columns['probability'] > level).mean():.1%}" for level in (0.99, 0.95, 0.75)]
        said = talk["fashion_confidence"].values() if talk and name == TITLES["fashion-mnist"] else []
        rows.append([name, *shares, *[f"{share:.1%}" for share in said]] + [""] * (3 - len(said)))
    levels = ["> 0.99", "> 0.95", "> 0.75"]
    header = ["LeNet's probability", *levels, *[f"published {level}" for level in levels]]
    return Table(f"How sure LeNet is of images that are not {subject.plural}", header, rows)


def operating_points(reference: dict) -> list[tuple[str, Rule]]:
    """The published operating points, and each rule at 5 % for each metric, with what they are called."""
    five = {name: threshold_at_fpr(reference[name], 0.05, side) for name, side in SIDES.items()}
    maximum = {**five, "vae_loss": threshold_at_fpr(reference["vae_loss"], 0.0, "high")}
    points = [
        ("delta_z below its 5th percentile", "delta_z", five),
        ("vae_loss above its maximum", "vae_loss", maximum),
        ("vae_loss above its 95th percentile", "vae_loss", five),
        ("surprise above its 95th percentile", "surprise", five),
        ("any of the three at 5 %", ANY, five),
        ("all of them at 5 %", ALL, five),
    ]
    return [(title, Rule(thresholds, SIDES, decides)) for title, decides, thresholds in points]


def rule_table(reference: dict, comparisons: dict, talk: dict | None) -> Table:
    header = [
        "refused when",
        "thresholds",
        "FPR",
        *[f"FNR {name}" for name in comparisons],
        "published FPR",
        "published FNR",
    ]
    rows = []
    for title, rule in operating_points(reference):
        fpr = rule.refused(reference).mean()
        fnr = [1 - rule.refused(columns).mean() for columns in comparisons.values()]
        said = talk["rules"].get(title) if talk else None
        rows.append(
            [
                title,
                ", ".join(f"{rule.thresholds[name]:.3f}" for name in rule.metrics),
                f"{fpr:.2%}",
                *[f"{rate:.2%}" for rate in fnr],
            ]
            + ([f"{said['fpr']:.2%}", f"{said['fnr']:.2%}"] if said else ["", ""])
        )
    return Table("Rules: FPR = test images refused, FNR = comparison images accepted", header, rows)


def blind_spot_tables(reference: dict, comparisons: dict) -> list[Table]:
    """The sets that the VAE explains better than its own test set, where there are any (Nalisnick et al. 2019)."""
    at_five = Rule({name: threshold_at_fpr(reference[name], 0.05, side) for name, side in SIDES.items()}, SIDES, ANY)
    rows = []
    for name, columns in comparisons.items():
        if found := blind_spot(reference, columns, at_five):
            shares = [f"{share:.2%}" for share in found.accepted.values()]
            rows.append([name, f"{found.median:.1f}", f"{found.reference_median:.1f}", *shares])
    header = ["set", "median VAE loss", "of the test images", *[f"accepted by {name} at 5 %" for name in SIDES]]
    return [Table("Sets that the VAE explains better than its own test images", header, rows)] if rows else []


def example_table(examples: dict, talk: dict | None, subject: Subject) -> Table:
    header = ["picture", "LeNet says", "δz", "δz² published", "VAE loss", "published", "verdict"]
    rows = []
    for name, found in examples.items():
        said = talk["examples"].get(name, {}) if talk else {}
        delta_z = "∞" if found["delta_z"] is None else f"{found['delta_z']:.4f}"
        verdict = ", ".join(
            f"{title} {'accepts' if found[key] else 'refuses'}"
            for title, key in (("δz", "delta_z_reliable"), ("VAE loss", "vae_loss_reliable"), ("Surprise", "reliable"))
        )
        rows.append(
            [name, f"{subject.classes[found['prediction']]} ({found['probability']:.2f})", delta_z]
            + [f"{said['delta_z_squared']:.1e}" if said else "", f"{found['vae_loss']:.1f}"]
            + [f"{said['vae_loss']:.1f}" if said else "", verdict]
        )
    return Table(f"Not {subject.plural}, at the default thresholds", header, rows)

"""The card of a guard: `README.md` in its folder, in the shape that the Hugging Face hub knows."""

from pathlib import Path

from robust.data.image_sets import TITLES
from robust.evaluation.detectors import PICTURES
from robust.evaluation.report import tables
from robust.evaluation.tables import as_markdown
from robust.metrics import registry
from robust.models.store import checked, read_manifest

FILE = "README.md"
LICENCES = {"mnist": "CC BY-SA 3.0", "fashion-mnist": "MIT"}  # of the images
OF_PICTURES = (
    "`slipped/` shows pictures that metrics get wrong, prepared as the net sees them: of the MNIST database and changes of it "
    "(CC BY-SA 3.0), Fashion-MNIST (© Zalando SE, MIT), Omniglot (© Lake, MIT), Pen-Based Recognition of Handwritten Digits "
    "(Alpaydin & Alimoglu, UCI, CC BY 4.0), and letters of the Noto fonts (© Google, OFL 1.1)."
)
KEPT = ("critic", "fingerprint", "scores", "training_images")  # files that no answer needs


def model_card(folder: Path) -> str:
    """The card as Markdown. Raises DamagedWorld when files of the guard are missing or damaged."""
    manifest = read_manifest(folder)
    config, plural = manifest["config"], manifest["subject"].get("plural", "pictures")
    files = [name for name in manifest["sha256"] if not name.startswith(KEPT)]
    sizes = {name: checked(folder, name, manifest).stat().st_size / 1e6 for name in files}
    ships = "net" in manifest["classifier"]
    data_set = f"datasets:\n- {manifest['dataset']}\n" if ships else ""
    words = _of_a_world(folder, manifest, plural) if ships else _of_a_fitted_guard(folder)
    return f"""---
license: mit
library_name: robust
pipeline_tag: image-classification
tags:
- out-of-distribution-detection
{data_set}---

# {words["title"]}

{words["what"]} Written by
`python -m robust report --card` from the files in this folder.

```python
{words["code"]}
report = guard.inspect("photo.jpg")  # report.prediction, report.reliable, report.verdicts
```

## What is in it

| file | MB |
| --- | --- |
{chr(10).join(f"| {name} | {size:.1f} |" for name, size in sizes.items())}

Images of {config["channels"]} × {config["size"]} × {config["size"]} values from 0 to 1, {config["classes"]} classes:
{", ".join(manifest["subject"]["classes"])}. Trained with seed {config["seed"]}; `manifest.json` holds the configuration, and
the SHA-256 of every file.

{chr(10).join(f"- **{title}**: {about}" for title, about in _metrics(manifest))}

## Intended use

{words["use"]} A
threshold is a choice of how many good {plural} may be refused: take it from images of your own (`calibrate`).

## Limits

- It was calibrated on {words["calibrated"]}. On {plural} from elsewhere it refuses more.
- What looks like one of the {plural} is accepted, whatever it is; the tables below say how often.
- An attacker who knows the nets can fool classifier and metrics together. This is no protection from attacks.

## Data

{words["data"]}

## Figures

{as_markdown(tables(folder))}
"""


def _of_a_world(folder: Path, manifest: dict, plural: str) -> dict[str, str]:
    title = TITLES.get(manifest["dataset"], manifest["dataset"])
    licence = LICENCES.get(manifest["dataset"], "your own images")
    pictures = f" {OF_PICTURES}" if (folder / PICTURES).is_dir() else ""
    return {
        "title": f"LeNet on {title}, guarded",
        "what": f"A classifier of {plural}, and the nets that say when its answer is not to be trusted.",
        "code": f'from robust import Guard\n\nguard = Guard.load("{folder.name}")',
        "use": "To show on a stage, and to teach, what a refusal costs and what it prevents; and as a worked example of a guard.",
        "calibrated": f"the test set of {title}",
        "data": f"{title}, its training set for the nets, its test set for the thresholds ({licence}).{pictures}",
    }


def _of_a_fitted_guard(folder: Path) -> dict[str, str]:
    return {
        "title": f"{folder.name}: a guard",
        "what": "What says when the answer of a classifier is not to be trusted. The classifier itself is not in it.",
        "code": f'from robust import Guard\n\nguard = Guard.load("{folder.name}", classifier=your_classifier)',
        "use": "To answer or to refuse, beside the classifier that it was fitted to.",
        "calibrated": "the test images that its owner gave",
        "data": "Its owner's training images for the nets, test images for the thresholds. 16 test images are in it.",
    }


def write_model_card(folder: Path) -> Path:
    """Write the card into the guard's folder. Returns its path."""
    path = folder / FILE
    path.write_text(model_card(folder))
    return path


def _metrics(manifest: dict) -> list[tuple[str, str]]:
    """Title and first paragraph of the docstring, on one line, of each metric and of those that it joins."""
    every = [
        m for saved in manifest["metrics"] for m in (saved, *({"kind": k} for k in saved["options"].get("of", ())))
    ]
    found = {}
    for metric in every:
        kind = registry.metric_class(metric["kind"])
        title = kind.called(**metric.get("options", {}))[1]
        found[title] = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return list(found.items())

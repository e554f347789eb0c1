"""The card of a world: `README.md` in its folder, in the shape that the Hugging Face hub knows."""

from pathlib import Path

from robust.data.image_sets import TITLES
from robust.data.subjects import subject_of
from robust.evaluation.report import tables
from robust.evaluation.tables import as_markdown
from robust.metrics import DeltaZ, Evidence, Surprise, VAELoss
from robust.models.world import checked, read_manifest

FILE = "README.md"
LICENCES = {"mnist": "CC BY-SA 3.0", "fashion-mnist": "MIT"}  # of the images
METRICS = (DeltaZ, VAELoss, Evidence, Surprise)


def model_card(folder: Path) -> str:
    """The card as Markdown. Raises DamagedWorld when files of the world are missing or damaged."""
    manifest = read_manifest(folder)
    subject, config = subject_of(manifest), manifest["config"]
    title = TITLES.get(manifest["dataset"], manifest["dataset"])
    nets = ("lenet", "verifier", "vae", "generator", "inverter")
    sizes = {name: checked(folder, f"{name}.safetensors", manifest).stat().st_size / 1e6 for name in nets}
    metrics = "\n".join(f"- **{metric.title}**: {_first_sentences(metric)}" for metric in METRICS)
    return f"""---
license: mit
library_name: robust
pipeline_tag: image-classification
tags:
- out-of-distribution-detection
datasets:
- {manifest["dataset"]}
---

# LeNet on {title}, guarded

A classifier of {subject.plural}, and the nets that say when its answer is not to be trusted. Written by
`python -m robust report --card` from the files in this folder.

```python
from robust import Guard

guard = Guard.load("{folder.name}")
report = guard.inspect("photo.jpg")  # report.prediction, report.reliable, report.verdicts
```

## What is in it

| net | MB |
| --- | --- |
{chr(10).join(f"| {name} | {size:.1f} |" for name, size in sizes.items())}

Images of {config["channels"]} × {config["size"]} × {config["size"]} values from 0 to 1, {config["classes"]} classes:
{", ".join(subject.classes)}. Trained with seed {config["seed"]}; `manifest.json` holds the configuration, and the SHA-256
of every file and of the training data.

{metrics}

## Intended use

To show on a stage, and to teach, what a refusal costs and what it prevents; and as a worked example of a guard. A
threshold is a choice of how many good {subject.plural} may be refused: take it from images of your own (`calibrate`).

## Limits

- It was calibrated on the test set of {title}. On {subject.plural} from elsewhere it refuses more.
- What looks like one of the {subject.plural} is accepted, whatever it is; the tables below say how often.
- An attacker who knows the nets can fool classifier and metrics together. This is no protection from attacks.

## Data

{title}, its training set for the nets, its test set for the thresholds ({LICENCES.get(manifest["dataset"], "your own images")}).

## Figures

{as_markdown(tables(folder))}
"""


def write_model_card(folder: Path) -> Path:
    """Write the card into the world's folder. Returns its path."""
    path = folder / FILE
    path.write_text(model_card(folder))
    return path


def _first_sentences(metric: type) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return " ".join(metric.__doc__.split("\n\n")[0].split())

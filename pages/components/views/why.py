"""Why a picture was accepted or refused: one card for each metric, with the picture that shows what it saw."""

import html
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from pages.components.session.session import chosen_world, classifier_name, default_guard, judge, remembered
from pages.components.style.style import as_data_url
from pages.components.views.pictures import as_picture, heat, name_of
from pages.components.widgets.live import times
from robust import Report
from robust.metrics.explain import Neighbours, VAEParts, Walk, nearest_training_images, vae_parts, walk


@dataclass(frozen=True)
class Explanation:
    """What the metrics did with one picture; None for a metric that the guard lacks.

    `tails`: the share of good inputs that look as bad to each part of Surprise.
    """

    walk: Walk | None
    vae: VAEParts | None
    neighbours: Neighbours | None
    tails: dict[str, float]


def explain(picture: bytes) -> Explanation:
    """Look closer at a picture that was judged. Costs about as much as judging it."""
    return _explain(chosen_world(), picture)


@remembered
def _explain(world: str, picture: bytes) -> Explanation:
    report, guard = judge(picture)[1], default_guard()
    metrics, tails = guard.metrics, {}
    if surprise := metrics.get("surprise"):
        scores = surprise.part_scores(report.pixels.unsqueeze(0), torch.tensor([report.prediction]))
        tails = {name: float(p[0]) for name, p in surprise.tail_probabilities(scores).items()}
    return Explanation(
        walk(metrics["delta_z"], report.pixels, report.prediction, steps=1, beyond=0) if "delta_z" in metrics else None,
        vae_parts(metrics["vae_loss"].vae, report.pixels) if "vae_loss" in metrics else None,
        nearest_training_images(guard.contents.training, report.pixels) if guard.contents.training else None,
        tails,
    )


def show_why(picture: bytes, report: Report, names: list[str], title: str) -> None:
    """One card for each of these metrics. `report` is the judgement of `picture` at the visitor's thresholds."""
    found = explain(picture)
    sayings = {"delta_z": delta_z_card, "vae_loss": vae_loss_card, "surprise": surprise_card}
    cards = "".join(
        card(report, name, *sayings[name](found, report))
        if name in sayings
        else card(report, name, f"The score is {compared(report, name)}.", [])
        for name in names
    )
    st.html(f"<h2 class='why-title'>{title}</h2><div class='whys'>{cards}</div>")


def card(report: Report, name: str, sentence: str, figures: list[str]) -> str:
    verdict = report.verdicts[name]
    kind, title = "reliable" if verdict.reliable else "unreliable", html.escape(verdict.title, quote=True)
    words = {True: f"✓ {title} accepts", False: f"⊘ {title} refuses"}
    return (
        f"<div class='why-card' data-why='{name}'><h3 class='{kind}' data-live-verdict='{name}' "
        f"data-reliable='{words[True]}' data-unreliable='{words[False]}'>{words[verdict.reliable]}</h3>"
        f"<p>{sentence}</p><div class='row'>{''.join(figures)}</div></div>"
    )


def figure(picture, caption: str) -> str:
    return f"<figure><img src='{as_data_url(picture)}' alt=''><figcaption>{caption}</figcaption></figure>"


def compared(report: Report, name: str) -> str:
    """The score, and how it stands to the threshold."""
    verdict, digits = report.verdicts[name], default_guard().metrics[name].digits
    return (
        f"<b>{verdict.score:.{digits}f}</b><span data-live='times {name}'>{times(verdict.score, verdict.threshold)}</span> "
        f"the threshold of <span data-live='threshold {name}'>{verdict.threshold:.{digits}f}</span>"
    )


def delta_z_card(found: Explanation, report: Report) -> tuple[str, list[str]]:
    way, claimed, again = found.walk, name_of(report.prediction), name_of(found.walk.classes[0])
    figures = [
        figure(as_picture(report.pixels), f"the picture<br>{classifier_name(first=True)}: <b>{claimed}</b>"),
        figure(as_picture(way.images[0]), f"drawn again<br>{classifier_name(first=True)}: <b>{again}</b>"),
    ]
    if way.flip is None:
        return f"However the generator changes it, it stays {claimed}: no other class is within reach.", figures
    if way.delta_z == 0:
        sentence = f"Drawn again by the generator it is already read as {again}, not {claimed}:"
        return f"{sentence} the walk to another class has length <b>0</b>.", figures
    figures.append(
        figure(
            as_picture(way.images[way.flip]),
            f"end of the walk<br>{classifier_name(first=True)}: <b>{name_of(way.reached)}</b>",
        )
    )
    return (
        f"The walk until {classifier_name()} reads {name_of(way.reached)} has length {compared(report, 'delta_z')}.",
        figures,
    )


def vae_loss_card(found: Explanation, report: Report) -> tuple[str, list[str]]:
    sentence = (
        f"Drawn from memory by the VAE it costs {compared(report, 'vae_loss')}. "
        "The brighter a pixel on the right, the less the VAE expected it."
    )
    return sentence, [
        figure(as_picture(report.pixels), "the picture"),
        figure(as_picture(found.vae.reconstruction), "from memory"),
        figure(heat(found.vae.loss_map), "cost of each pixel"),
    ]


def surprise_card(found: Explanation, report: Report) -> tuple[str, list[str]]:
    words = {
        "vae_loss": "look as bad to the VAE",
        "excess_loss": "look as bad to the VAE",
        "evidence": "to the verifier, a net that can say no",
        "orientation": "look as turned to the orienter, a net that knows which way is up",
        "energy": f"make {classifier_name()} speak no louder",
        "confidence": f"make {classifier_name()} no surer",
        "knn": "lie as far from the training images, as the classifier sees them",
        "early_layers": "stir its early layers as oddly",
        "late_layers": "stir its late layers as oddly",
        "exposure": "are as odd in brightness, contrast or sharpness",
    }
    parts = [f"{share(tail)} {words.get(name, f'look as bad to {name}')}" for name, tail in found.tails.items()]
    told = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
    sentence = f"Of the test images, {told}. Together: {compared(report, 'surprise')}."
    if found.neighbours is None:
        return sentence, []
    neighbours = found.neighbours
    return sentence, [
        figure(as_picture(image), f"{'nearest training image' if rank == 0 else 'next'}: <b>{name_of(int(label))}</b>")
        for rank, (image, label) in enumerate(zip(neighbours.images[:3], neighbours.labels))
    ]


def share(tail: float) -> str:
    """A tail probability in words; the smallest that the reference set can tell apart means none."""
    smallest = 1 / (len(default_guard().reference["surprise"]) + 1)
    return "none" if np.isclose(tail, smallest) else f"{tail:.1%}" if tail >= 0.001 else f"{tail:.2%}"

"""The verdict on one picture: the claim, legible from the back row, the rule's word, and why in a sentence or two."""

import html

import numpy as np
import streamlit as st

from pages.components.session.session import Settings, classifier_name, default_guard, words_for_html
from pages.components.views.pictures import claim
from robust import Report
from robust.decision.rule import ALL
from robust.decision.thresholds import outlier_scores


def verdict_card(report: Report, settings: Settings) -> str:
    """HTML; the word and the reason follow a dragged line."""
    kind = "reliable" if report.reliable else "unreliable"
    why = [says(report), oddness(report, settings), f"<span data-live='reason'>{html.escape(reason(report))}</span>"]
    return (
        f"<div class='verdict {kind}' data-live-verdict='rule' role='status' aria-live='polite'>{claim(report)}<div>"
        "<div class='word' data-live-verdict='rule' data-reliable='✓ reliable' data-unreliable='⊘ not reliable'>"
        f"{'✓ reliable' if report.reliable else '⊘ not reliable'}</div>"
        + "".join(f"<div class='why'>{sentence}</div>" for sentence in why)
        + "</div></div>"
    )


def waiting_card(message: str) -> str:
    """HTML: no verdict yet, and what to do; or why there is none."""
    return (
        "<div class='verdict waiting' role='status' aria-live='polite'><div class='digit'>?</div>"
        f"<div class='word'>{html.escape(message)}</div></div>"
    )


def says(report: Report) -> str:
    """HTML: what the classifier claims, and how sure it is."""
    name = html.escape(report.class_name)
    return f"{classifier_name(first=True)} says {name}, and is <b>{sure(report.probability)}</b> sure."


def sure(probability: float) -> str:
    return "100%" if probability > 0.9995 else f"{probability:.1%}" if probability > 0.99 else f"{probability:.0%}"


def reason(report: Report) -> str:
    """Why the rule accepts or refuses, without its first word, which the card says larger."""
    word, _, why = report.reason.partition(": ")
    if word == "reliable":
        return "No metric of the rule refuses."
    return f"{why[0].upper()}{why[1:]}." if why else f"{word}."


def oddness(report: Report, settings: Settings) -> str:
    """HTML: how many good pictures look as odd, by the metric that decides."""
    guard, tails = default_guard(), {}
    for name in settings.rule.metrics:
        reference = outlier_scores(guard.reference[name], guard.metrics[name].refuses)
        score = outlier_scores(np.array([report.verdicts[name].score]), guard.metrics[name].refuses)[0]
        tails[name] = int((reference >= score).sum())
    as_odd = max(tails.values()) if settings.rule.decides == ALL else min(tails.values())
    total = len(guard.reference[settings.rule.metrics[0]])
    count = f"{as_odd:,}" if as_odd else "not one"
    return (
        f"Of {total:,} real {words_for_html().plural}, <b>{count}</b> look{'s' if as_odd < 2 else ''} as odd as this."
    )


def show_verdict(report: Report | None, settings: Settings, message: str = "") -> None:
    """The card of a report, or of why there is none."""
    st.html(verdict_card(report, settings) if report else waiting_card(message))

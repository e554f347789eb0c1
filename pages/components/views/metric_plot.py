"""The draggable plot of one metric of the chosen world, at this visitor's threshold."""

import streamlit as st

from pages.components.session.session import (
    PRESETS,
    Settings,
    default_guard,
    guard_subject,
    others,
    reference_title,
    set_title,
)
from pages.components.views.terms import TERMS
from pages.components.widgets.threshold_plot import Series, threshold_plot
from robust import Report
from robust.decision.thresholds import threshold_at_fpr


def metric_plot(name: str, settings: Settings, report: Report | None, height: int, key: str, **options) -> None:
    """`report` is the input on trial, None for none. `options` are those of `threshold_plot`."""
    guard = default_guard()
    metric = guard.metrics[name]
    threshold_plot(
        metric=name,
        title=metric.title,
        good=guard_subject().plural,
        others=others(),
        reference=Series(reference_title(), guard.reference[name]),
        comparison=Series(set_title(settings.comparison), guard.scores[settings.comparison][name]),
        threshold=settings.thresholds[name],
        refuses=metric.refuses,
        log=metric.long_tailed,
        digits=metric.digits,
        input_score=report.verdicts[name].score if report else None,
        height=height,
        explained=_explained(metric.title, "FPR", "FNR", reference_title(), set_title(settings.comparison)),
        key=key,
        on_change=lambda value: settings.set_threshold(name, value),
        **options,
    )


def _explained(*names: str) -> dict[str, str]:
    """What these words mean, of those that are terms; a test set is known by its data set."""
    return {name: TERMS[term] for name in names if (term := name.removesuffix(" test")) in TERMS}


def show_presets(name: str, settings: Settings) -> None:
    """Buttons that move the line to well-known operating points of a metric."""
    guard = default_guard()
    metric = guard.metrics[name]
    for label, share in PRESETS.get(name, {}).items():
        value = threshold_at_fpr(guard.reference[name], share, metric.refuses)
        st.button(
            label, key=f"preset_{name}_{label}", on_click=settings.set_threshold, args=(name, value),
            help=f"{metric.title} threshold {value:.{metric.digits}f}",
        )  # fmt: skip

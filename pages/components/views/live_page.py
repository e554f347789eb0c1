"""What of a page follows a dragged line: the rule in force, and the words and numbers that depend on it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import streamlit as st

from pages.components.session.session import Settings, default_guard, set_title, words_for_html
from pages.components.views.terms import explained
from pages.components.widgets.link_tools import link_tools
from pages.components.widgets.live import (
    LiveMetric,
    combinations,
    decides,
    in_hundred,
    live_rule,
    live_scores,
    rule_counts,
)
from robust import Report
from robust.decision.promise import fpr_intervals, upper_fpr


def follow_lines(
    settings: Settings,
    report: Report | None,
    sentence: Callable[[Report], str],
    plotted: list[str],
    bounded: bool,
) -> None:
    """Call it on every run, once on a page, beside the plots.

    sentence: why an input is accepted or refused, of a report at any thresholds.
    plotted: names of the metrics that have a threshold plot on the page.
    bounded: whether the page shows `bound_words`, too.
    """
    guard = default_guard()
    metrics = {name: LiveMetric(metric.title, metric.refuses, metric.digits) for name, metric in guard.metrics.items()}
    comparison = guard.scores[settings.comparison]
    for name in settings.rule.metrics:
        if name not in plotted:
            live_scores(name, guard.reference[name], comparison[name], key=f"live {name}")
    if settings.rule.by_class:
        live_scores("prediction", guard.reference["prediction"], comparison["prediction"], key="live prediction")
    sentences = None
    if report and (refusing := combinations(list(metrics))):
        sentences = [sentence(_at(report, names)) for names in refusing]
    live_rule(settings.rule, metrics, report, sentences, bounds(settings) if bounded else ())


def _at(report: Report, refusing: frozenset[str]) -> Report:
    """The report as it would be if just these metrics refused."""
    verdicts = {name: replace(verdict, reliable=name not in refusing) for name, verdict in report.verdicts.items()}
    return replace(report, verdicts=verdicts, reliable=not decides(report.rule, refusing, list(verdicts)))


def bounds(settings: Settings) -> tuple[np.ndarray, ...]:
    """What the FPR of all good pictures is at most, wherever one line stands; of several lines, its interval."""
    reference = default_guard().reference
    count = len(reference[settings.rule.metrics[0]])
    if len(settings.rule.metrics) == 1:
        return (np.asarray(upper_fpr(np.arange(count + 1), count)),)
    return fpr_intervals(count)


def bound_words(settings: Settings) -> str:
    """HTML: what the FPR that was counted on the reference says of all good pictures."""
    refused = int(settings.rule.refused(default_guard().reference).sum())
    ends = [f"<b data-live='bound {i}'>{column[refused]:.2%}</b>" for i, column in enumerate(bounds(settings))]
    plural = words_for_html().plural
    if len(ends) == 1:
        return f"Of all good {plural} at most {ends[0]} are refused, with 95 % confidence, wherever the line stands."
    return f"Of all good {plural} {ends[0]} to {ends[1]} are refused, with 95 % confidence."


def counts(settings: Settings) -> dict[str, tuple[int, int]]:
    """Of good pictures and of nonsense, how many the rule refuses and accepts, of how many."""
    guard = default_guard()
    return rule_counts(settings.rule, guard.reference, guard.scores[settings.comparison])


def rates_in_words(settings: Settings) -> str:
    """HTML: the trade, as people say it."""
    found = counts(settings)
    shares = {name: in_hundred(count / total) for name, (count, total) in found.items()}
    return (
        f"The rule refuses <b data-live='good refused of 100'>{shares['good refused']}</b> good "
        f"{words_for_html().plural}, and of {explained(set_title(settings.comparison))} accepts "
        f"<b data-live='nonsense accepted of 100'>{shares['nonsense accepted']}</b>."
    )


def show_link_tools(settings: Settings) -> None:
    if link_tools(settings.moved, key="link_tools"):
        settings.reset_thresholds()
        st.rerun()

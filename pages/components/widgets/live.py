"""The rule in the browser: while a line is dragged, everything on the page that depends on it follows.

Python owns thresholds and rule. `live_rule` tells the browser of them on every run; the scores come with the page's
threshold plots, and `live_scores` brings those of metrics that have no plot on the page. Elements say what they show:

    <b data-live='good refused'>500</b>        a text of live.js, see `texts` there
    <div data-live-verdict='rule' ...>         takes the class "reliable" or "unreliable", and the text of its attribute
                                               data-reliable or data-unreliable where it has one; 'rule' or a metric

What Python writes into them is what the browser would: after the release nothing jumps.
"""

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import streamlit as st

from robust import Report
from robust.decision.rule import ALL, ANY, Rule, Scores

MOST_SENTENCES = 6  # metrics, of whose refusals every combination has its sentence

_HERE = Path(__file__).parent
LIVE_JS = (_HERE / "live.js").read_text(encoding="utf-8")
_DECODE = (_HERE / "hand.js").read_text(encoding="utf-8")
_RULE = st.components.v2.component(
    "robust_live_rule",
    js=LIVE_JS
    + _DECODE
    + """
export default function ({ data }) {
  if (data.columns) {
    const columns = data.columns.map(decodeFloat64)
    if (data.bounds) live.bounds.set(data.digest, columns)
    else live.columns.set(data.metric, columns)
    return live.schedule()
  }
  // Elements of an earlier run may be drawn once more before they go.
  if (live.page && data.said_at < live.page.said_at) return
  live.page = data
  live.masks.clear()
  live.say(Object.fromEntries(Object.entries(data.metrics).map(([name, { threshold }]) => [name, threshold])))
}
""",
)


@dataclass(frozen=True)
class LiveMetric:
    """title: what people call the metric; refuses: its side; digits: decimals of its thresholds."""

    title: str
    refuses: Literal["low", "high"]
    digits: int


def live_rule(
    rule: Rule,
    metrics: Mapping[str, LiveMetric],
    report: Report | None,
    sentences: list[str] | None,
    bounds: tuple[np.ndarray, ...],
    key: str = "live",
) -> None:
    """Tell the browser of the rule in force.

    report: of the input on trial, None for none.
    sentences: why the input is accepted or refused, for each combination of refusing metrics: the i-th bit of the index
        says that the i-th metric refuses.
    bounds: (N + 1,) each, ends of the FPR's interval by the number of good inputs refused; empty for none.
    """
    digest = _send_bounds(bounds, key)
    _RULE(
        data={
            "said_at": time.time(),
            "rule": rule.decides,
            "metrics": {
                name: {
                    "threshold": rule.thresholds[name],
                    "refuses": metric.refuses,
                    "digits": metric.digits,
                    "by_class": _by_class(rule, name),
                }
                for name, metric in metrics.items()
            },
            "input": report and {"scores": _scores_of(report), "prediction": report.prediction},
            "reasons": sentences,
            "interval": digest,
        },
        key=key,
    )


def live_scores(metric: str, reference: np.ndarray, comparison: np.ndarray, key: str) -> None:
    """Send the scores of a metric that has no plot on the page; "prediction" brings the predicted classes."""
    _RULE(data={"metric": metric, "columns": _encoded(reference, comparison)}, key=key)


def rule_counts(rule: Rule, reference: Scores, comparison: Scores) -> dict[str, tuple[int, int]]:
    """What live.js counts, for the first sight of it: name of each cell -> (how many, of how many)."""
    counts = {}
    for name, scores in ("good", reference), ("nonsense", comparison):
        mask = rule.refused(scores)
        counts |= {f"{name} refused": (int(mask.sum()), len(mask)), f"{name} accepted": (int((~mask).sum()), len(mask))}
    return counts


def in_hundred(share: float) -> str:
    """A share (0..1) as people say it: "5 in 100", "3 in 10,000", "none", "all"."""
    if share in (0, 1):
        return "all" if share else "none"
    if 100 * share < 0.95:
        return f"{max(1, _half_up(10_000 * share)):,} in 10,000"
    return f"{_half_up(100 * share)} in 100"


def times(score: float, threshold: float) -> str:
    """How a score stands to a threshold, between the score and the words "the threshold"."""
    return f", {score / threshold:.1f} times" if threshold > 0 else "; it is above"


def _half_up(value: float) -> int:
    """As JavaScript's Math.round."""
    return int(np.floor(value + 0.5))


def _scores_of(report: Report) -> dict[str, str]:
    # JSON has no infinity: strings, which JavaScript's Number() reads back.
    return {name: str(float(v.score)).replace("inf", "Infinity") for name, v in report.verdicts.items()}


def _by_class(rule: Rule, name: str) -> dict[str, float] | None:
    if name not in rule.by_class:
        return None
    return {str(label): value for label, value in rule.by_class[name].thresholds.items()}


def _send_bounds(bounds: tuple[np.ndarray, ...], key: str) -> str | None:
    if not bounds:
        return None
    columns = _encoded(*bounds)
    digest = hashlib.sha1("".join(columns).encode()).hexdigest()
    _RULE(data={"bounds": True, "digest": digest, "columns": columns}, key=f"{key} bounds")
    return digest


@st.cache_data(max_entries=64, show_spinner=False)
def _encoded(*columns: np.ndarray) -> list[str]:
    """Base64 of little-endian float64."""
    return [base64.b64encode(column.astype("<f8").tobytes()).decode("ascii") for column in columns]


def combinations(names: list[str]) -> list[frozenset[str]] | None:
    """Every combination of refusing metrics, by the index that `live_rule` gives it; None where they are too many."""
    if len(names) > MOST_SENTENCES:
        return None
    return [frozenset(name for i, name in enumerate(names) if index >> i & 1) for index in range(2 ** len(names))]


def decides(rule: str, refusing: frozenset[str], names: list[str]) -> bool:
    """Whether a rule refuses where these of all metrics `names` do."""
    if rule in (ANY, ALL):
        return set(names) <= refusing if rule == ALL else bool(refusing)
    return rule in refusing

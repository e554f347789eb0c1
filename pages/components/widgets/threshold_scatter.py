"""A scatter of two metrics over two sets, with both threshold lines to drag.

Like threshold_plot.py, whose description says how thresholds travel: Python owns them, the browser works out everything
while the hand moves, and a release tells Python once. The 20,000 points are drawn on a canvas, once; the lines and the
shading are SVG above it. The points are the scores that the threshold plots of both metrics brought to the page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import streamlit as st

_HERE = Path(__file__).parent
_JS = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("live.js", "hand.js", "threshold_scatter.js"))
_PLOT = st.components.v2.component(
    "robust_threshold_scatter", css=(_HERE / "threshold_scatter.css").read_text(encoding="utf-8"), js=_JS
)


@dataclass(frozen=True, eq=False)
class ScatterAxis:
    """One metric of the scatter.

    reference, comparison: its scores (N,) and (M,), in the order of the other axis; +inf allowed, not -inf, not NaN.
    refuses: "low" refuses scores below the threshold, "high" scores above it.
    digits: decimals shown; a dragged value is rounded to them.
    """

    name: str
    title: str
    reference: np.ndarray
    comparison: np.ndarray
    threshold: float
    refuses: Literal["low", "high"]
    digits: int
    log: bool = False


def threshold_scatter(
    *,
    x: ScatterAxis,
    y: ScatterAxis,
    set_names: tuple[str, str],
    rule: str,
    on_change: Callable[[dict[str, float]], None],
    key: str,
    input_scores: tuple[float, float] | None = None,
    height: int = 400,
    good: str = "digits",
    others: str = "not digits",
) -> None:
    """Show where both sets lie, what the rule refuses, and what each rule would cost at these lines.

    set_names: of the reference set and of the comparison set.
    rule: "any", "all", or the name of a metric; one that is on neither axis shades nothing.
    on_change: called with the thresholds by metric name when a line is released.
    key: unique on the page.
    input_scores: the input on trial, marked in the plot; None for none.
    height: of the drawing, in pixels.
    good, others: what the reference set and the comparison set show, in the plural.
    """
    seen = f"{key} last release"

    def take_release() -> None:
        release = st.session_state[key].released
        st.session_state[seen] = release["id"]
        on_change({x.name: float(release["values"][0]), y.name: float(release["values"][1])})

    _PLOT(
        data={
            "metrics": [x.name, y.name],
            "axes": [_axis_of(axis) for axis in (x, y)],
            "titles": [x.title, y.title],
            "thresholds": [float(x.threshold), float(y.threshold)],
            "refuses": [x.refuses, y.refuses],
            "digits": [x.digits, y.digits],
            "names": list(set_names),
            "rule": {x.name: "x", y.name: "y"}.get(rule, rule),
            # JSON has no infinity: strings, which JavaScript's Number() reads back.
            "input": input_scores and [str(float(s)).replace("inf", "Infinity") for s in input_scores],
            "height": height,
            "good": good,
            "others": others,
            "seen": st.session_state.get(seen),
        },
        key=key,
        on_released_change=take_release,
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _scaled(title: str, log: bool, reference: np.ndarray, comparison: np.ndarray) -> dict:
    return _axis(title, log, np.concatenate([reference, comparison]))


def _axis_of(axis: ScatterAxis) -> dict:
    return _scaled(axis.title, axis.log, axis.reference, axis.comparison)


def _axis(title: str, log: bool, values: np.ndarray) -> dict:
    """From `lo` to `hi` to scale; beside it, a band each for scores that are exactly 0 (on a linear axis) and for ∞."""
    finite = values[np.isfinite(values)]
    lo, hi = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if log and lo <= 0:
        raise ValueError(f"A log axis needs scores above 0, and {title} has {lo}.")
    if not log:
        lo = min(lo, 0.0)
    if lo == hi:
        hi = lo + 1
    zero = not log and lo == 0 and bool((values == 0).any())
    return {"log": log, "lo": lo, "hi": hi, "zero": zero, "infinity": bool(np.isinf(values).any())}

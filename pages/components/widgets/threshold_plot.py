"""A plot of two score distributions whose threshold line can be dragged.

It is a Streamlit component (Components v2: no iframe, no build step, works offline) drawn as plain SVG. Plotly would be
4 MB of script that redraws its whole layout for every shape it moves, and Streamlit's Plotly chart does not report a
dragged shape at all; here a moving line is a handful of attribute changes per frame.

**Who owns the threshold.** Python does. The page passes `threshold` on every run and the plot shows it, wherever it
came from: a number field, a preset, a link. While the hand moves, the browser works out everything in the plot by
itself; on release it tells Python the value once, as an event (a *trigger* value, gone after one run), so that nothing
old in the component can ever win over a newer value set by Python. The page writes that value where it keeps its
thresholds:

    def set_threshold(value: float) -> None:
        st.session_state["threshold_vae"] = value

    threshold_plot(..., threshold=st.session_state["threshold_vae"], key="plot_vae", on_change=set_threshold)
    st.number_input("Threshold", key="threshold_vae")  # the same key: a widget and the line always agree

What else on the page depends on the threshold follows the hand by way of live.py.

**What travels.** The scores (the bulk) go in a second, invisible element whose content does not depend on the
threshold. Streamlit sends an unchanged element as a mere reference, so a release brings no scores and redraws no
histogram.
"""

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import streamlit as st

BINS = 60

_HERE = Path(__file__).parent
_JS = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("live.js", "hand.js", "threshold_plot.js"))
_SCORES = st.components.v2.component("robust_threshold_scores", js=_JS)
_PLOT = st.components.v2.component(
    "robust_threshold_plot", css=(_HERE / "threshold_plot.css").read_text(encoding="utf-8"), js=_JS
)


@dataclass(frozen=True, eq=False)
class Series:
    """One distribution of scores.

    name: what people call the set, for example "MNIST test".
    scores: (N,) floats, N at least 1. May hold +inf; not -inf, not NaN.
    """

    name: str
    scores: np.ndarray

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.size == 0:
            raise ValueError(f"The scores of {self.name} must be a list of at least one number.")
        if np.isnan(self.scores).any() or np.isneginf(self.scores).any():
            raise ValueError(f"The scores of {self.name} must be numbers or +inf, without NaN or -inf.")


def threshold_plot(
    *,
    metric: str,
    title: str,
    reference: Series,
    comparison: Series,
    threshold: float,
    refuses: Literal["low", "high"],
    on_change: Callable[[float], None],
    key: str,
    input_score: float | None = None,
    input_label: str = "your input",
    log: bool = False,
    digits: int = 2,
    height: int = 240,
    compact: bool = False,
    plain: bool = False,
    explained: Mapping[str, str] | None = None,
    good: str = "digits",
    others: str = "not digits",
) -> None:
    """Show both distributions, the threshold between them, and what it refuses.

    metric: its name, by which the other drawings and the rule of live.py know the threshold.
    title: what the scores measure; heads the plot and labels its axis.
    reference, comparison: good inputs and nonsense. FPR is the share of `reference` refused, FNR the share of
        `comparison` accepted, counted in float64 exactly as NumPy would.
    threshold: the value in force, finite.
    refuses: "low" refuses scores below the threshold, "high" scores above it.
    on_change: called with the new threshold when the line is released (see the module's description for the wiring).
    key: unique on the page.
    input_score, input_label: the input on trial, marked in the plot; None for none. May be inf.
    log: logarithmic axis. Otherwise the axis ends near the 99.5th percentile and the last bin holds the rest.
    digits: decimals shown; a dragged value is rounded to them, so that what people read is what is in force.
    height: of the drawing, in pixels, without its heading.
    compact: heading and rates in one line, without the verdict, for a page that shows it elsewhere.
    plain: no abbreviations and no counts, and the axis in words, for people who see it for the first time.
    explained: what the title, "FPR", "FNR" and the sets' names mean, in plain words.
    good, others: what the reference set and the comparison set show, in the plural.
    """
    seen = f"{key} last release"  # the last release Python has taken in: until it has, the plot shows the hand's value

    def take_release() -> None:
        release = st.session_state[key].released
        st.session_state[seen] = release["id"]
        on_change(float(release["value"]))

    scores, digest = scores_payload(reference.scores, comparison.scores, log)
    with st.container(gap=None):
        _SCORES(data=scores, key=f"{key} scores")
        _PLOT(
            data={
                "digest": digest,
                "metric": metric,
                "title": title,
                "names": [reference.name, comparison.name],
                "threshold": float(threshold),
                "refuses": refuses,
                # JSON has no infinity: a string, which JavaScript's Number() reads back.
                "input": None if input_score is None else str(float(input_score)).replace("inf", "Infinity"),
                "input_label": input_label,
                "digits": digits,
                "good": good,
                "others": others,
                "height": height,
                "compact": compact,
                "plain": plain,
                "explained": dict(explained or {}),
                "seen": st.session_state.get(seen),
            },
            key=key,
            on_released_change=take_release,
        )


@st.cache_data(max_entries=32, show_spinner=False)
def scores_payload(reference: np.ndarray, comparison: np.ndarray, log: bool) -> tuple[dict, str]:
    """What the browser needs to count and draw: scores (base64 of little-endian float64), axis and bins.

    The second value names the content, so that the browser parses and draws it only once.
    """
    both = [scores.astype("<f8") for scores in (reference, comparison)]
    axis = _axis(*both, log)
    content = {
        "scores": [base64.b64encode(scores.tobytes()).decode("ascii") for scores in both],
        "axis": axis,
        "shares": [_shares(scores, axis) for scores in both],
    }
    digest = hashlib.sha1(json.dumps(content).encode()).hexdigest()
    return {"digest": digest, **content}, digest


def _axis(reference: np.ndarray, comparison: np.ndarray, log: bool) -> dict:
    """The axis of both sets: `lo` to `hi` to scale, and beside it one narrow bin each for what lies below and above.

    `below` and `above` are the labels of those outer bins, None where there is none; `min` and `max` are the smallest
    and the largest finite score.
    """
    everything = np.concatenate([reference, comparison])
    finite = everything[np.isfinite(everything)]
    smallest, largest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if log:
        positive = finite[finite > 0]
        lo = _round_outward(float(np.percentile(positive, 0.5)), math.floor) if positive.size else 0.1
        hi = _round_outward(largest, math.ceil) if largest > lo else 10 * lo
    else:
        tails = [np.percentile(s[np.isfinite(s)], 99.5) for s in (reference, comparison) if np.isfinite(s).any()]
        end = max(map(float, tails), default=largest)
        step = 10 ** math.floor(math.log10((end - smallest) or 1)) / 10
        lo = math.floor(smallest / step) * step
        hi = max(math.ceil(end / step), math.floor(smallest / step) + 1) * step
    beyond = everything[everything >= hi]
    under = everything[everything < lo]
    above = f"≥ {hi:.4g}" if np.isfinite(beyond).any() else "∞"
    below = "0" if not under.any() else f"0–{lo:.4g}" if 0 in under else f"< {lo:.4g}"
    return {
        "log": log,
        "lo": lo,
        "hi": hi,
        "min": smallest,
        "max": largest,
        "below": below if under.size else None,
        "above": above if beyond.size else None,
    }


def _round_outward(value: float, rounding: Callable[[float], int]) -> float:
    """A positive value rounded to one significant digit, downwards or upwards."""
    exponent = math.floor(math.log10(value))
    return float(f"{rounding(value / 10**exponent)}e{exponent}")


def _shares(scores: np.ndarray, axis: dict) -> list[float]:
    """The share of the scores in each bin: below the axis, BINS equal bins along it, above it."""
    inside = scores[(scores >= axis["lo"]) & (scores < axis["hi"])]
    ends = np.array([axis["lo"], axis["hi"]])
    if axis["log"]:
        inside, ends = np.log(inside), np.log(ends)
    counts, _ = np.histogram(inside, bins=BINS, range=tuple(ends))
    outer = (scores < axis["lo"]).sum(), (scores >= axis["hi"]).sum()
    return [round(float(n) / scores.size, 6) for n in (outer[0], *counts, outer[1])]

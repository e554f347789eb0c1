"""Plots that are drawn again twice a second, as one piece of HTML with SVG in it.

Streamlit makes a new element of a Plotly chart whose content changed: it would flicker at every tick, and keep a phone
busy. Here the lines and areas are SVG stretched to whatever width there is, and all text is HTML, which is not stretched.
"""

import html

import numpy as np

from pages.components.session.live_stream import HISTORY, Moment

BINS = 30


def refusal_plot(history: list[Moment], expected: float) -> str:
    """The share refused and the share mixed in over the last images; the newest is at the right edge. HTML."""
    xs = 100 - 100 * np.arange(len(history))[::-1] / HISTORY
    lines = [
        f"<line class='expected' x1='0' x2='100' y1='{100 - 100 * expected:.2f}' y2='{100 - 100 * expected:.2f}'/>",
        _line("foreign", xs, 1 - np.array([moment.foreign for moment in history])),
        _line("refused", xs, 1 - np.array([moment.refused for moment in history])),
    ]
    alarms = np.array([moment.alarm for moment in history], dtype=bool)
    keys = [
        ("refused", f"refused now {history[-1].refused:.0%}" if history else "refused"),
        ("foreign", "mixed in, in truth"),
        ("expected", f"expected {expected:.0%}"),
        ("alarm", "drift alarm"),
    ]
    return _figure(
        "Share refused", keys, _bands(xs, alarms) + "".join(lines), ["100%", "50%", "0%"], [f"{HISTORY} images ago", "now"], 190
    )  # fmt: skip


def _line(kind: str, xs: np.ndarray, ys: np.ndarray) -> str:
    """`ys` in 0..1, downwards."""
    points = " ".join(f"{x:.2f},{100 * y:.2f}" for x, y in zip(xs, ys))
    return f"<path class='{kind}' d='M{points}'/>" if points else ""


def _bands(xs: np.ndarray, marked: np.ndarray) -> str:
    """A band over each run of marked points."""
    changes = np.flatnonzero(np.diff(np.r_[0, marked.astype(int), 0]))
    return "".join(
        f"<rect class='alarm' x='{xs[first]:.2f}' width='{xs[last - 1] - xs[first]:.2f}' y='0' height='100'/>"
        for first, last in zip(changes[::2], changes[1::2])
    )


def score_plot(
    title: str, reference: np.ndarray, window: np.ndarray, edges: np.ndarray, threshold: float, refuses: str,
    log: bool, digits: int,
) -> str:  # fmt: skip
    """The scores in the watch's window against the reference's, and the threshold. HTML.

    `edges` (BINS + 1,) are the bins' edges; scores beyond them fall into the outer bins.
    """
    shares = [_shares(scores, edges) for scores in (reference, window)]
    top = 1.1 * max(float(np.max(share, initial=0)) for share in shares)
    xs = 100 * np.arange(len(edges)) / (len(edges) - 1)
    reference_steps, window_steps = (_steps(xs, 100 - 100 * share / top) for share in shares)
    place = _place(threshold, edges, log)
    left, right = (0, place) if refuses == "low" else (place, 100)
    drawing = (
        f"<rect class='refuses' x='{left:.2f}' width='{right - left:.2f}' y='0' height='100'/>"
        f"<path class='reference' d='{reference_steps} V100 H0 Z'/>"
        f"<line class='threshold' x1='{place:.2f}' x2='{place:.2f}' y1='0' y2='100'/>"
        + (f"<path class='window' d='{window_steps}'/>" if window.size else "")
    )
    keys = [
        ("reference", "reference"),
        ("window", f"last {len(window)} images"),
        ("threshold", f"{'below' if refuses == 'low' else 'above'} {threshold:.{digits}f}: refused"),
    ]
    heading = f"{title}, logarithmic axis" if log else title
    return _figure(heading, keys, drawing, [], [_shown(edges[0]), f"≥ {_shown(edges[-1])}"], 150)


def score_edges(scores: list[np.ndarray], log: bool) -> np.ndarray:
    """Bin edges (BINS + 1,) that hold all but the farthest of several sets' scores."""
    finite = [values[np.isfinite(values)] for values in scores]
    low = min(float(np.percentile(values, 0.5)) for values in finite)
    high = max(float(np.percentile(values, 99.5)) for values in finite)
    return np.geomspace(max(low, 1e-6), high, BINS + 1) if log else np.linspace(low, high, BINS + 1)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _shares(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)
    return counts / max(1, len(scores))


def _steps(xs: np.ndarray, ys: np.ndarray) -> str:
    """The path of a staircase: `ys[i]` from `xs[i]` to `xs[i + 1]`."""
    return f"M0,{ys[0]:.2f} " + " ".join(f"V{y:.2f} H{x:.2f}" for x, y in zip(xs[1:], ys))


def _place(value: float, edges: np.ndarray, log: bool) -> float:
    """Where a value lies along the axis, 0..100."""
    value = float(np.clip(value, edges[0], edges[-1]))
    ends, value = (np.log([edges[0], edges[-1]]), np.log(value)) if log else (edges[[0, -1]], value)
    return float(100 * (value - ends[0]) / (ends[1] - ends[0]))


def _figure(
    title: str, keys: list[tuple[str, str]], drawing: str, y_labels: list[str], x_labels: list[str], height: int
) -> str:
    """`keys` are the style and the name of each thing drawn; `drawing` is SVG in a frame of 100 by 100."""
    legend = "".join(f"<span>{_swatch(kind)}{html.escape(name)}</span>" for kind, name in keys)
    y, x = ("".join(f"<span>{html.escape(label)}</span>" for label in labels) for labels in (y_labels, x_labels))
    return (
        f"<figure class='moving'><figcaption>{html.escape(title)}</figcaption><div class='keys'>{legend}</div>"
        f"<div class='area' style='--height: {height}px'><div class='y'>{y}</div>"
        f"<svg viewBox='0 0 100 100' preserveAspectRatio='none' role='img' aria-label='{html.escape(title)}'>{drawing}</svg>"
        f"<div class='x'>{x}</div></div></figure>"
    )


def _swatch(kind: str) -> str:
    mark = (
        "<rect class='{}' width='26' height='10'/>"
        if kind in ("alarm", "reference")
        else "<path class='{}' d='M0,5 H26'/>"
    )
    return f"<svg viewBox='0 0 26 10' aria-hidden='true'>{mark.format(kind)}</svg>"

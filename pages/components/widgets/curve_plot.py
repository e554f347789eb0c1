"""Curves of what a rule costs at all its thresholds, with the place where the lines stand now.

Plain SVG like threshold_plot.py. While a line is dragged the marks run along with it: their places are FPR and FNR, which
live.js counts. The FPR's axis is logarithmic, since thresholds are about the first few per cent; 0 has a place of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

POINTS = 300  # of a curve

_HERE = Path(__file__).parent
_PLOT = st.components.v2.component(
    "robust_curve_plot",
    css=(_HERE / "curve_plot.css").read_text(encoding="utf-8"),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("live.js", "hand.js", "curve_plot.js")),
)


@dataclass(frozen=True, eq=False)
class Curve:
    """rule: "any", "all" or a metric, whose now is marked; fpr, y: (N,), from lenient to strict; dash: as in SVG."""

    rule: str
    title: str
    fpr: np.ndarray
    y: np.ndarray
    colour: str
    dash: str = ""


def curve_plot(
    curves: Sequence[Curve],
    *,
    deciding: str,
    y_of: tuple[float, float, float] | None,
    x_title: str,
    y_title: str,
    y_range: tuple[float, float],
    per_cent: bool,
    smallest: float,
    key: str,
    height: int = 420,
    found: tuple[float, float] | None = None,
) -> None:
    """Show the curves.

    deciding: the rule in force, whose mark is a star.
    y_of: (one, fpr, fnr), so that y = one + fpr * FPR + fnr * FNR at any place; None: as the curve has it at that FPR.
    y_range: the ends of the y axis; per_cent: whether y is a share.
    smallest: the smallest FPR above 0 on the axis.
    found: another place (FPR, y) to mark; None for none.
    """
    _PLOT(
        data={
            "curves": [
                {
                    "rule": curve.rule,
                    "title": curve.title,
                    "colour": curve.colour,
                    "dash": curve.dash,
                    "points": _thinned(curve.fpr, curve.y),
                }
                for curve in curves
            ],
            "deciding": deciding,
            "y_of": y_of and list(y_of),
            "x_title": x_title,
            "y_title": y_title,
            "y_range": list(y_range),
            "per_cent": per_cent,
            "smallest": smallest,
            "height": height,
            "found": found and [float(value) for value in found],
        },
        key=key,
    )


def _thinned(xs: np.ndarray, ys: np.ndarray) -> list[list[float]]:
    chosen = np.unique(np.geomspace(1, len(xs), min(POINTS, len(xs))).astype(int) - 1)
    return [[round(float(x), 7), round(float(y), 7)] for x, y in zip(xs[chosen], ys[chosen])]

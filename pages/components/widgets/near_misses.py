"""Strips of pictures that sit near the line: they come and go while it is dragged.

All pictures of a strip travel once, in one sheet; which of them show, and what their captions say, follows live.js.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

_HERE = Path(__file__).parent
_STRIP = st.components.v2.component(
    "robust_near_misses",
    css=(_HERE / "near_misses.css").read_text(encoding="utf-8"),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("live.js", "hand.js", "near_misses.js")),
)


def near_misses(
    *,
    title: str,
    sheet: str,
    columns: int,
    order: Sequence[int],
    claims: Sequence[str],
    predictions: Sequence[int],
    scores: Mapping[str, np.ndarray],
    titles: Mapping[str, str],
    shows_refused: bool,
    most: int,
    key: str,
) -> int | None:
    """Show the pictures that the rule refuses (or accepts); the place of the one just clicked, or None.

    sheet: data URL of all N pictures, `columns` in a row.
    order: places (N,), the ones to show first first.
    claims, predictions: what the classifier calls each picture (N,), in words and as a class.
    scores: each metric's scores (N,).
    titles: what people call the metrics.
    most: pictures shown at once.
    """
    data = {
        "title": title,
        "sheet": sheet,
        "columns": columns,
        "order": [int(place) for place in order],
        "claims": list(claims),
        "predictions": [int(prediction) for prediction in predictions],
        "scores": {name: [str(float(s)).replace("inf", "Infinity") for s in values] for name, values in scores.items()},
        "titles": dict(titles),
        "shows_refused": shows_refused,
        "most": most,
    }
    picked = _STRIP(data=data, key=key, on_picked_change=lambda: None).picked
    return None if picked is None else int(picked)

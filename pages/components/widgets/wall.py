"""The speaker's wall of a room: drawings land at their place on the histogram, and a dragged line refuses and accepts them.

The browser asks the room's routes by itself, so that no drawing costs a run of the script. The host's key stays in the
browser that opened the room.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_WALL = st.components.v2.component(
    "robust_wall",
    css=(_HERE / "wall.css").read_text(encoding="utf-8"),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("markup.js", "hand.js", "wall.js")),
)


@dataclass(frozen=True)
class WallMetric:
    """One metric of the wall: its histogram of good pictures (`axis` and `shares` as threshold_plot.py makes them) and
    `good`, `others`: scores of the reference and the comparison set, sorted, as base64 of float64."""

    name: str
    title: str
    refuses: str
    digits: int
    threshold: float
    axis: dict
    shares: list[float]
    good: str
    others: str


def wall(
    *,
    code: str,
    host_key: str | None,
    address: str,
    qr: str,
    metrics: Sequence[WallMetric],
    chosen: str,
    classes: Sequence[str],
    plural: str,
    set_names: tuple[str, str],
    key: str,
) -> dict | None:
    """Show the wall; what the speaker asked of Python, once: {"look": strokes} or {"left": True}.

    host_key: of a room just opened; None where the browser has it already. address: what phones open; qr: SVG of it.
    chosen: the metric whose histogram it begins with. classes: names of the classes. set_names: reference and comparison.
    """
    data = {
        "code": code,
        "host_key": host_key,
        "address": address,
        "qr": qr,
        "metrics": [asdict(metric) for metric in metrics],
        "chosen": chosen,
        "classes": list(classes),
        "plural": plural,
        "set_names": list(set_names),
    }
    return _WALL(data=data, key=key, on_asked_change=lambda: None).asked

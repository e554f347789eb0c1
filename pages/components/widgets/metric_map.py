"""A table of metrics and kinds of input, each cell as dark as its figure is bad: click a cell to see what is behind it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_MAP = st.components.v2.component(
    "robust_metric_map",
    css=(_HERE / "metric_map.css").read_text(encoding="utf-8"),
    js=(_HERE / "metric_map.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Column:
    """A set of inputs: its key, its title, the group that it stands in, and what a cell's share says, in words."""

    key: str
    title: str
    group: str
    says: str


@dataclass(frozen=True)
class Row:
    """A metric: its key, its title, and a share (0..1, the less the better) for each column, None where there is none."""

    key: str
    title: str
    shares: Sequence[float | None]


def metric_map(label: str, columns: Sequence[Column], rows: Sequence[Row], chosen: tuple[str, str], key: str):
    """Show the map; (row, column) of the cell that was just clicked, or None. Columns of a group stand together."""
    data = {
        "label": label,
        "columns": [asdict(column) for column in columns],
        "rows": [asdict(row) | {"shares": list(row.shares)} for row in rows],
        "chosen": list(chosen),
    }
    picked = _MAP(data=data, key=key, on_picked_change=lambda: None).picked
    return tuple(picked) if picked else None

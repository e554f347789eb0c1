"""Buttons that save a plot of the page as SVG or PNG, as it stands there. Made in the browser: nothing is sent."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_CSS = """
.save { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 20px; font-family: var(--st-font);
  color: var(--st-text-color); }
button { font: inherit; font-weight: 600; padding: 6px 12px; min-height: 40px; cursor: pointer; color: inherit;
  background: var(--st-background-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); margin-left: 6px; }
button:hover { border-color: var(--st-primary-color); }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.reference { color: var(--reference); }
.comparison { color: var(--comparison); }
"""
_SAVE = st.components.v2.component(
    "robust_save_plot",
    html="<div class='save'></div><i class='reference'></i><i class='comparison'></i>",
    css=_CSS,
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("deep.js", "save_plot.js")),
)


@dataclass(frozen=True)
class Saveable:
    """A threshold plot or threshold scatter of this page.

    key: of the plot. title: on its buttons. heading: written above it in the file. file_name: without its ending.
    legend: the marks and names of the reference set and of the comparison set.
    """

    key: str
    title: str
    heading: str
    file_name: str
    legend: tuple[tuple[str, str], tuple[str, str]]


def save_plots(plots: list[Saveable], key: str) -> None:
    """One pair of buttons, SVG and PNG, for each plot."""
    _SAVE(data={"plots": [vars(plot) for plot in plots]}, key=key)

"""Frames behind a slider, with a button that plays them. They follow the hand: the server is not asked."""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_HTML = """
<div class='film'>
  <div class='controls'>
    <button type='button' aria-label='Play'></button>
    <div class='track'><i></i><input type='range' min='0' step='1'></div>
    <output></output>
  </div>
  <div class='frame'></div>
</div>
"""
_FILM = st.components.v2.component(
    "robust_film",
    html=_HTML,
    css=(_HERE / "film.css").read_text(encoding="utf-8"),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("markup.js", "film.js")),
    isolate_styles=False,
)


def film(*, frames: list[str], names: list[str], label: str, mark: int, key: str) -> None:
    """Show one of the frames, the first to begin with.

    frames: HTML. names: what the slider says at each. label: what the slider moves through. mark: the frame whose
    place is marked on the track, and where playing rests for a second.
    """
    _FILM(data={"frames": frames, "names": names, "label": label, "mark": mark}, key=key)

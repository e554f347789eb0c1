"""The drawing pad: white ink on black, with tools, and a drawing that outlives the page and a reload."""

import base64
import binascii

import streamlit as st
from streamlit_drawable_canvas import st_canvas

from pages.components.widgets.pad_tools import pad_tools

PAD = 280  # pixels a side; the screen may show it larger
INK, PAPER = "#FFFFFF", "#000000"
PENS = (8, 40)  # pixels
ERASER = 2  # as wide as so many pens


def drawing_pad() -> bytes | None:
    """Show the pad; the drawing as a PNG file, or None while there is none."""
    if "pad" not in st.session_state:  # it was off the screen, and comes back with what was on it
        st.session_state.pad_start = st.session_state.get("pad_drawing")
    st.session_state.setdefault("pen", 20)
    # A slider that was off the screen for a run would forget its value.
    st.session_state.pen = st.session_state.pen
    erases = st.session_state.get("pad_erases", False)
    with st.container(key="pad_frame", gap="small"):
        result = st_canvas(
            stroke_width=st.session_state.pen * (ERASER if erases else 1),
            stroke_color=PAPER if erases else INK,
            background_color=PAPER,
            width=PAD,
            height=PAD,
            initial_drawing=st.session_state.get("pad_start"),
            return_image_data=True,
            key="pad",
        )
        if result.json_data:
            st.session_state.pad_drawing = result.json_data
        if result.image_bytes:  # a pad that has just come back sends none until the next stroke
            st.session_state.pad_picture = result.image_bytes
        drawn = bool((st.session_state.get("pad_drawing") or {}).get("objects"))
        restored = pad_tools("pad", not drawn, erases, began_with=bool(st.session_state.pad_start), key="pad_tools")
        st.slider("Pen width", *PENS, key="pen")
    take_tools(restored)
    return st.session_state.get("pad_picture") if drawn else None


def take_tools(restored: str | None) -> None:
    """What the tools ask for: the eraser, an empty pad, or the drawing of before a reload."""
    if st.session_state.pad_tools.cleared:
        st.session_state.update(pad_start=None, pad_drawing=None, pad_picture=None)
        st.rerun()
    wanted = st.session_state.pad_tools.eraser
    if wanted is not None and wanted != st.session_state.get("pad_erases", False):
        st.session_state.pad_erases = wanted
        st.rerun()
    if restored:
        try:
            picture = base64.b64decode(restored.partition(",")[2], validate=True)
        except binascii.Error:
            return
        place = {"left": 0, "top": 0, "originX": "left", "originY": "top", "width": PAD, "height": PAD}
        st.session_state.pad_drawing = {"objects": [{"type": "Image", "src": restored} | place]}
        st.session_state.update(pad_picture=picture, pad_start=st.session_state.pad_drawing)
        st.rerun()

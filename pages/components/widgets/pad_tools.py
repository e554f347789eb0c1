"""What the drawing pad of streamlit-drawable-canvas lacks: labelled buttons that are always there, keys, and haste.

The package sends a stroke 200 ms after it ended, and shows its own small buttons under the mouse only. These tools press
the package's buttons: "update" as soon as the pen is up, undo, redo and reset when theirs are pressed. They also keep the
drawing in the tab's session storage, so that it survives a reload.
"""

from pathlib import Path

import streamlit as st

MOST_BYTES = 300_000  # of a drawing that comes back; a full pad takes a tenth of it

_HERE = Path(__file__).parent
_TOOLS = st.components.v2.component(
    "robust_pad_tools",
    html="<div class='tools' role='toolbar' aria-label='Drawing tools'></div>",
    css=(_HERE / "pad_tools.css").read_text(encoding="utf-8"),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("deep.js", "pad_tools.js")),
)


def pad_tools(pad: str, blank: bool, erases: bool, began_with: bool, key: str) -> str | None:
    """Show the tools of the pad whose key is `pad`.

    blank: whether Python knows of no drawing; erases: whether the eraser is in hand; began_with: whether the pad began with
    a drawing, to which the package's own reset would go back. `st.session_state[key].eraser` tells the eraser's new state
    in the run after its button was pressed, `.cleared` that such a pad is to be empty. Returns the drawing of before a
    reload as a data URL, once.
    """
    result = _TOOLS(
        data={"pad": pad, "blank": blank, "erases": erases, "began_with": began_with},
        key=key,
        on_eraser_change=lambda: None,
        on_cleared_change=lambda: None,
        on_restored_change=lambda: None,
    )
    restored = result.restored
    usable = isinstance(restored, str) and restored.startswith("data:image/png;base64,") and len(restored) < MOST_BYTES
    return restored if usable else None

"""The controls of talk mode: keys on the whole page, for presenters' remotes too, swipes, and the same as small buttons."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_STAGE = st.components.v2.component(
    "robust_stage",
    html="<div class='stage' role='toolbar' aria-label='Talk'></div>",
    css=(_HERE / "stage.css").read_text(encoding="utf-8"),
    js=(_HERE / "stage.js").read_text(encoding="utf-8"),
)


def stage(
    *,
    step: int,
    steps: int,
    plots: list[str],
    plot: int,
    live: str | None,
    has_plot: bool,
    notes: str,
    following: str,
    on_change: Callable[[int, int, str | None], None],
    rooms: bool,
    key: str,
) -> str | None:
    """Listen for the speaker; "home" or "room" when the speaker leaves for there.

    step, steps: where the sequence stands, 1 to `steps`, and how long it is.
    plots, plot: titles of the plots, and the place (from 0) of the one on screen.
    live: the way of input that is on the screen instead of the step: "draw", "camera", "gallery", "own", or None.
    has_plot: whether a plot is on the screen.
    notes, following: what the speaker reads at this step, and the sentence of the next.
    rooms: whether there is a room to go to.
    on_change: called with the step, the plot and the way of input asked for.
    """
    seen = f"{key} last request"  # the last one Python has taken in: until it has, the browser counts on from its own

    def take_request() -> None:
        request = st.session_state[key].asked
        st.session_state[seen] = request["id"]
        on_change(
            min(max(int(request["step"]), 1), steps),
            min(max(int(request["plot"]), 0), len(plots) - 1),
            request.get("live"),
        )

    data = {"step": step, "steps": steps, "plots": plots, "plot": plot, "live": live, "has_plot": has_plot}
    data |= {"rooms": rooms, "notes": notes, "following": following, "seen": st.session_state.get(seen)}
    asked = _STAGE(data=data, key=key, on_asked_change=take_request).asked
    return asked["leaves"] if asked else None

"""Room: the audience draws on its phones, and the speaker drags the line through their drawings."""

import io
import socket
from urllib.parse import urlsplit

import numpy as np
import segno
import streamlit as st

from pages.components.session.navigation import enter_through_app
from pages.components.session.room_service import rooms
from pages.components.session.session import (
    Settings,
    chosen_world,
    default_guard,
    guard_subject,
    inspect_on_try_it,
    known_worlds,
    reference_title,
    set_title,
)
from pages.components.widgets.threshold_plot import scores_payload
from pages.components.widgets.wall import WallMetric, wall
from robust.room.drawing import UnusableStrokes, checked, draw
from robust.room.store import NoSuchRoom


def network_address() -> str:
    """This machine's address on the local network, as phones reach it; no packet is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def phones_address(code: str) -> str:
    """What phones open. The speaker's own browser may say "localhost", which would be the phone itself."""
    own = urlsplit(st.context.url or "http://localhost:8501")
    host = network_address() if own.hostname in ("localhost", "127.0.0.1", "::1", "0.0.0.0") else own.hostname
    port = f":{own.port}" if own.port else ""
    return f"{own.scheme}://{host}{port}/room/{code}"


def qr_of(address: str) -> str:
    buffer = io.BytesIO()
    segno.make(address, micro=False).save(buffer, kind="svg", xmldecl=False, svgns=True, border=2, scale=4)
    return buffer.getvalue().decode()


def wall_metrics(settings: Settings) -> list[WallMetric]:
    guard, found = default_guard(), []
    for name, metric in guard.metrics.items():
        good, others = (np.sort(scores[name]) for scores in (guard.reference, guard.scores[settings.comparison]))
        content = scores_payload(good, others, metric.long_tailed)[0]
        found.append(
            WallMetric(
                name, metric.title, metric.refuses, metric.digits, settings.thresholds[name], content["axis"],
                content["shares"][0], *content["scores"],
            )
        )  # fmt: skip
    return found


def show_start() -> None:
    st.html(
        "<h1 class='lead'>Let the room draw</h1><p class='say'>Everybody draws on their own phone: no account, no internet, "
        "only this machine's network. What they draw lands on the wall, at its place; you drag the line through it.</p>"
    )
    if st.button("Open a room", type="primary", icon=":material/meeting_room:"):
        code, key = rooms().store.open_room()
        st.session_state.room, st.session_state.room_key = code, key
        st.rerun()
    st.markdown(
        "- Phones must reach this machine: the same Wi-Fi, or this laptop's hotspot. Its firewall must let the port in.\n"
        "- Drawings are held until you show them. Of a person only the nickname is kept, and rooms delete themselves after "
        "seven days."
    )


def show_room(settings: Settings, code: str) -> None:
    address = phones_address(code)
    names = list(default_guard().metrics)
    asked = wall(
        code=code,
        host_key=st.session_state.get("room_key"),
        address=address,
        qr=qr_of(address),
        metrics=wall_metrics(settings),
        chosen=settings.rule.decides if settings.rule.decides in names else names[0],
        classes=guard_subject().classes,
        plural=guard_subject().plural,
        set_names=(reference_title(), set_title(settings.comparison)),
        key="wall",
    )
    if asked and asked.get("left"):
        st.session_state.room = st.session_state.room_key = None
        st.rerun()
    if asked and "look" in asked:
        look_closer(asked["look"])


def look_closer(strokes) -> None:
    try:
        picture = io.BytesIO()
        draw(checked(strokes)).save(picture, "PNG")
    except UnusableStrokes as error:
        st.error(str(error))
        return
    inspect_on_try_it("From the room", picture.getvalue())


enter_through_app()
settings = Settings()
code = st.session_state.room
if code:
    try:
        rooms().store.room(code)
    except NoSuchRoom:
        st.info(f"There is no room {code} any more.", icon=":material/meeting_room:")
        code = st.session_state.room = None
if chosen_world() != known_worlds()[0]:
    st.info(f"Rooms are judged by {set_title(known_worlds()[0])}: choose it above.", icon=":material/info:")
elif code:
    show_room(settings, code)
else:
    show_start()

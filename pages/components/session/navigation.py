"""The pages of the app and their order."""

import streamlit as st

from pages.components.session.room_service import has_rooms


def navigation():
    """The top navigation; returns the page to run."""
    pages = [
        st.Page("pages/try_it.py", title="Try it", icon=":material/draw:", default=True),
        st.Page("pages/thresholds.py", title="Thresholds", icon=":material/tune:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/leaderboard:"),
        st.Page("pages/how_it_works.py", title="How δz works", icon=":material/route:"),
        st.Page("pages/in_production.py", title="In production", icon=":material/conveyor_belt:"),
        st.Page("pages/talk.py", title="Talk", icon=":material/co_present:"),
    ]
    if has_rooms():
        pages.append(st.Page("pages/room.py", title="Room", icon=":material/groups:"))
    chosen = st.navigation(pages, position="top")
    with st.container(
        key="phone_pages", horizontal=True, gap="small"
    ):  # on phones; there the top's are behind a button
        for page in pages:
            st.page_link(page)
    return chosen


def enter_through_app() -> None:
    """Every page calls this first. Until `st.navigation` has run once in a server, Streamlit takes the folder pages/ for
    an app of the old style, and runs the page of a deep link alone, without app.py. Then: say so, and start again."""
    if "entered" not in st.session_state:
        navigation()
        st.rerun()

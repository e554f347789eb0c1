"""Robust: may I trust what this classifier just said? Start with: streamlit run app.py

Streamlit runs this file twice: once as the module that serves the app, and, as the script, for every visitor's run.
"""

import os
from pathlib import Path

import streamlit as st

# A file, not a symbol: browsers fetch symbols for the tab from the network.
ICON = Path(__file__).parent / "robust" / "data" / "examples" / "chicken.png"


def run_script() -> None:
    from streamlit.logger import get_logger

    from pages.components.session.navigation import navigation
    from pages.components.session.session import choose_world, default_guard, without_folders
    from pages.components.style.style import apply_style, icon
    from pages.components.widgets.link_tools import one_entry_a_page
    from robust import DamagedWorld

    st.set_page_config(page_title="Robust", page_icon=icon(ICON), layout="wide", initial_sidebar_state="collapsed")
    apply_style()
    st.session_state.entered = True
    page = navigation()
    choose_world()
    one_entry_a_page()
    try:
        default_guard()
    except (DamagedWorld, ValueError) as error:  # a damaged folder, or a guard without its classifier
        get_logger(__name__).error(error)
        st.error(without_folders(str(error)), icon=":material/broken_image:")
        st.stop()
    page.run()


if __name__ == "__main__":
    from pages.components.session.turns import turn

    with turn:
        run_script()
else:
    # Read when torch and NumPy are imported, which is later. One picture is judged as fast by one core, and their threads,
    # which wait busily for each other, would take the cores of other visitors.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from pages.components.session.hosted import middleware
    from pages.components.session.room_service import lifespan, routes

    app = st.App(__file__, lifespan=lifespan, routes=routes(), middleware=middleware())

"""The test images that ship with Robust, with their scores, for pages that show what a threshold refuses."""

import io

import numpy as np
import streamlit as st
from PIL import Image

from pages.components.session.session import default_guard
from pages.components.style.style import as_data_url
from robust.data.examples import samples
from robust.decision.tradeoff import Scores

SHIPPED = {"mnist": "mnist", "fashion-mnist": "fashion"}  # set -> its key in robust.data.examples.samples()
PER_CLASS = 20
SHEET_COLUMNS = 20


def shipped_scores(name: str) -> Scores | None:
    """The columns of a set's reference scores for its shipped images, or None when none of its images ship."""
    if name not in SHIPPED:
        return None
    columns = default_guard().scores[name]
    places = np.concatenate([np.flatnonzero(columns["label"] == label)[:PER_CLASS] for label in range(10)])
    return {column: values[places] for column, values in columns.items()}


@st.cache_data(show_spinner=False)
def shipped_picture(name: str, place: int) -> bytes:
    """One of the shipped images as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(samples()[f"{SHIPPED[name]}_images"][place, 0].numpy()).save(buffer, "PNG")
    return buffer.getvalue()


@st.cache_data(show_spinner=False)
def shipped_sheet(name: str) -> str:
    """All shipped images of a set in rows of SHEET_COLUMNS, as a data URL."""
    images = samples()[f"{SHIPPED[name]}_images"][:, 0].numpy()
    rows = images.reshape(-1, SHEET_COLUMNS, *images.shape[1:]).swapaxes(1, 2)
    return as_data_url(Image.fromarray(rows.reshape(-1, SHEET_COLUMNS * images.shape[2])))


def shipped_url(name: str, place: int) -> str:
    return as_data_url(Image.open(io.BytesIO(shipped_picture(name, place))))

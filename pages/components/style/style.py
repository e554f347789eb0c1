"""The look that the theme in .streamlit/config.toml cannot express: tight margins, the verdict, pixel-true pictures."""

import base64
import io
import re
from functools import cache
from pathlib import Path

import streamlit as st
from PIL import Image

HERE = Path(__file__).parent
COLOURS = (HERE / "colours.css").read_text()
CSS = f"<style>\n{COLOURS}{(HERE / 'pages.css').read_text()}</style>"


@cache
def colour(name: str) -> str:
    """A colour of colours.css as "#rrggbb", for plots; of two that of the light theme."""
    return re.search(rf"--{name}: [^;]*?(#\w{{6}})", COLOURS).group(1)


def apply_style() -> None:
    """Once per run, before the page. `light-dark()` follows the theme that the viewer chose."""
    scheme = "dark" if st.context.theme.type == "dark" else "light"
    st.html(CSS + f"<style>:root {{ color-scheme: {scheme}; }}</style>")


@cache  # a file would be read and hashed on every run
def icon(picture: Path) -> str:
    """A picture file as the small one in the browser's tab."""
    image = Image.open(picture)
    image.thumbnail((64, 64))
    return as_data_url(image)


def as_data_url(image: Image.Image) -> str:
    """A picture as text that HTML can show without a server."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # a photo in a third of the time, and a fifth larger
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

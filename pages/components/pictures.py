"""Pictures and probability bars as the pages show them."""

import numpy as np
import streamlit as st
from PIL import Image
from torch import Tensor

from pages.components.style import as_data_url
from robust.examples import EXAMPLES


def as_picture(pixels: Tensor) -> Image.Image:
    """A prepared image (1, size, size) in [0, 1] as a grey picture of as many pixels."""
    return Image.fromarray((pixels[0].numpy() * 255).round().astype(np.uint8))


def small(picture: Image.Image, side: int = 56) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((side, side))
    return picture


@st.cache_data(show_spinner=False)
def example_thumbnails() -> list[tuple[str, str, str]]:
    """The examples as the gallery wants them: name, caption, data URL."""
    return [(name, name, as_data_url(small(make()))) for name, make in EXAMPLES.items()]


def probability_bars(probabilities: np.ndarray) -> str:
    """HTML: ten bars, the largest emphasised, each with its digit below and its share above."""
    bars = "".join(
        f"<div class='{'top' if digit == probabilities.argmax() else ''}' title='{digit}: {p:.1%}'>"
        f"<span>{p:.0%}</span><i style='height:{68 * p:.1f}%'></i>{digit}</div>"
        for digit, p in enumerate(probabilities)
    )
    return f"<div class='bars' role='img' aria-label='probabilities of the ten digits'>{bars}</div>"

"""Pictures and probability bars as the pages show them."""

import html

import numpy as np
import streamlit as st
from PIL import Image, ImageColor
from plotly.colors import sequential
from torch import Tensor

from pages.components.session.session import class_name, example_picture, examples, words_for_html
from pages.components.style.style import as_data_url
from robust import Report, UnusableImage
from robust.inputs.decode import open_image

LETTERS = 2  # a class name of at most so many is set like a digit
BARS = 10

BRIGHTEST = 2.0  # nats: the end of the loss map's colours, the same for all pictures so that they compare
STOPS = np.array([ImageColor.getrgb(colour) for colour in sequential.Cividis])


def as_picture(pixels: Tensor) -> Image.Image:
    """A prepared image (1 or 3 channels, size, size) in [0, 1] as a picture of as many pixels."""
    levels = (pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return Image.fromarray(levels.squeeze(2) if len(pixels) == 1 else levels)


def heat(loss_map: Tensor) -> Image.Image:
    """Nats of each pixel as colours, from 0 to BRIGHTEST."""
    places = (loss_map / BRIGHTEST).clamp(0, 1).numpy() * (len(STOPS) - 1)
    channels = [np.interp(places, np.arange(len(STOPS)), STOPS[:, i]) for i in range(3)]
    return Image.fromarray(np.stack(channels, -1).round().astype(np.uint8))


def small(picture: Image.Image, side: int = 56) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((side, side))
    return picture


def example_thumbnails() -> list[tuple[str, str, str]]:
    """The examples as the gallery wants them: name, caption, data URL."""
    return [(name, name, thumbnail_of(example_picture(name))) for name in examples()]


@st.cache_data(max_entries=64, show_spinner=False)
def thumbnail_of(picture: bytes, side: int = 56) -> str:
    """A picture file as a data URL of at most so many pixels a side; a black square if it cannot be read."""
    try:
        return as_data_url(small(open_image(picture), side))
    except UnusableImage:
        return as_data_url(Image.new("RGB", (side, side)))


def name_of(label: int) -> str:
    """HTML: what people call a class."""
    return html.escape(class_name(label))


def claim(report: Report) -> str:
    """HTML: the class that the classifier claims, as large as its name allows."""
    kind = "digit" if len(report.class_name) <= LETTERS else "digit name"
    return f"<div class='{kind}'>{html.escape(report.class_name)}</div>"


def probability_bars(probabilities: np.ndarray) -> str:
    """HTML: a bar for each class, at most ten, the largest emphasised, each with its name and its share.

    Upright bars for names as short as digits, else lying ones.
    """
    shown = np.sort(np.argsort(-probabilities, kind="stable")[:BARS])
    names = {int(label): name_of(label) for label in shown}
    short = max(map(len, names.values())) <= LETTERS
    length = "height:{:.1f}%" if short else "flex-basis:{:.1f}%"
    bars = "".join(
        f"<div class='{'top' if label == probabilities.argmax() else ''}' title='{name}: {probabilities[label]:.1%}'>"
        f"<span>{probabilities[label]:.0%}</span>"
        f"<i style='{length.format((68 if short else 50) * probabilities[label])}'></i><b>{name}</b></div>"
        for label, name in names.items()
    )
    answer = words_for_html().answer
    kind = "bars" if short else "bars lying"
    return f"<div class='{kind}' role='img' aria-label='probability of each {answer}'>{bars}</div>"

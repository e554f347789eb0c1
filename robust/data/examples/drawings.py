"""Pictures that are no digits, though LeNet is sure that they are; drawn for this project."""

import math
import random
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

SIDE = 280  # pixels
COLOUR_SIDE = 400
BROWN, RED, ORANGE = "#B5651D", "#C8102E", "#E69A1C"
SHARPNESS = 2  # drawn so many times larger, and scaled down

Stroke = list[tuple[float, float]]


def curve(*points: tuple[float, float]) -> Stroke:
    """A cubic Bézier curve from the first of four points to the last."""
    t = np.linspace(0, 1, 24)[:, None]
    p0, p1, p2, p3 = map(np.array, points)
    along = (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3
    return [(float(x), float(y)) for x, y in along]


def arc(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Stroke:
    """A part of an ellipse around (x, y); angles in degrees."""
    angles = np.radians(np.linspace(start, end, 40))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


HEART = [
    arc(100, 105, 45, 50, 180, 351)
    + [(145, 150)]
    + arc(190, 105, 45, 50, 189, 360)
    + [(235, 115), (145, 235), (55, 105)]
]
LETTER_K = [[(90, 50), (90, 230)], [(210, 55), (95, 145), (215, 230)]]
FISH = [
    curve((45, 140), (80, 60), (165, 60), (200, 140))
    + [(245, 85), (245, 195), (200, 140)]
    + curve((200, 140), (165, 220), (80, 220), (45, 140))
]


def drawing(strokes: list[Stroke], width: int) -> Image.Image:
    """White ink on black, as from the pad; `width` of the pen in pixels of SIDE."""
    scale = SHARPNESS
    page = Image.new("L", (SIDE * scale, SIDE * scale), 0)
    pen = ImageDraw.Draw(page)
    for stroke in strokes:
        points = [(scale * x, scale * y) for x, y in stroke]
        pen.line(points, fill=255, width=width * scale, joint="curve")
        for x, y in (points[0], points[-1]):
            half = width * scale / 2
            pen.ellipse((x - half, y - half, x + half, y + half), fill=255)
    return page.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _in_colour(paint: Callable[[Callable], None]) -> Image.Image:
    """A white square of 400 pixels; `paint` gets a function that draws a shape ("ellipse", "polygon", "line") in a colour."""
    page = Image.new("RGB", (COLOUR_SIDE * SHARPNESS, COLOUR_SIDE * SHARPNESS), "white")
    pen = ImageDraw.Draw(page)

    def shape(kind: str, numbers: Sequence[float], colour: str, width: int = 0) -> None:
        options = {"width": width * SHARPNESS, "joint": "curve"} if kind == "line" else {}
        getattr(pen, kind)([SHARPNESS * number for number in numbers], fill=colour, **options)

    paint(shape)
    return page.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.LANCZOS)


def hen() -> Image.Image:
    """A brown hen that looks to the left."""

    def paint(shape: Callable) -> None:
        shape("polygon", (270, 200, 340, 130, 355, 100, 305, 100, 230, 170), BROWN)  # tail
        shape("ellipse", (110, 160.5, 310, 279.5), BROWN)
        shape("polygon", (170, 90.5, 110, 90.5, 110, 220, 220, 180.5), BROWN)  # neck
        shape("ellipse", (100, 58.5, 178, 132.5), BROWN)
        for x, y in ((162, 62.5), (142, 52.5), (122, 62.5)):
            shape("ellipse", (x - 14, y - 16, x + 14, y + 20), RED)  # comb
        shape("polygon", (106, 84.5, 60, 100.5, 106, 112.5), ORANGE)  # beak
        shape("ellipse", (94, 110.5, 114, 146.5), RED)
        shape("ellipse", (120, 82.5, 134, 96.5), "#FFFFFF")
        shape("ellipse", (122, 86.5, 130, 94.5), "#111111")
        for x in (235, 185):
            shape("line", (x, 271.5, x, 359.5), ORANGE, 11)
            shape("line", (x + 22, 359.5, x - 28, 359.5), ORANGE, 11)
        shape("ellipse", (175, 190, 280, 265), "#8A4A12")  # wing

    return _in_colour(paint)


def falafels() -> Image.Image:
    """Three falafels, one on top of two."""
    randomness = random.Random(3)

    def paint(shape: Callable) -> None:
        for x, y in ((130, 220), (270, 220), (200, 130)):
            shape("ellipse", (x - 72, y - 68, x + 72, y + 68), "#7A4A1E")
            shape("ellipse", (x - 64, y - 60, x + 56, y + 52), "#9C6B30")
            for _ in range(30):
                angle, far = randomness.uniform(0, 2 * math.pi), randomness.uniform(0, 55)
                cx, cy, half = x + far * math.cos(angle), y + far * math.sin(angle), randomness.uniform(3, 8)
                crumb = randomness.choice(("#5B3412", "#B98744", "#6B8E3A"))
                shape("ellipse", (cx - half, cy - half, cx + half, cy + half), crumb)

    return _in_colour(paint)


DRAWINGS: dict[str, Callable[[], Image.Image]] = {
    "Painted chicken": hen,
    "Painted falafels": falafels,
    "Heart": partial(drawing, HEART, 18),
    "Letter K": partial(drawing, LETTER_K, 30),
    "Fish": partial(drawing, FISH, 18),
}

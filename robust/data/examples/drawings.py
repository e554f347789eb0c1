"""Drawings that are no digits, though LeNet is sure that they are: strokes of a thick pen, drawn for this project."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

SIDE = 280  # pixels
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


CHICKEN = [
    curve((70, 95), (75, 40), (140, 40), (135, 100))  # head, back, tail, belly
    + curve((135, 100), (150, 140), (190, 110), (225, 75))
    + curve((225, 75), (240, 150), (210, 205), (150, 205))
    + curve((150, 205), (90, 205), (80, 150), (78, 110)),
    [(70, 95), (48, 108), (78, 112)],  # beak
    curve((85, 70), (80, 35), (105, 35), (105, 58)) + curve((105, 58), (110, 35), (135, 40), (128, 75)),  # comb
]
FALAFEL = [arc(140, 140, 80, 70), arc(115, 120, 12, 10), arc(170, 150, 12, 10), [(130, 175), (150, 180)], [(165, 105), (180, 115)]]  # fmt: skip
HEART = [arc(105, 105, 40, 42, 180, 360) + arc(185, 105, 40, 42, 180, 360) + [(225, 115), (145, 225), (65, 105)]]
LETTER_K = [[(90, 50), (90, 230)], [(195, 55), (95, 145), (200, 230)]]
FISH = [
    curve((50, 140), (90, 70), (170, 70), (200, 140))
    + [(240, 95), (240, 185), (200, 140)]
    + curve((200, 140), (170, 210), (90, 210), (50, 140))
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


DRAWINGS: dict[str, Callable[[], Image.Image]] = {
    "Drawn chicken": partial(drawing, CHICKEN, 18),
    "Drawn falafel": partial(drawing, FALAFEL, 24),
    "Heart": partial(drawing, HEART, 18),
    "Letter K": partial(drawing, LETTER_K, 30),
    "Fish": partial(drawing, FISH, 24),
}

"""Strokes as they come from a phone: checked, and drawn by the server, so that no stranger's picture file is decoded."""

from PIL import Image, ImageDraw

SIDE = 1000  # of the square that the strokes' coordinates lie in
PAD, PEN = 280, 20  # pixels, as on the pad of *Try it*
SHARPNESS = 2
MOST_STROKES, MOST_POINTS = 60, 4000  # a patient scribble has a tenth of that

Strokes = list[list[tuple[int, int]]]


class UnusableStrokes(ValueError):
    """The strokes are none, too many, or not on the pad; the text says it in a sentence."""


def checked(strokes: object) -> Strokes:
    """Strokes as lists of (x, y), whole numbers from 0 to SIDE. Raises UnusableStrokes."""
    if not isinstance(strokes, list) or not strokes:
        raise UnusableStrokes("Draw something first.")
    if len(strokes) > MOST_STROKES:
        raise UnusableStrokes(f"That is more than {MOST_STROKES} strokes: draw it simpler.")
    found, points = [], 0
    for stroke in strokes:
        if not isinstance(stroke, list) or not stroke:
            raise UnusableStrokes("That is no drawing.")
        points += len(stroke)
        if points > MOST_POINTS:
            raise UnusableStrokes(f"That is more than {MOST_POINTS} points: draw it simpler.")
        found.append([_point(point) for point in stroke])
    return found


def _point(point: object) -> tuple[int, int]:
    if not isinstance(point, list) or len(point) != 2 or not all(type(value) is int for value in point):
        raise UnusableStrokes("That is no drawing.")
    if not all(0 <= value <= SIDE for value in point):
        raise UnusableStrokes("A part of it lies beside the pad.")
    return point[0], point[1]


def draw(strokes: Strokes) -> Image.Image:
    """White ink of a round pen on a black pad of 280 by 280 pixels."""
    scale, radius = PAD * SHARPNESS / SIDE, PEN * SHARPNESS / 2
    pad = Image.new("L", (PAD * SHARPNESS, PAD * SHARPNESS))
    pen = ImageDraw.Draw(pad)
    for stroke in strokes:
        line = [(x * scale, y * scale) for x, y in stroke]
        if len(line) > 1:
            pen.line(line, fill=255, width=PEN * SHARPNESS, joint="curve")
        for x, y in line:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return pad.resize((PAD, PAD), Image.Resampling.LANCZOS)

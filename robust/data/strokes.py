"""Pen strokes, drawn as the pad of *Try it* shows them."""

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

PAD, PEN = 280, 20
SUPERSAMPLE = 2  # Pillow draws without antialiasing


def read(path: Path) -> list[dict]:
    """One JSON object a line, each with `strokes`: lists of [x, y] points, y down."""
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def draw(strokes: list, randomness: random.Random) -> Image.Image:
    """White ink of a round 20 px pen on a black 280x280 pad, at a random place and size (35 to 80 % of the pad)."""
    points = [point for stroke in strokes for point in stroke]
    left, top = (min(values) for values in zip(*points))
    width, height = (max(values) - low for values, low in zip(zip(*points), (left, top)))
    scale = randomness.uniform(0.35, 0.8) * PAD / max(width, height, 1e-6)
    room = [PAD - PEN - scale * side for side in (width, height)]
    x, y = (PEN / 2 + randomness.uniform(0, max(0, space)) for space in room)
    pad = Image.new("L", (PAD * SUPERSAMPLE, PAD * SUPERSAMPLE))
    pen = ImageDraw.Draw(pad)
    radius = PEN * SUPERSAMPLE / 2
    for stroke in strokes:
        line = [(((px - left) * scale + x) * SUPERSAMPLE, ((py - top) * scale + y) * SUPERSAMPLE) for px, py in stroke]
        pen.line(line, fill=255, width=PEN * SUPERSAMPLE, joint="curve")
        for px, py in line:
            pen.ellipse([px - radius, py - radius, px + radius, py + radius], fill=255)
    return pad.resize((PAD, PAD), Image.Resampling.LANCZOS)

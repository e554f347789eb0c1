"""Pen strokes as people hold them up to a camera: written on paper of many kinds, lit, and photographed."""

import cv2
import numpy as np
from PIL import Image

SIDE = 800  # px of a sheet
KINDS = (
    "plain paper",
    "dim photo",
    "ruled",
    "squared",
    "in a box",
    "on a line",
    "hard shadow",
    "on a desk",
    "partly outside the picture",
    "scan with a white margin",
    "28×28",
    "in a form",
    "on a tablecloth",
    "on a desk, half in the shade",
    "folded",
    "held by a finger",
    "yellow marker",
    "held up in a room",
)
PENS = {"black": (28, 28, 32), "blue": (38, 58, 158), "pencil": (105, 103, 106), "red": (170, 42, 48)}
RULES = ((176, 196, 226), (150, 150, 152), (226, 160, 162))
YELLOW, SKIN = (250, 236, 70), (205, 150, 120)
ON_DESK = ("on a desk", "partly outside the picture", "on a tablecloth", "on a desk, half in the shade")
DESKS = ((104, 72, 46), (66, 66, 70), (156, 126, 92), (36, 40, 46))


def photograph(kind: str, strokes: list, seed: int) -> Image.Image:
    """An 'RGB' photo of pen strokes ([[[x, y], ...], ...], y down) on paper of one of KINDS. Same seed, same photo."""
    randomness = np.random.default_rng([seed, KINDS.index(kind)])
    paper = np.empty((SIDE, SIDE, 3), np.float32)
    paper[:] = 255 * randomness.uniform(0.8, 0.98) * randomness.uniform(0.95, 1, 3)
    extent = randomness.uniform(0.3, 0.55) * SIDE
    middle = SIDE / 2 + randomness.uniform(-0.08, 0.08, 2) * SIDE
    pen = randomness.uniform(0.017, 0.042) * SIDE
    if kind == "in a form":
        extent, pen = 0.22 * extent, 0.22 * pen
    _print_lines(paper, kind, middle, extent, randomness)
    ink = np.array(list(PENS.values()))[randomness.integers(len(PENS))]
    if kind == "yellow marker":
        ink, pen = YELLOW, 0.11 * extent
    _write(paper, strokes, middle, extent, pen, ink)
    paper = cv2.GaussianBlur(paper, (0, 0), randomness.uniform(0.5, 1.5))
    paper *= _light(kind, randomness)[..., None]
    if kind in ON_DESK:
        paper = _lay_on_desk(paper, kind, randomness)
    if kind == "on a desk, half in the shade":
        paper *= _shadow(len(paper), randomness)[..., None]
    if kind == "held by a finger":
        paper = _with_finger(paper, randomness)
    if kind == "held up in a room":
        paper = _hold_up(paper, randomness)
    if kind == "scan with a white margin":
        paper *= randomness.uniform(0.7, 0.85)
    if kind == "dim photo":
        paper *= randomness.uniform(0.3, 0.45)
    paper += randomness.normal(0, randomness.uniform(1, 4), paper.shape)  # the sensor's noise
    photo = np.clip(np.rint(paper), 0, 255).astype(np.uint8)
    if kind == "scan with a white margin":
        margin = [int(randomness.uniform(0.04, 0.2) * SIDE) for _ in range(4)]
        photo = cv2.copyMakeBorder(photo, *margin, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    if kind == "28×28":
        photo = cv2.resize(photo, (28, 28), interpolation=cv2.INTER_AREA)
    return Image.fromarray(photo)


def _print_lines(paper: np.ndarray, kind: str, middle: np.ndarray, extent: float, randomness) -> None:
    """What is printed on the paper, a little askew."""
    if kind in ("ruled", "squared"):
        colour, thickness = RULES[randomness.integers(len(RULES))], int(randomness.integers(1, 4))
        pitch, slope = randomness.uniform(0.08, 0.2) * SIDE, randomness.uniform(-0.02, 0.02)
        for at in np.arange(randomness.uniform(0, pitch), SIDE, pitch):
            _line(paper, (0, at), (SIDE, at + slope * SIDE), colour, thickness)
            if kind == "squared":
                _line(paper, (at, 0), (at - slope * SIDE, SIDE), colour, thickness)
    grey, thickness = (randomness.uniform(20, 120),) * 3, int(randomness.integers(2, 6))
    if kind == "in a box":
        corners = middle + randomness.uniform(0.65, 0.95) * extent * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        for start, end in zip(corners, np.roll(corners, -1, 0)):
            _line(paper, start, end, grey, thickness)
    if kind == "on a line":
        below = middle[1] + randomness.uniform(0.5, 0.62) * extent
        _line(paper, (0, below), (SIDE, below + randomness.uniform(-8, 8)), grey, thickness)
    if kind == "in a form":
        _print_cells(paper, middle, extent / randomness.uniform(0.55, 0.8), grey, thickness, randomness)


def _print_cells(paper: np.ndarray, middle: np.ndarray, cell: float, colour, thickness: int, randomness) -> None:
    """Up to three rows of up to five cells, a little askew, one of which holds `middle`."""
    counts = randomness.integers(1, [6, 4])
    slope, corner = randomness.uniform(-0.02, 0.02), middle + randomness.uniform(-0.58, -0.42, 2) * cell
    corner -= randomness.integers(0, counts) * cell
    for axis in (0, 1):
        for i in range(counts[axis] + 1):
            ends = np.zeros((2, 2))
            ends[:, axis], ends[1, 1 - axis] = i, counts[1 - axis]
            ends = corner + cell * ends @ [[1, slope], [-slope, 1]]
            _line(paper, *ends, colour, thickness)


def _line(paper: np.ndarray, start, end, colour, thickness: int) -> None:
    """With ends at fractions of a pixel, antialiased."""
    ends = [tuple(int(round(16 * float(value))) for value in point) for point in (start, end)]
    cv2.line(paper, *ends, tuple(map(float, colour)), thickness, cv2.LINE_AA, shift=4)


def _write(paper: np.ndarray, strokes: list, middle: np.ndarray, extent: float, pen: float, ink) -> None:
    points = np.concatenate([np.asarray(stroke, np.float64) for stroke in strokes])
    low, high = points.min(0), points.max(0)
    scale = extent / max(*(high - low), 1e-6)
    for stroke in strokes:
        line = (np.asarray(stroke, np.float64) - (low + high) / 2) * scale + middle
        line = np.rint(16 * line).astype(np.int32)[:, None]
        cv2.polylines(paper, [line], False, tuple(map(float, ink)), round(pen), cv2.LINE_AA, shift=4)


def _light(kind: str, randomness) -> np.ndarray:
    """How bright each place of the sheet is: light from one side, and perhaps the shadow of something near, or folds."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    slope = randomness.uniform(-0.14, 0.14, 2)
    light = 1 + slope[0] * x + slope[1] * y
    if kind == "hard shadow":
        light *= _shadow(SIDE, randomness)
    if kind == "folded":
        for _ in range(randomness.integers(1, 4)):
            across = (x, y)[randomness.integers(2)] + randomness.uniform(-0.6, 0.6)
            light *= 1 - randomness.uniform(0.05, 0.15) * (across > 0) * np.exp(-np.abs(across) / 0.6)
            light *= 1 - 0.1 * np.exp(-np.abs(across) * SIDE / 6)  # the crease itself
    return light


def _shadow(side: int, randomness) -> np.ndarray:
    """What a shadow across a picture leaves of the light, its edge hard or soft."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    angle = randomness.uniform(0, 2 * np.pi)
    shaded = np.cos(angle) * x + np.sin(angle) * y > randomness.uniform(-0.3, 0.3)
    edge = cv2.GaussianBlur(shaded.astype(np.float32), (0, 0), randomness.uniform(1, 12))
    return 1 - randomness.uniform(0.3, 0.55) * edge


def _with_finger(paper: np.ndarray, randomness) -> np.ndarray:
    """A finger that reaches into the picture from one of its sides."""
    covered, at = np.zeros((SIDE, SIDE), np.float32), randomness.uniform(0.15, 0.85) * SIDE
    tip = (int(at + randomness.uniform(-60, 60)), int(randomness.uniform(0.06, 0.14) * SIDE))
    cv2.line(covered, (int(at), -60), tip, 1, int(randomness.uniform(0.08, 0.13) * SIDE), cv2.LINE_AA)
    covered = cv2.GaussianBlur(np.rot90(covered, randomness.integers(4)), (0, 0), 2)[..., None]
    return paper * (1 - covered) + np.array(SKIN, np.float32) * randomness.uniform(0.5, 1.05) * covered


def _hold_up(paper: np.ndarray, randomness) -> np.ndarray:
    """The sheet in the hands of somebody who sits in a room of many things."""
    room = np.empty_like(paper)
    room[:] = randomness.uniform(90, 200) * randomness.uniform(0.8, 1, 3)
    for _ in range(randomness.integers(6, 16)):
        corner, size = randomness.uniform(0, SIDE, 2), randomness.uniform(0.05, 0.3, 2) * SIDE
        colour = tuple(map(float, randomness.uniform(20, 190, 3)))
        cv2.rectangle(room, np.int32(corner), np.int32(corner + size), colour, -1)
    skin = tuple(map(float, np.array(SKIN) * randomness.uniform(0.5, 1)))
    head = np.array([0.5 + randomness.uniform(-0.15, 0.15), 0.25]) * SIDE
    shirt = tuple(map(float, randomness.uniform(20, 190, 3)))
    cv2.ellipse(room, np.int32([head[0], SIDE]), np.int32([0.35 * SIDE, 0.45 * SIDE]), 0, 180, 360, shirt, -1)
    cv2.ellipse(room, np.int32(head), np.int32([0.1 * SIDE, 0.14 * SIDE]), 0, 0, 360, skin, -1)
    room = cv2.GaussianBlur(room, (0, 0), randomness.uniform(2, 5))
    half, turn = randomness.uniform(0.2, 0.38) * SIDE, np.radians(randomness.uniform(-9, 9))
    square = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    corners = square @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    corners += SIDE / 2 + randomness.uniform(-0.06, 0.06, 2) * SIDE + randomness.uniform(-0.01, 0.01, (4, 2)) * SIDE
    room = _laid(paper, corners, room)
    for upper, lower in ((0, 3), (1, 2)):  # a hand on the left and one on the right
        share = randomness.uniform(0.4, 0.7)
        rim = (1 - share) * corners[upper] + share * corners[lower]
        inwards = (corners.mean(0) - rim) / np.hypot(*(corners.mean(0) - rim))
        for finger in range(-randomness.integers(0, 3), 1):
            at = rim + (0, 0.14 * half * finger)
            ends = at - 0.35 * half * inwards, at + randomness.uniform(0.1, 0.2) * half * inwards
            cv2.line(room, *np.int32(ends), skin, int(0.1 * half), cv2.LINE_AA)
    return room


def _lay_on_desk(paper: np.ndarray, kind: str, randomness) -> np.ndarray:
    """The sheet, turned and seen a little from the side, before a desk with a grain."""
    side = int(1.2 * SIDE)
    grain = randomness.normal(0, 6, (side, 1, 1)) + randomness.normal(0, 3, (side, side, 1))
    desk = (np.array(DESKS[randomness.integers(len(DESKS))]) + grain).astype(np.float32)
    if kind == "on a tablecloth":
        square = int(randomness.uniform(0.03, 0.06) * side)
        odd = (np.add.outer(np.arange(side) // square, np.arange(side) // square) % 2).astype(bool)
        desk[odd] = (230, 225, 218)
    angle, half = np.radians(randomness.uniform(-12, 12)), randomness.uniform(0.28, 0.42) * side
    corners = (
        half
        * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        @ [
            [np.cos(angle), np.sin(angle)],
            [-np.sin(angle), np.cos(angle)],
        ]
    )
    corners += side / 2 + randomness.uniform(-0.03, 0.03, (4, 2)) * side
    if kind == "partly outside the picture":
        corners[:, randomness.integers(2)] += randomness.choice([-1, 1]) * (side / 2 - 0.75 * half)
    return _laid(paper, corners, desk)


def _laid(paper: np.ndarray, corners: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The sheet between four corners (x, y) on a ground (side, side, 3)."""
    side = len(ground)
    sheet = np.float32([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]])
    matrix = cv2.getPerspectiveTransform(sheet, corners.astype(np.float32))
    seen = cv2.warpPerspective(np.ones((SIDE, SIDE), np.float32), matrix, (side, side))[..., None]
    return ground * (1 - seen) + cv2.warpPerspective(paper, matrix, (side, side)) * seen

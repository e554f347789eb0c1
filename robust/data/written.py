"""Digits and other characters as pens write them, made stroke by stroke: nothing here is copied from a data set.

MNIST's writers went to American schools. Others give a 1 a flag and a foot, cross their sevens, slash their zeros, close
their fours. All functions draw their randomness from the generator given.
"""

import math

import torch
from torch import Generator, Tensor

from robust.data.randomness import chance, uniform

STROKES, POINTS = 5, 28  # at most so many strokes in one drawing, each of so many points
CORNER = True
WOBBLE = (0.015, 0.07)  # how far control points stray, as a share of the character's height
ILLEGIBLE = (0.25, 0.5)  # the same, for what is no longer the digit that it was

# Strokes by their control points x, y, from the top left corner of a unit square; the pen turns sharply at a CORNER.
OVAL = [(0.55, 0.0), (0.15, 0.2), (0.1, 0.65), (0.45, 1.0), (0.85, 0.7), (0.85, 0.25), (0.5, 0.0)]
UPRIGHT = [(0.55, 0.0), (0.5, 1.0)]
BOWS = [(0.2, 0.12), (0.5, 0.0), (0.8, 0.22), (0.45, 0.47, CORNER), (0.85, 0.72), (0.5, 1.0), (0.12, 0.86)]
EIGHT = [
    (0.75, 0.12), (0.4, 0.0), (0.2, 0.22), (0.5, 0.47), (0.82, 0.78), (0.5, 1.0), (0.18, 0.78), (0.5, 0.47), (0.8, 0.2),
    (0.6, 0.02),
]  # fmt: skip
HEAD = [(0.78, 0.12), (0.45, 0.0), (0.2, 0.25), (0.45, 0.48), (0.75, 0.3), (0.8, 0.08)]  # a 9's loop
DIGITS: dict[int, list[list[list[tuple]]]] = {
    0: [
        [OVAL],
        [[(0.6, 0.08), *OVAL[1:], (0.3, 0.12)]],
        [[(0.5, 0.0), (0.85, 0.3), (0.8, 0.75), (0.45, 1.0), (0.12, 0.7), (0.15, 0.25), (0.55, 0.0)]],
        [OVAL, [(0.85, 0.05), (0.15, 0.95)]],
        [[(0.35, 0.02), *OVAL[1:-1], (0.55, 0.02), (0.35, 0.15)]],
        [[(0.0, 0.3), (0.3, 0.05), (0.7, 0.05), (0.9, 0.45), (0.55, 1.0), (0.15, 0.75), (0.2, 0.3), (0.5, 0.08)]],
        [[(0.35, 0.35), (0.25, 0.1), *OVAL[2:-1], (0.5, 0.0), (0.15, 0.15)]],
    ],
    1: [
        [UPRIGHT],
        [[(0.65, 0.0), (0.35, 1.0)]],
        [[(0.2, 0.3), (0.5, 0.0, CORNER), (0.5, 1.0)]],
        [[(0.1, 0.5), (0.55, 0.0, CORNER), (0.5, 1.0)]],
        [[(0.05, 0.65), (0.35, 0.35), (0.6, 0.0, CORNER), (0.5, 1.0)]],
        [[(0.1, 0.3), (0.5, 0.0, CORNER), (0.5, 1.0)], [(0.05, 1.0), (0.95, 0.98)]],
        [[(0.25, 0.2), (0.5, 0.0, CORNER), (0.5, 1.0)], [(0.2, 1.0), (0.8, 1.0)]],
        [UPRIGHT, [(0.25, 1.0), (0.75, 1.0)]],
        [[(0.25, 0.25), (0.4, 0.15), (0.5, 0.0, CORNER), (0.52, 0.5), (0.5, 1.0)]],
        [[(0.3, 0.5), (0.35, 0.22), (0.65, 0.0, CORNER), (0.45, 1.0)]],
        [[(0.5, 0.35), (0.32, 0.42), (0.62, 0.0, CORNER), (0.45, 1.0)]],
        [[(0.25, 0.3), (0.6, 0.0, CORNER), (0.6, 0.85), (0.45, 1.0), (0.25, 0.92)]],
    ],
    2: [
        [[(0.15, 0.22), (0.5, 0.0), (0.82, 0.25), (0.55, 0.65), (0.12, 1.0, CORNER), (0.9, 1.0)]],
        [[(0.2, 0.15), (0.6, 0.02), (0.75, 0.35), (0.3, 0.9), (0.15, 0.85), (0.3, 0.75), (0.6, 0.95), (0.9, 0.92)]],
        [[(0.1, 0.3), (0.3, 0.03), (0.75, 0.1), (0.75, 0.45), (0.1, 1.0, CORNER), (0.5, 0.95), (0.9, 1.0)]],
        [[(0.15, 0.1), (0.65, 0.02), (0.8, 0.3), (0.15, 0.98, CORNER), (0.85, 0.9)]],
    ],
    3: [
        [BOWS],
        [[(0.15, 0.0), (0.8, 0.0, CORNER), (0.45, 0.4, CORNER), (0.85, 0.7), (0.5, 1.0), (0.1, 0.88)]],
        [[(0.2, 0.1), (0.6, 0.0), (0.75, 0.25), (0.5, 0.45), (0.4, 0.5), (0.55, 0.5), (0.82, 0.72), (0.45, 1.0), (0.1, 0.9)]],
        [[(0.15, 0.05), (0.75, 0.08), (0.7, 0.35), (0.3, 0.5, CORNER), (0.8, 0.6), (0.75, 0.95), (0.1, 0.95)]],
        [[(0.15, 0.08), (0.8, 0.0, CORNER), (0.5, 0.38), (0.75, 0.55), (0.6, 0.88), (0.1, 1.0)]],
    ],
    4: [
        [[(0.3, 0.0), (0.15, 0.6, CORNER), (0.9, 0.6)], [(0.7, 0.1), (0.65, 1.0)]],
        [[(0.65, 0.0), (0.05, 0.68, CORNER), (0.95, 0.68)], [(0.66, 0.0), (0.64, 1.0)]],
        [[(0.6, 1.0), (0.62, 0.0, CORNER), (0.05, 0.7, CORNER), (0.95, 0.68)]],
        [[(0.2, 0.0), (0.15, 0.5), (0.45, 0.58), (0.8, 0.5)], [(0.8, 0.0), (0.75, 1.0)]],
        [[(0.25, 0.05), (0.2, 0.55, CORNER), (0.75, 0.5)], [(0.85, 0.0), (0.6, 1.0)]],
        [[(0.4, 0.0), (0.2, 0.7, CORNER), (0.85, 0.68)], [(0.62, 0.45), (0.58, 1.0)]],
        [[(0.35, 0.0), (0.15, 0.45), (0.3, 0.6), (0.7, 0.5)], [(0.7, 0.3), (0.7, 0.5), (0.55, 1.0)]],
        [[(0.4, 0.0), (0.1, 0.62, CORNER), (1.0, 0.55)], [(0.55, 0.3), (0.5, 1.0)]],
        [[(0.3, 0.0), (0.25, 0.6), (0.4, 0.68), (0.75, 0.55)], [(0.75, 0.4), (0.6, 1.0)]],
        [[(0.45, 0.0), (0.05, 0.6, CORNER), (0.95, 0.62)], [(0.6, 0.35), (0.58, 1.0)]],
        [[(0.5, 0.0), (0.2, 0.55), (0.28, 0.75), (0.85, 0.68)], [(0.65, 0.42), (0.62, 0.7), (0.52, 1.0)]],
    ],
    5: [
        [[(0.25, 0.0), (0.2, 0.42, CORNER), (0.6, 0.35), (0.85, 0.68), (0.5, 1.0), (0.1, 0.9)], [(0.25, 0.0), (0.85, 0.0)]],
        [[(0.85, 0.0), (0.25, 0.02, CORNER), (0.2, 0.42, CORNER), (0.65, 0.38), (0.82, 0.7), (0.5, 1.0), (0.1, 0.9)]],
        [[(0.8, 0.02), (0.35, 0.08), (0.25, 0.35), (0.6, 0.5), (0.75, 0.78), (0.4, 1.0), (0.1, 0.92)]],
        [[(0.3, 0.1), (0.25, 0.45), (0.65, 0.42), (0.8, 0.75), (0.4, 1.0), (0.12, 0.85)], [(0.3, 0.08), (0.9, 0.0)]],
        [[(0.3, 0.05), (0.25, 0.4), (0.6, 0.45), (0.65, 0.8), (0.3, 1.0), (0.05, 0.9)], [(0.4, 0.1), (1.0, 0.12)]],
        [[(0.35, 0.1), (0.3, 0.4, CORNER), (0.6, 0.45), (0.7, 0.75), (0.1, 1.0)], [(0.3, 0.1), (1.0, 0.05)]],
        [[(0.2, 0.05), (0.25, 0.42, CORNER), (0.55, 0.36), (0.75, 0.65), (0.35, 1.0), (0.1, 0.92)], [(0.2, 0.05), (0.6, 0.0), (0.9, 0.12)]],
        [[(0.0, 0.3), (0.05, 0.05), (0.4, 0.0, CORNER), (0.4, 0.42, CORNER), (0.75, 0.5), (0.75, 0.85), (0.2, 1.0)], [(0.4, 0.02), (1.0, 0.1)]],
    ],
    6: [
        [[(0.7, 0.0), (0.3, 0.35), (0.18, 0.75), (0.5, 1.0), (0.8, 0.75), (0.5, 0.52), (0.22, 0.72)]],
        [[(0.45, 0.0), (0.2, 0.45), (0.2, 0.85), (0.55, 1.0), (0.78, 0.78), (0.55, 0.58), (0.25, 0.75)]],
        [[(0.8, 0.1), (0.5, 0.02), (0.2, 0.4), (0.2, 0.8), (0.55, 1.0), (0.82, 0.72), (0.55, 0.48), (0.2, 0.65)]],
        [[(0.35, 0.0), (0.2, 0.7), (0.4, 1.0), (0.75, 0.88), (0.6, 0.62), (0.22, 0.8)]],
        [[(0.65, 0.0), (0.4, 0.5), (0.3, 0.85), (0.5, 1.0), (0.65, 0.85), (0.5, 0.7), (0.32, 0.82)]],
        [[(0.9, 0.2), (0.6, 0.0), (0.25, 0.4), (0.25, 0.85), (0.55, 1.0), (0.7, 0.8), (0.5, 0.62), (0.15, 0.75)]],
    ],
    7: [
        [[(0.1, 0.03), (0.85, 0.0, CORNER), (0.4, 1.0)]],
        [[(0.1, 0.03), (0.85, 0.0, CORNER), (0.4, 1.0)], [(0.3, 0.5), (0.85, 0.46)]],
        [[(0.12, 0.2), (0.12, 0.03, CORNER), (0.85, 0.03, CORNER), (0.45, 1.0)]],
        [[(0.1, 0.1), (0.45, 0.06), (0.85, 0.0, CORNER), (0.55, 0.45), (0.45, 1.0)]],
        [[(0.1, 0.15), (0.3, 0.0), (0.6, 0.1), (0.88, 0.02, CORNER), (0.5, 0.5), (0.38, 1.0)], [(0.25, 0.55), (0.75, 0.5)]],
        [[(0.1, 0.03), (0.75, 0.0, CORNER), (0.7, 1.0)]],
        [[(0.15, 0.2), (0.4, 0.0), (0.75, 0.08), (0.6, 0.55), (0.4, 1.0)], [(0.2, 0.62), (0.9, 0.58)]],
        [[(0.15, 0.25), (0.35, 0.03), (0.78, 0.05), (0.65, 0.5), (0.5, 1.0)], [(0.35, 0.55), (0.85, 0.6)]],
        [[(0.1, 0.1), (0.4, 0.0), (0.75, 0.05), (0.6, 0.5), (0.45, 1.0)], [(0.15, 0.72), (0.95, 0.68)]],
        [[(0.1, 0.15), (0.2, 0.03, CORNER), (0.8, 0.03, CORNER), (0.5, 1.0)], [(0.15, 0.5), (0.8, 0.5)]],
    ],
    8: [
        [EIGHT],
        [[(0.5, 0.45), (0.2, 0.25), (0.5, 0.0), (0.8, 0.22), (0.5, 0.46), (0.15, 0.75), (0.5, 1.0), (0.85, 0.75), (0.5, 0.45)]],
        [
            [(0.5, 0.0), (0.25, 0.22), (0.5, 0.45), (0.75, 0.22), (0.5, 0.0)],
            [(0.5, 0.45), (0.18, 0.72), (0.5, 1.0), (0.82, 0.72), (0.5, 0.45)],
        ],
        [[(0.85, 0.08), (0.3, 0.05), (0.3, 0.35), (0.7, 0.65), (0.6, 0.98), (0.25, 0.9), (0.35, 0.6), (0.8, 0.1)]],
        [[(0.9, 0.0), (0.3, 0.6), (0.2, 0.9), (0.5, 1.0), (0.6, 0.7), (0.4, 0.3), (0.5, 0.0), (0.8, 0.15)]],
        [[(0.2, 0.05), (0.35, 0.4), (0.75, 0.75), (0.5, 1.0), (0.22, 0.78), (0.6, 0.4), (0.75, 0.1), (0.4, 0.0), (0.2, 0.08)]],
        [[(0.85, 0.05), (0.4, 0.05), (0.3, 0.3), (0.55, 0.55), (0.45, 0.98), (0.3, 0.85), (0.5, 0.55), (0.9, 0.1)]],
    ],
    9: [
        [[*HEAD, (0.75, 0.4, CORNER), (0.7, 1.0)]],
        [[*HEAD, (0.72, 0.5), (0.4, 1.0)]],
        [[*HEAD, (0.8, 0.6), (0.6, 1.0), (0.15, 0.92)]],
        [[*HEAD, (0.75, 0.4, CORNER), (0.8, 0.75), (0.5, 1.0), (0.05, 0.85)]],
        [[(0.8, 0.08), *HEAD[1:4], (0.75, 0.28), (0.72, 0.6), (0.85, 0.85), (0.45, 1.0), (0.1, 0.95)]],
        [[(0.7, 0.05), (0.35, 0.02), (0.25, 0.25), (0.65, 0.2), (0.7, 0.02, CORNER), (0.8, 0.6), (0.5, 1.0), (0.0, 0.9)]],
        [[(0.75, 0.25), (0.45, 0.5), (0.2, 0.25), (0.5, 0.0), (0.75, 0.22), (0.7, 0.7), (0.45, 1.0)]],
        [[(0.5, 0.0), (0.2, 0.2), (0.4, 0.45), (0.78, 0.25), (0.5, 0.0)], [(0.78, 0.15), (0.72, 1.0)]],
        [[(0.72, 0.1), (0.5, 0.0), (0.38, 0.15), (0.55, 0.27), (0.74, 0.12), (0.78, 0.5), (0.6, 0.88), (0.1, 1.0)]],
        [[(0.68, 0.25), (0.35, 0.3), (0.35, 0.08), (0.7, 0.0), (0.8, 0.35), (0.6, 0.8), (0.3, 1.0)]],
    ],
}  # fmt: skip
# What characters of any script are joined of. The first, alone, are a character however they are turned; the others might
# be a 0, a 1 or a 7.
ALONE = 7
PIECES: list[list[tuple]] = [
    [(0.9, 0.1), (0.3, 0.0), (0.0, 0.5), (0.3, 1.0), (0.9, 0.9)],  # a bow
    [(0.1, 0.1), (0.7, 0.0), (1.0, 0.5), (0.7, 1.0), (0.1, 0.9)],
    [(0.0, 0.1), (0.1, 0.8), (0.5, 1.0), (0.9, 0.8), (1.0, 0.1)],
    [(0.0, 0.9), (0.1, 0.2), (0.5, 0.0), (0.9, 0.2), (1.0, 0.9)],
    [(0.1, 0.1), (0.1, 0.9, CORNER), (0.9, 0.9, CORNER), (0.9, 0.1, CORNER), (0.1, 0.1)],  # a box
    [(0.5, 0.0), (0.0, 1.0, CORNER), (1.0, 1.0, CORNER), (0.5, 0.0)],
    [(0.5, 0.0), (0.0, 0.5, CORNER), (0.5, 1.0, CORNER), (1.0, 0.5, CORNER), (0.5, 0.0)],
    [(0.5, 0.0), (0.5, 1.0)],
    [(0.0, 0.5), (1.0, 0.5)],
    [(0.9, 0.0), (0.1, 1.0)],
    [(0.1, 0.0), (0.9, 1.0)],
    [(0.5, 0.0), (0.1, 0.5), (0.5, 1.0), (0.9, 0.5), (0.5, 0.0)],  # a ring
    [(0.1, 0.0), (0.1, 1.0, CORNER), (0.9, 1.0)],  # an angle
    [(0.1, 0.0), (0.9, 0.0, CORNER), (0.9, 1.0)],
    [(0.0, 0.0), (0.5, 1.0, CORNER), (1.0, 0.0)],
    [(0.0, 1.0), (0.5, 0.0, CORNER), (1.0, 1.0)],
    [(0.9, 0.0), (0.1, 0.5, CORNER), (0.9, 1.0)],
    [(0.1, 0.0), (0.9, 0.5, CORNER), (0.1, 1.0)],
    [(0.7, 0.0), (0.7, 0.8), (0.4, 1.0), (0.1, 0.8)],  # a hook
    [(0.3, 0.0), (0.3, 0.8), (0.6, 1.0), (0.9, 0.8)],
    [(0.1, 0.9), (0.3, 0.1), (0.6, 0.1), (0.6, 1.0)],
    [(0.9, 0.1), (0.4, 0.0), (0.2, 0.3), (0.5, 0.5), (0.8, 0.7), (0.6, 1.0), (0.1, 0.9)],  # a wave
    [(0.0, 0.6), (0.25, 0.3), (0.5, 0.5), (0.75, 0.7), (1.0, 0.4)],
    [(0.0, 0.0), (0.3, 1.0, CORNER), (0.5, 0.2, CORNER), (0.7, 1.0, CORNER), (1.0, 0.0)],  # a zigzag
    [(0.1, 0.0), (0.9, 0.0, CORNER), (0.1, 1.0, CORNER), (0.9, 1.0)],
    [(0.2, 0.0), (0.2, 0.8), (0.5, 1.0), (0.8, 0.7), (0.5, 0.5), (0.2, 0.7)],  # a bow on a stem
    [(0.2, 1.0), (0.2, 0.0), (0.7, 0.0), (0.8, 0.3), (0.2, 0.5)],
    [(0.1, 0.4), (0.6, 0.4), (0.5, 0.1), (0.1, 0.4), (0.3, 0.95), (0.9, 0.8)],  # a loop
    [(0.0, 1.0), (0.5, 0.6), (0.6, 0.1), (0.4, 0.1), (0.4, 0.6), (0.9, 1.0)],
    [(0.6, 0.5), (0.4, 0.4), (0.4, 0.7), (0.8, 0.7), (0.8, 0.2), (0.2, 0.1), (0.1, 0.9), (0.9, 1.0)],  # a spiral
]  # fmt: skip
CONTROLS = 10  # at most so many in one stroke


def _spread(stroke: list[tuple]) -> tuple[Tensor, Tensor]:
    """Control points (CONTROLS, 2), and the matrix (POINTS, CONTROLS) that makes points along a Catmull-Rom spline of them.

    Points are spread evenly over the length of the stroke.
    """
    own = torch.tensor([point[:2] for point in stroke])
    count = len(own)
    pieces = []
    for i in range(count - 1):
        time = torch.linspace(0, 1, 33)[:, None]
        weights = torch.zeros(33, count)
        before = i if len(stroke[i]) > 2 else max(i - 1, 0)
        after = i + 1 if len(stroke[i + 1]) > 2 else min(i + 2, count - 1)
        basis = torch.cat(
            [
                -0.5 * time + time**2 - 0.5 * time**3,
                1 - 2.5 * time**2 + 1.5 * time**3,
                0.5 * time + 2 * time**2 - 1.5 * time**3,
                -0.5 * time**2 + 0.5 * time**3,
            ],
            1,
        )
        for k, place in enumerate((before, i, i + 1, after)):
            weights[:, place] += basis[:, k]
        pieces.append(weights if i == count - 2 else weights[:-1])
    weights = torch.cat(pieces)
    lengths = (weights @ own).diff(dim=0).norm(dim=1).cumsum(0)
    wanted = torch.linspace(0, float(lengths[-1]), POINTS)
    nearest = torch.searchsorted(torch.cat([torch.zeros(1), lengths]), wanted).clamp(max=len(weights) - 1)
    matrix, controls = torch.zeros(POINTS, CONTROLS), torch.zeros(CONTROLS, 2)
    matrix[:, :count], controls[:count] = weights[nearest], own
    return controls, matrix


def _table(characters: list[list[list[tuple]]]) -> tuple[Tensor, Tensor, Tensor]:
    """Controls (C, STROKES, CONTROLS, 2), matrices (C, STROKES, POINTS, CONTROLS) and which strokes exist (C, STROKES)."""
    controls = torch.zeros(len(characters), STROKES, CONTROLS, 2)
    matrices = torch.zeros(len(characters), STROKES, POINTS, CONTROLS)
    exists = torch.zeros(len(characters), STROKES, dtype=torch.bool)
    for i, strokes in enumerate(characters):
        for k, stroke in enumerate(strokes):
            controls[i, k], matrices[i, k] = _spread(stroke)
            exists[i, k] = True
    return controls, matrices, exists


_DIGITS = _table([hand for digit in DIGITS.values() for hand in digit])
_HANDS = torch.tensor([len(hands) for hands in DIGITS.values()])
_FIRST_HAND = _HANDS.cumsum(0) - _HANDS
_PIECES = _table([[piece] for piece in PIECES])


def digits(labels: Tensor, generator: Generator, wobble: tuple[float, float] = WOBBLE) -> tuple[Tensor, Tensor]:
    """Pen paths (N, STROKES, POINTS, 2) of the digits `labels` (N,), each in one of the hands that it is written in, and
    which strokes exist (N, STROKES)."""
    count = len(labels)
    hands = _FIRST_HAND[labels] + (torch.rand(count, generator=generator) * _HANDS[labels]).long()
    controls, matrices, exists = (table[hands] for table in _DIGITS)
    amount = uniform(*wobble, (count, 1, 1, 1), generator)
    controls = controls + amount * torch.randn(controls.shape, generator=generator)
    paths = slanted(torch.einsum("nspc,nscd->nspd", matrices, controls), generator)
    return paths, exists


def slanted(paths: Tensor, generator: Generator) -> Tensor:
    """Paths (N, STROKES, POINTS, 2) narrower or wider, leaning, and turned by up to 15 degrees."""
    count = len(paths)
    width = uniform(0.35, 1.1, (count, 1, 1), generator)
    lean, turn = uniform(-0.2, 0.5, (count, 1, 1), generator), uniform(-0.26, 0.26, (count, 1, 1), generator)
    x, y = (paths - 0.5).unbind(-1)
    x = width * x - lean * y
    return torch.stack([turn.cos() * x - turn.sin() * y, turn.sin() * x + turn.cos() * y], -1)


def characters(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pen paths (count, STROKES, POINTS, 2) of characters of no script, and which strokes exist (count, STROKES).

    A grammar as in Lake, Salakhutdinov & Tenenbaum (Science, 2015): one to four of PIECES, each scaled, turned or
    mirrored, joined to one before at start, middle or end, or set beside it; often the same piece again.
    """
    shape = (count, STROKES)
    which = torch.randint(len(PIECES), shape, generator=generator)
    again = chance(0.25, shape, generator)
    which[:, 1:] = torch.where(again[:, 1:], which[:, :-1], which[:, 1:])
    controls, matrices = (table[which, 0] for table in _PIECES[:2])
    controls = controls + uniform(0.02, 0.1, (*shape, 1, 1), generator) * torch.randn(
        controls.shape, generator=generator
    )
    paths = torch.einsum("nspc,nscd->nspd", matrices, controls) - 0.5
    mirror = torch.where(chance(0.3, shape, generator), -1.0, 1.0)
    size = uniform(0.5, 1.1, (*shape, 2), generator)
    paths = paths * torch.stack([size[..., 0] * mirror, size[..., 1]], -1)[:, :, None]
    quarters = torch.randint(0, 4, shape, generator=generator) * chance(0.25, shape, generator)
    turn = quarters * (math.pi / 2) + 0.15 * torch.randn(shape, generator=generator)
    x, y = paths.unbind(-1)
    cos, sin = turn.cos()[..., None], turn.sin()[..., None]
    paths = torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
    ends = torch.tensor([0, POINTS // 2, POINTS - 1])
    mine, theirs = (ends[torch.randint(3, shape, generator=generator)] for _ in range(2))
    joined, free, rows = chance(0.7, shape, generator), uniform(-0.6, 0.6, (*shape, 2), generator), torch.arange(count)
    placed = [paths[:, 0]]
    for k in range(1, STROKES):
        before = placed[k - 1] if k % 2 else placed[0]
        anchor = torch.where(joined[:, k, None], before[rows, theirs[:, k]], before.mean(1) + free[:, k])
        own = torch.where(joined[:, k, None], paths[rows, k, mine[:, k]], paths[:, k].mean(1))
        placed.append(paths[:, k] + (anchor - own)[:, None])
    how_many = 1 + torch.multinomial(torch.tensor([0.15, 0.4, 0.3, 0.15]), count, True, generator=generator)
    how_many = how_many.clamp(min=2).where(which[:, 0] >= ALONE, how_many)
    return torch.stack(placed, 1), torch.arange(STROKES) < how_many[:, None]


def draw(paths: Tensor, exists: Tensor, generator: Generator, side: int = 28, ink: float = 20.0) -> Tensor:
    """Pen strokes as images (N, 1, side, side), with a round pen of MNIST's widths, fitted to the frame."""
    count = len(paths)
    most = int(exists.sum(1).amax())  # the strokes that exist come first
    paths, exists = paths[:, :most], exists[:, :most]
    paths = torch.cat([paths, (paths[..., 1:, :] + paths[..., :-1, :]) / 2], 2)  # closer than a thin pen is wide
    points = paths.flatten(1, 2)
    valid = exists.repeat_interleave(paths.shape[2], 1)[..., None]
    low = torch.where(valid, points, math.inf).amin(1, keepdim=True)
    high = torch.where(valid, points, -math.inf).amax(1, keepdim=True)
    radius = uniform(0.75, 2.0, (count, 1, 1), generator)
    points = (points - low) / (high - low).amax(2, keepdim=True).clamp(min=1e-3) * (ink - 2 * radius)
    centre = (points * valid).sum(1, keepdim=True) / valid.sum(1, keepdim=True)
    points = torch.where(valid, points - centre + side / 2, 1e3)
    middle = torch.arange(side) + 0.5
    pixels = torch.cartesian_prod(middle, middle).flip(1)
    nearest = torch.cdist(pixels.expand(count, -1, -1), points).amin(2)
    return (radius[:, 0] + 0.5 - nearest).clamp(0, 1).view(count, 1, side, side)


def segments(start: Tensor, end: Tensor, radius: Tensor, side: int) -> Tensor:
    """Straight pen strokes (N, 1, side, side) from `start` to `end`, each (N, 2) as x, y in pixels; radius (N, 1)."""
    middle = torch.arange(side) + 0.5
    pixels = torch.cartesian_prod(middle, middle).flip(1)[None] - start[:, None]
    way = (end - start)[:, None]
    along = ((pixels * way).sum(2, keepdim=True) / way.square().sum(2, keepdim=True).clamp(min=1e-6)).clamp(0, 1)
    return (radius + 0.5 - (pixels - along * way).norm(dim=2)).clamp(0, 1).view(-1, 1, side, side)

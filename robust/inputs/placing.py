"""The found object in the nets' frame: scaled, centred, without aliasing."""

import numpy as np


def centre_of_mass(ink: np.ndarray) -> tuple[float, float]:
    """(y, x) in pixels from the top left corner; the middle of the first pixel is 0.5."""
    return middle(ink.sum(axis=1)), middle(ink.sum(axis=0))


def middle(line: np.ndarray) -> float:
    """Centre of mass along one axis, in pixels from its start, of the ink of each row or column."""
    return float(line @ np.arange(0.5, len(line)) / line.sum())


def place(ink: np.ndarray, box: tuple[float, float, float, float], size: int, ink_share: float) -> np.ndarray:
    """Cut to the box, scale its longest side to `ink_share` of the frame and centre: (size, size) float32 in [0, 1].

    MNIST shifts by whole pixels. Here scaling and shifting are one exact resampling at any fraction of a pixel, since
    a rounded shift would make the same drawing jump by a pixel between two places on the pad.
    """
    top, bottom, left, right = box
    y0, y1, x0, x1 = int(top), int(np.ceil(bottom)), int(left), int(np.ceil(right))
    cut = ink[y0:y1, x0:x1]
    unit = max(bottom - top, right - left) / (ink_share * size)  # source pixels for each pixel of the result
    centre_y, centre_x = centre_of_mass(cut)
    # The middle of MNIST's frame is the middle of pixel 14, counted from 0; no ink may leave the frame.
    start_y = np.clip(centre_y - unit * (size + 1) / 2, y1 - y0 - unit * size, 0)
    start_x = np.clip(centre_x - unit * (size + 1) / 2, x1 - x0 - unit * size, 0)
    if ink_share == 1:
        start_y, start_x = ((a + b - unit * size) / 2 - int(a) for a, b in ((top, bottom), (left, right)))
    pixels = _coverage(start_y, unit, size, y1 - y0) @ cut @ _coverage(start_x, unit, size, x1 - x0).T
    white = np.percentile(pixels[pixels > 0], 95)  # not the maximum: one glint must not dim all the rest
    return np.minimum(pixels / white, 1).astype(np.float32)


def _coverage(start: float, unit: float, size: int, length: int) -> np.ndarray:
    """(size, length) weights that average `length` source pixels into `size` pixels of width `unit` from `start` on.

    Each takes the source area under it (no aliasing); when enlarging, a whole source pixel's width, which blends
    neighbours instead of repeating them.
    """
    middles = start + unit * np.arange(0.5, size)
    width = max(unit, 1)
    first, last = (middles - width / 2)[:, None], (middles + width / 2)[:, None]
    source = np.arange(length)
    overlap = np.minimum(last, source + 1) - np.maximum(first, source)
    return (np.maximum(overlap, 0) / width).astype(np.float32)

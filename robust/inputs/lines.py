"""Printed lines on the page: rules, squares, boxes, tables and axes go; ink that crosses them stays whole."""

import cv2
import numpy as np

TILT = np.radians(12)  # of a picture held askew
THICKEST = 0.022  # of the picture's longer side: no printed line is thicker
SHORTEST = 0.22  # of the side of the picture along it: shorter runs are not looked at
COVERED = 0.8  # share of a rule that must show from edge to edge
THIN = 0.4  # share of a line along which nothing thicker crosses it
NEAR = 3  # px from its course within which a line is looked for
SAME = 18  # px: candidates whose ends are no farther apart, both together, are one line
MOST = 400  # candidates that are looked at
GAP = 0.03  # of the longer side: a break in a line, and how near to the edge or a corner it must come


def without_lines(ink: np.ndarray, noise: float) -> np.ndarray:
    """Ink (H, W) in [0, 1], without straight runs that go from edge to edge or form a frame; noise as in `light`.

    A run across nothing but ink of the page's own is no line: where nothing else is left, all stays.
    """
    mask = ink > max(0.04, 4 * noise)
    if not 0 < mask.mean() < 0.5:
        return ink
    rest = _rest(ink, mask)
    return ink if rest is None or rest.max() < 0.5 * ink.max() else rest


def _rest(ink: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The ink outside the lines; None where there are none."""
    views = [(mask, False), (mask.T, True)]  # lines along x; those along y are lines along x of the transposed
    runs, lines = [], []
    for view, _ in views:
        across = _run_lengths(np.ascontiguousarray(view))
        runs.append(across)
        lines.append(_segments(view, across))
    kept = _in_frames(lines, mask.shape)
    if not any(kept):
        return None
    gone = np.zeros_like(mask)
    for (view, _), across, segments, target in zip(views, runs, kept, (gone, gone.T)):
        for segment in segments:
            _mark(target, across, segment)
    return np.where(gone, 0, ink)


def _run_lengths(mask: np.ndarray) -> np.ndarray:
    """For each pixel of a mask the length of the vertical run of pixels that it lies in; 0 outside the mask."""
    height = len(mask)
    row = np.arange(height, dtype=np.int16)[:, None]
    before = np.maximum.accumulate(np.where(mask, np.int16(-1), row), 0)
    after = np.minimum.accumulate(np.where(mask, np.int16(height), row)[::-1], 0)[::-1]
    return (after - before - 1) * mask


def _segments(mask: np.ndarray, across: np.ndarray) -> list[dict]:
    """Straight thin runs along x: where they begin and end, their course (y for each x), their thickness."""
    height, width = mask.shape
    longest = max(mask.shape)
    thin = ((across > 0) & (across <= max(3, THICKEST * longest))).astype(np.uint8)
    votes = round(SHORTEST * width)
    found = cv2.HoughLines(thin, 1, np.radians(0.5), votes, min_theta=np.pi / 2 - TILT, max_theta=np.pi / 2 + TILT)
    if found is None:
        return []
    rho, theta = found[:MOST, 0, 0], found[:MOST, 0, 1]
    first, last = rho / np.sin(theta), (rho - (width - 1) * np.cos(theta)) / np.sin(theta)
    column = np.ones((2 * NEAR + 1, 1), np.uint8)
    drawn, drawn_thin = (cv2.dilate(part, column) > 0 for part in (mask.astype(np.uint8), thin))
    segments, taken, x = [], np.full((0, 2), np.inf), np.arange(width)
    for ends in np.stack([first, last], 1):
        if (np.abs(taken - ends).sum(1) < SAME).any():  # the same line again
            continue
        y = np.rint(np.linspace(*ends, width)).astype(int)
        inside = (y >= 0) & (y < height)
        course = np.clip(y, 0, height - 1)
        hit = drawn[course, x] & inside
        before = len(segments)
        for start, end in _stretches(hit, round(GAP * longest)):
            whole, thin_part = hit[start:end].mean(), drawn_thin[course[start:end], x[start:end]].mean()
            if end - start >= votes and whole >= COVERED and thin_part >= THIN:
                at = x[start:end][drawn_thin[course[start:end], x[start:end]]]
                runs = across[np.clip(course[at] + np.arange(-NEAR, NEAR + 1)[:, None], 0, height - 1), at]
                thickness = np.median(np.where(runs > 0, runs, height).min(0))
                segments.append({"start": start, "end": end, "course": course, "thickness": thickness})
        if len(segments) > before:
            taken = np.vstack([taken, ends])
    return segments


def _stretches(hit: np.ndarray, gap: int) -> list[tuple[int, int]]:
    """(start, end) of the stretches of a line that is drawn, over gaps."""
    where = np.flatnonzero(hit)
    if len(where) == 0:
        return []
    breaks = np.flatnonzero(np.diff(where) > gap)
    return list(zip(where[np.r_[0, breaks + 1]], where[np.r_[breaks, len(where) - 1]] + 1))


def _in_frames(lines: list[list[dict]], shape: tuple[int, int]) -> list[list[dict]]:
    """Of the segments along x and along y those both of whose ends lie at the edge of the picture or on one another."""
    near = GAP * max(shape)
    kept = [list(lines[0]), list(lines[1])]
    while True:
        before = sum(map(len, kept))
        for i in (0, 1):
            width = shape[1 - i]
            kept[i] = [s for s in kept[i] if all(_held(s, at, width, kept[1 - i], near) for at in ("start", "end"))]
        if sum(map(len, kept)) == before:
            return kept


def _held(segment: dict, at: str, width: int, crossing: list[dict], near: float) -> bool:
    """Whether one end of a segment lies at the edge of the picture or on a crossing segment."""
    x = segment[at]
    if x <= near or x >= width - near:
        return True
    y = segment["course"][min(x, width - 1)]
    return any(
        other["start"] - near <= y <= other["end"] + near
        and abs(other["course"][min(y, len(other["course"]) - 1)] - x) <= near
        for other in crossing
    )


def _mark(gone: np.ndarray, across: np.ndarray, segment: dict) -> None:
    """Mark a line's pixels, save where it is thicker than elsewhere: there ink crosses it."""
    thickness = segment["thickness"]
    limit = 1.7 * thickness + 1.5
    reach = int(np.ceil(thickness / 2)) + 3
    x = np.arange(segment["start"], segment["end"])
    for offset in range(-reach, reach + 1):
        y = np.clip(segment["course"][x] + offset, 0, len(across) - 1)
        gone[y, x] |= (across[y, x] > 0) & (across[y, x] <= limit)

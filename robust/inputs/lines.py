"""Printed lines on the page: rules, squares, boxes, tables and axes go; ink that crosses them stays whole."""

from dataclasses import dataclass

import cv2
import numpy as np

TILT = np.radians(12)  # of a picture held askew
THICKEST = 0.04  # of the picture's longer side: no printed line is thicker
SHORTEST = 0.22  # of the side of the picture along it: shorter runs are not looked at
THIN_PX = 3  # or this many pixels
COVERED = 0.8  # share of a line that must show
THIN = 0.4  # share of a line along which nothing thicker lies across it
NEAR = 3  # px from its course within which a line is looked for
SAME = 18  # px: candidates whose ends are no farther apart, both together, are one line
FRAME = 4  # lines, such as a square of
MOST = 400  # candidates that are looked at
GAP = 0.03  # of the longer side: a break in a line, and how near to the edge or a corner it must come
ALIKE = 1.7  # lines of one frame differ in thickness and strength by no more than this factor


@dataclass(frozen=True)
class Run:
    """A straight thin run along x: from `start` to `end`, at row course[x]; its thickness in pixels, its ink."""

    start: int
    end: int
    course: np.ndarray
    thickness: float
    ink: float

    def is_like(self, other: "Run") -> bool:
        return all(
            max(mine, its) <= ALIKE * min(mine, its)
            for mine, its in ((self.thickness, other.thickness), (self.ink, other.ink))
        )


def without_lines(ink: np.ndarray, noise: float) -> np.ndarray:
    """Ink (H, W) in [0, 1], without straight runs that go from edge to edge or form a frame; noise as in `light`.

    Where next to nothing else is left, few runs are what somebody has drawn, and all stays; more of them are an empty page
    of ruled or squared paper, and nothing stays.
    """
    mask = ink > max(0.04, 4 * noise)
    if not 0 < mask.mean() < 0.5:
        return ink
    # Lines along y are lines along x of the transposed picture.
    views = [(view, _run_lengths(view > 0)) for view in (ink * mask, np.ascontiguousarray((ink * mask).T))]
    lines = _in_frames([_runs(*view) for view in views], ink.shape)
    gone = np.zeros_like(mask)
    for (view, across), runs, target in zip(views, lines, (gone, gone.T)):
        for run in runs:
            _mark(target, view, across, run)
    rest = np.where(gone, 0, ink)
    if np.where(_crossings(lines, ink.shape), 0, rest).max() >= 0.5 * ink.max():
        return rest
    return ink if sum(map(len, lines)) <= FRAME else np.zeros_like(ink)


def _run_lengths(mask: np.ndarray) -> np.ndarray:
    """For each pixel of a mask the length of the vertical run of pixels that it lies in; 0 outside the mask."""
    height = len(mask)
    row = np.arange(height, dtype=np.int16)[:, None]
    before = np.maximum.accumulate(np.where(mask, np.int16(-1), row), 0)
    after = np.minimum.accumulate(np.where(mask, np.int16(height), row)[::-1], 0)[::-1]
    return (after - before - 1) * mask


def _runs(ink: np.ndarray, across: np.ndarray) -> list[Run]:
    """Straight thin runs along x in ink (H, W); across: the thickness of the ink at each pixel, along y."""
    height, width = ink.shape
    longest = max(ink.shape)
    thin = ((across > 0) & (across <= max(THIN_PX, THICKEST * longest))).astype(np.uint8)
    votes = round(SHORTEST * width)
    found = cv2.HoughLines(thin, 1, np.radians(0.5), votes, min_theta=np.pi / 2 - TILT, max_theta=np.pi / 2 + TILT)
    if found is None:
        return []
    rho, theta = found[:MOST, 0, 0], found[:MOST, 0, 1]
    first, last = rho / np.sin(theta), (rho - (width - 1) * np.cos(theta)) / np.sin(theta)
    column = np.ones((2 * NEAR + 1, 1), np.uint8)
    drawn, drawn_thin = (cv2.dilate(part, column) > 0 for part in ((ink > 0).astype(np.uint8), thin))
    runs, taken, x = [], np.full((0, 2), np.inf), np.arange(width)
    for ends in np.stack([first, last], 1):
        if (np.abs(taken - ends).sum(1) < SAME).any():
            continue
        y = np.rint(np.linspace(*ends, width)).astype(int)
        course = np.clip(y, 0, height - 1)
        hit = drawn[course, x] & (y == course)
        hit_thin = drawn_thin[course, x] & hit
        before = len(runs)
        for start, end in _stretches(hit, round(GAP * longest)):
            if end - start >= votes and hit[start:end].mean() >= COVERED and hit_thin[start:end].mean() >= THIN:
                at = start + np.flatnonzero(hit_thin[start:end])
                beside = np.clip(course[at] + np.arange(-NEAR, NEAR + 1)[:, None], 0, height - 1)
                thickness = np.where(across[beside, at] > 0, across[beside, at], height).min(0)
                runs.append(Run(start, end, course, np.median(thickness), np.median(ink[beside, at].max(0))))
        if len(runs) > before:
            taken = np.vstack([taken, ends])
    return runs


def _crossings(lines: list[list[Run]], shape: tuple[int, int]) -> np.ndarray:
    """Where runs along x meet runs along y, bool (H, W): there `_mark` leaves a dot of them."""
    near = [np.zeros(shape, bool), np.zeros(shape, bool)]
    for runs, target in zip(lines, (near[0], near[1].T)):
        for run in runs:
            reach = int(np.ceil(run.thickness / 2)) + NEAR
            x = np.arange(run.start, run.end)
            target[np.clip(run.course[x] + np.arange(-reach, reach + 1)[:, None], 0, len(target) - 1), x] = True
    return near[0] & near[1]


def _stretches(hit: np.ndarray, gap: int) -> list[tuple[int, int]]:
    """(start, end) of the stretches of a line that is drawn, over gaps."""
    where = np.flatnonzero(hit)
    if len(where) == 0:
        return []
    breaks = np.flatnonzero(np.diff(where) > gap)
    return list(zip(where[np.r_[0, breaks + 1]], where[np.r_[breaks, len(where) - 1]] + 1))


def _in_frames(lines: list[list[Run]], shape: tuple[int, int]) -> list[list[Run]]:
    """Of the runs along x and along y those both of whose ends lie at the edge of the picture or on one another."""
    near = NEAR + GAP * max(shape)
    kept = [list(lines[0]), list(lines[1])]
    while True:
        before = sum(map(len, kept))
        for i in (0, 1):
            width = shape[1 - i]
            kept[i] = [
                run
                for run in kept[i]
                if all(_is_held(run, x, width, kept[1 - i], near) for x in (run.start, run.end - 1))
            ]
        if sum(map(len, kept)) == before:
            return kept


def _is_held(run: Run, x: int, width: int, crossing: list[Run], near: float) -> bool:
    """Whether a run's end at x lies at the edge of the picture or on a crossing run of its kind."""
    if x <= near or x >= width - near:
        return True
    y = run.course[x]
    return any(
        other.start - near <= y <= other.end + near and abs(other.course[y] - x) <= near and other.is_like(run)
        for other in crossing
    )


def _mark(gone: np.ndarray, ink: np.ndarray, across: np.ndarray, run: Run) -> None:
    """Mark a line's pixels, save where it is thicker or darker than elsewhere: there ink crosses it."""
    reach = int(np.ceil(run.thickness / 2)) + NEAR
    x = np.arange(run.start, run.end)
    y = np.clip(run.course[x] + np.arange(-reach, reach + 1)[:, None], 0, len(ink) - 1)
    thickness = across[y, x]
    gone[y, x] |= (thickness > 0) & (thickness <= ALIKE * run.thickness + 1.5) & (ink[y, x] <= ALIKE * run.ink)

"""Printed lines on the page: rules, squares, boxes, tables and axes go; ink that crosses them stays whole."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

TILT = np.radians(12)  # of a picture held askew
THICKEST = 0.04  # of the picture's longer side: no printed line is thicker
SHORTEST = 0.22  # of the side of the picture along it: shorter runs are not looked at
THIN_PX = 3  # or this many pixels
VOTES = 0.6  # share of it that must lie on one row or column of pixels after another
COVERED = 0.8  # share of a line that must show
THIN = 0.4  # share of a line along which nothing thicker lies across it
NEAR = 3  # px from its course within which a line is looked for
SAME = 18  # px: candidates whose ends are no farther apart, both together, are one line
FRAME = 4  # lines, such as a square of
SMALL = 0.3  # of the picture: narrower frames are looked at closely
SMALLEST_FRAME = 24  # px: smaller ones hold no digit
PATCHES = 60  # that are looked at closely, the largest
SPARSE = 0.6  # of its box: what fills more is no frame
THICKEST_OF_CELL = 0.14  # of a small frame's shorter side: no line of it is thicker
MOST = 400  # candidates that are looked at
GAP = 0.03  # of the longer side: a break in a line, and how near to the edge it must come
CORNER = 0.012  # likewise: how near to a corner
BEYOND = 0.12  # of a line: by so much it may seem to go on beyond the last one it crosses, where ink lies behind it
PARALLEL = 0.12  # lines of one direction differ in slope by less, also where the page is seen from the side
ALIKE = 1.7  # lines of one frame differ in thickness and strength by no more than this factor
SOFT = 1.5  # px: and in thickness by as much more, since their edges are soft


@dataclass(frozen=True)
class Run:
    """A straight thin run along x: from `start` to `end`, at row course[x]; its thickness in pixels, its ink."""

    start: int
    end: int
    course: np.ndarray
    thickness: float
    ink: float

    @property
    def slope(self) -> float:
        return float(self.course[self.end - 1] - self.course[self.start]) / (self.end - self.start)

    @property
    def reach(self) -> int:
        """How far from its course its ink may lie, in pixels."""
        return int(np.ceil(self.thickness / 2)) + NEAR

    def is_like(self, other: "Run") -> bool:
        thin, thick = sorted((self.thickness, other.thickness))
        faint, strong = sorted((self.ink, other.ink))
        return thick <= ALIKE * thin + SOFT and strong <= ALIKE * faint


def without_lines(ink: np.ndarray, noise: float) -> np.ndarray:
    """Ink (H, W) in [0, 1], without straight runs that go from edge to edge or form a frame; noise as in `light`.

    Where next to nothing else is left, few runs are what somebody has drawn, and all stays; more of them are an empty page
    of ruled or squared paper, and nothing stays.
    """
    mask = ink > max(0.04, 4 * noise)
    if not 0 < mask.mean() < 0.5:
        return ink
    gone, count = _printed(ink * mask, THICKEST * max(ink.shape))
    rest = np.where(gone, 0, ink)
    if rest.max() < 0.5 * ink.max():
        return ink if count <= FRAME else np.zeros_like(ink)
    closer = _without_small_frames(rest, mask & ~gone)
    return closer if closer.max() >= 0.5 * ink.max() else rest


def _without_small_frames(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Ink without small frames: boxes, cells of a form. Each connected patch of the mask is looked at as a picture of its
    own, in which the lines are long again."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = sorted(map(cv2.boundingRect, outlines), key=lambda box: box[2] * box[3], reverse=True)
    ink, inked = ink.copy(), np.where(mask, ink, 0)
    for left, top, width, height in boxes[:PATCHES]:
        small = width < SMALL * ink.shape[1] or height < SMALL * ink.shape[0]
        if not small or min(width, height) < SMALLEST_FRAME:
            continue
        part = (slice(top, top + height), slice(left, left + width))
        if mask[part].mean() > SPARSE:
            continue
        # Room around it, for its outline is no edge of the picture, at which a line may end; but where it leaves the picture.
        room = 2 * NEAR + round(GAP * max(width, height))
        up, left_of = (room if start > 1 else 0 for start in (top, left))
        down, right_of = (room if end < side - 1 else 0 for end, side in zip((top + height, left + width), ink.shape))
        patch = cv2.copyMakeBorder(inked[part], up, down, left_of, right_of, cv2.BORDER_CONSTANT)
        gone, _ = _printed(patch, THICKEST_OF_CELL * min(width, height))
        ink[part][gone[up : up + height, left_of : left_of + width]] = 0
    return ink


def _printed(ink: np.ndarray, thickest: float) -> tuple[np.ndarray, int]:
    """The pixels (H, W) of printed lines no thicker than that in ink that is 0 elsewhere, and how many lines they are."""
    # Lines along y are lines along x of the transposed picture.
    views = [(view, *_across(view > 0)) for view in (ink, np.ascontiguousarray(ink.T))]
    lines = _in_frames([_runs(*view, max(THIN_PX, thickest)) for view in views], ink.shape)
    gone = np.zeros(ink.shape, bool)
    for (view, across, _), runs, target in zip(views, lines, (gone, gone.T)):
        for run in runs:
            _mark(target, view, across, run)
    if all(lines):
        gone |= _dots((ink > 0) & ~gone, _crossings(lines, ink.shape))
    return gone, sum(map(len, lines))


def _dots(left: np.ndarray, crossings: np.ndarray) -> np.ndarray:
    """What is left of lines where they cross, bool (H, W): patches that lie in no other place."""
    count, labels = cv2.connectedComponents(left.astype(np.uint8))
    elsewhere = np.zeros(count, bool)
    elsewhere[labels[left & ~crossings]] = True
    return left & ~elsewhere[labels]


def _across(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of a mask the length of the vertical run of pixels that it lies in, 0 outside the mask; and whether it
    is the middle of that run."""
    height = len(mask)
    row = np.arange(height, dtype=np.int16)[:, None]
    before = np.maximum.accumulate(np.where(mask, np.int16(-1), row), 0)
    after = np.minimum.accumulate(np.where(mask, np.int16(height), row)[::-1], 0)[::-1]
    return (after - before - 1) * mask, mask & (row == (before + after) // 2)


def _runs(ink: np.ndarray, across: np.ndarray, middles: np.ndarray, thickest: float) -> list[Run]:
    """Straight runs along x in ink (H, W), no thicker than that; across, middles: as of `_across`."""
    height, width = ink.shape
    longest = max(ink.shape)
    thin = ((across > 0) & (across <= thickest)).astype(np.uint8)
    shortest = round(SHORTEST * width)
    # Of a line's thickness its middle alone votes: else lines lie askew in thick ones.
    votes = round(VOTES * shortest)
    found = cv2.HoughLines(
        thin & middles, 1, np.radians(0.5), votes, min_theta=np.pi / 2 - TILT, max_theta=np.pi / 2 + TILT
    )
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
            if end - start >= shortest and hit[start:end].mean() >= COVERED and hit_thin[start:end].mean() >= THIN:
                at = start + np.flatnonzero(hit_thin[start:end])
                beside = np.clip(course[at] + np.arange(-NEAR, NEAR + 1)[:, None], 0, height - 1)
                thickness = np.where(across[beside, at] > 0, across[beside, at], height).min(0)
                # A quarter, not half: what crosses a line, or runs along it, is thicker and darker than the line.
                thickness, strength = np.percentile([thickness, ink[beside, at].max(0)], 25, axis=1)
                runs.append(Run(start, end, course, thickness, strength))
        if len(runs) > before:
            taken = np.vstack([taken, ends])
    return runs


def _crossings(lines: list[list[Run]], shape: tuple[int, int]) -> np.ndarray:
    """Where runs along x meet runs along y, bool (H, W): there `_mark` leaves a dot of them."""
    near = [np.zeros(shape, bool), np.zeros(shape, bool)]
    for runs, target in zip(lines, (near[0], near[1].T)):
        for run in runs:
            x = np.arange(run.start, run.end)
            target[np.clip(run.course[x] + np.arange(-run.reach, run.reach + 1)[:, None], 0, len(target) - 1), x] = True
    return near[0] & near[1]


def _stretches(hit: np.ndarray, gap: int) -> list[tuple[int, int]]:
    """(start, end) of the stretches of a line that is drawn, over gaps."""
    where = np.flatnonzero(hit)
    if len(where) == 0:
        return []
    breaks = np.flatnonzero(np.diff(where) > gap)
    return list(zip(where[np.r_[0, breaks + 1]], where[np.r_[breaks, len(where) - 1]] + 1))


def _in_frames(lines: list[list[Run]], shape: tuple[int, int]) -> list[list[Run]]:
    """Of the runs along x and along y, each nearly parallel to its like, those both of whose ends lie on one another or
    at the edge of the picture; without what goes on beyond."""
    kept = [list(lines[0]), list(lines[1])]
    while True:
        before = sum(map(len, kept))
        for i in (0, 1):
            slope = np.median([run.slope for run in kept[i]]) if kept[i] else 0
            parallel = [run for run in kept[i] if abs(run.slope - slope) < PARALLEL]
            held = [_held(run, shape[1 - i], kept[1 - i], max(shape)) for run in parallel]
            kept[i] = [run for run in held if run is not None]
        if sum(map(len, kept)) == before:
            return kept


def _held(run: Run, width: int, crossing: list[Run], longest: int) -> Run | None:
    """A run from the first to the last crossing run of its kind, or to the edge of a picture of that width; None if one of
    its ends is neither."""
    edge, corner = NEAR + GAP * longest, NEAR + CORNER * longest
    over = max(corner, BEYOND * (run.end - run.start))
    meets = []
    for other in crossing:
        y = run.course[min(int(other.course[run.course[run.start]]), width - 1)]
        if other.start - corner <= y <= other.end + corner and other.is_like(run):
            meets.append((int(other.course[y]), other.reach))
    start, end = run.start, run.end
    if start > edge:
        start = min((max(x - reach, start) for x, reach in meets if -corner <= x - start <= over), default=None)
    if end - 1 < width - edge:
        end = max((min(x + reach + 1, end) for x, reach in meets if -corner <= end - 1 - x <= over), default=None)
    return None if start is None or end is None or start >= end else replace(run, start=start, end=end)


def _mark(gone: np.ndarray, ink: np.ndarray, across: np.ndarray, run: Run) -> None:
    """Mark a line's pixels, save where it is thicker or darker than elsewhere: there ink crosses it."""
    x, beside = np.arange(run.start, run.end), np.arange(-run.reach, run.reach + 1)[:, None]
    y = np.clip(run.course[x] + beside, 0, len(ink) - 1)
    thickness = across[y, x]
    alike = (thickness > 0) & (thickness <= ALIKE * run.thickness + SOFT) & (ink[y, x] <= ALIKE * run.ink)
    # Of several in one column the nearest alone is the line: a 2's foot may lie beside it.
    apart = np.cumsum(~alike, 0)
    nearest = np.where(alike, np.abs(beside), 2 * run.reach).argmin(0)
    gone[y, x] |= alike & (apart == apart[nearest, np.arange(len(x))])

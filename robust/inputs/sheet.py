"""The sheet of paper in a picture: where it is, and the picture cut to it and straightened, without desk or margin."""

from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np

from robust.inputs.light import surrounding_page

LOOKED_AT = 200  # px: a sheet's outline shows in a small picture as well
SMALLEST = 100  # px: in smaller pictures nobody looks for a sheet
MIN_SIDE = 64  # px: smaller "sheets" are objects
MIN_AREA, MAX_AREA = 0.1, 0.97  # of the picture
MIN_AREA_WHOLE = 0.04  # likewise, for a sheet all of which shows
PLAIN = 6  # of 255: a margin added by a program differs by no more, save for JPEG's traces
SOLID = 0.9  # share of its hull that a sheet fills
BARE = 0.8  # share of a sheet without ink
FREE, HELD = 0.95, 0.85  # share of a sheet's rim without ink, or without fingers
STEP = 18  # of 255: how far the ground beside each side of a sheet must differ from it
SHADE = 0.42  # what lies in a shadow keeps at least this share of its light
HUE = 0.06  # a shadow changes no colour's share of the light by more
PATTERNS = 0.04, 0.08  # of the picture: keys, print, and the squares of a tablecloth are smaller
MOST_SHEETS = 3  # that are looked at where no sheet is found
TRIM = 0.012  # of the sheet, cut off each side: edges are soft and paper curls


def cut_to_sheet(picture: np.ndarray) -> np.ndarray | None:
    """The sheet in a picture (H, W) or (H, W, 3), uint8, upright and alone; None where there is none.

    A sheet is what lies inside a plain margin, or a bright quadrilateral on another ground, sides of which may lie
    outside the picture.
    """
    inside = _inside_margin(picture)
    if inside is not None:
        picture = inside
    corners = _corners(picture)
    return inside if corners is None else _straightened(picture, corners)


def _inside_margin(picture: np.ndarray) -> np.ndarray | None:
    """A picture without the plain margin around it; None where it has none."""
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if min(grey.shape) < SMALLEST:
        return None
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    margin = np.bincount(border, minlength=256).argmax()
    if (np.abs(border - np.float32(margin)) <= PLAIN).mean() < 0.98:
        return None
    other = cv2.absdiff(grey, np.full_like(grey, margin)) > PLAIN
    spans = []
    for axis in (1, 0):
        share = other.mean(axis)
        filled = np.flatnonzero(share > 0.5 * share.max())
        if share.max() == 0 or len(filled) < MIN_SIDE / 2:
            return None
        spans.append((filled[0], filled[-1] + 1))
    (top, bottom), (left, right) = spans
    rectangle = other[top:bottom, left:right]
    ring = np.concatenate([rectangle[2], rectangle[-3], rectangle[:, 2], rectangle[:, -3]])
    stray = (other.sum() - rectangle.sum()) / rectangle.size
    if rectangle.mean() < 0.8 or ring.mean() < 0.97 or stray > 0.003 or rectangle.size < MIN_AREA * grey.size:
        return None
    trim = 1 + round(TRIM * min(rectangle.shape))
    return picture[top + trim : bottom - trim, left + trim : right - trim]


def possible_sheets(picture: np.ndarray) -> list[np.ndarray]:
    """What may be a sheet among other things, in somebody's hands or on a desk with a pattern, cut out and straightened as
    above: the bright quadrilaterals all of which show, the most likely first. For pictures in which `cut_to_sheet` finds
    none."""
    if min(picture.shape[:2]) < SMALLEST:
        return []
    small, scale = _scaled(picture)
    shades = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    page = surrounding_page(shades.astype(np.float32) / 255)
    if page is not None:
        page = np.uint8(255 * np.clip(page, 0, 1))
        if cv2.absdiff(_without_ink(shades), page).max() < STEP:
            return []  # nothing but ink lies on it
    channels = _channels(small)
    found = _sheets(small, channels, _without_ink, whole=True)
    for size in PATTERNS:
        found += _sheets(small, channels[:1], partial(_without_pattern, size=size), whole=True)
    found.sort(key=lambda rated: -rated[0])
    chosen: list[np.ndarray] = []
    for _, outline in found:
        middle = tuple(map(float, outline.mean(0)))
        if page is not None and _lies_on(outline, cv2.absdiff(shades, page)):
            continue
        if not any(cv2.pointPolygonTest(other, middle, False) > 0 for other in chosen):
            chosen.append(outline)
    cut = [_straightened(picture, _four_corners(outline) / scale) for outline in chosen[:MOST_SHEETS]]
    return [sheet for sheet in cut if sheet is not None]


def _corners(picture: np.ndarray) -> np.ndarray | None:
    """The corners (4, 2) of a bright sheet as x, y in pixels, clockwise from the top left one; None for no sheet."""
    if min(picture.shape[:2]) < SMALLEST:
        return None
    small, scale = _scaled(picture)
    channels = _channels(small)
    found = _sheets(small, channels, _without_ink)
    if not found and len(channels) > 1:  # in the shade paper is darker than a desk in the light, but as white as before
        found = _sheets(small, (_whiteness(*channels),), _without_ink)
    return _four_corners(max(found, key=lambda rated: rated[0])[1]) / scale if found else None


def _scaled(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """A picture as large as is looked at, (H, W, 3), and its scale."""
    scale = min(1, LOOKED_AT / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small if small.ndim == 3 else cv2.merge([small] * 3), scale


def _channels(picture: np.ndarray) -> tuple[np.ndarray, ...]:
    """The darkest of each pixel's colours and, unless it is grey, the brightest: white paper differs from dark desks in one
    of them, from brown ones in both."""
    red, green, blue = cv2.split(picture)
    darkest, brightest = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
    return (darkest, brightest) if cv2.absdiff(brightest, darkest).max() > STEP else (darkest,)


def _sheets(
    picture: np.ndarray, channels: tuple[np.ndarray, ...], cleaned: Callable, whole: bool = False
) -> list[tuple[float, np.ndarray]]:
    """The outlines of possible sheets in the channels, and how far each stands out. whole: all of a sheet shows, perhaps
    among other bright things, and in somebody's hands; of two the larger is likelier, of which the other may be a part."""
    found = []
    for channel in channels:
        bare = cleaned(channel)
        for threshold in _levels(bare) if whole else _thresholds(bare):
            for outline in _outlines((bare > threshold).astype(np.uint8), whole):
                if _is_bare(outline, (channel > threshold).astype(np.uint8), HELD if whole else FREE):
                    contrast = _contrast(outline, picture, bare, whole)
                    if contrast > 0:
                        found.append((contrast * cv2.contourArea(outline) if whole else contrast, outline))
    return found


def _lies_on(outline: np.ndarray, difference: np.ndarray) -> bool:
    """Whether what lies in an outline differs as little from the page as that itself: the inside of a square, say."""
    inside = cv2.fillConvexPoly(np.zeros(difference.shape, np.uint8), np.rint(outline).astype(np.int32), 1)
    return not inside.any() or np.median(difference[inside > 0]) < STEP


def _whiteness(darkest: np.ndarray, brightest: np.ndarray) -> np.ndarray:
    """The darkest colour's share of the brightest, of 255: no shadow changes it much."""
    return cv2.divide(darkest, brightest, scale=255)


def _without_pattern(channel: np.ndarray, size: float) -> np.ndarray:
    """Without what is bright and smaller than that share of the picture; the dark things on the sheet grow."""
    side = round(size * max(channel.shape[:2])) | 1
    return cv2.morphologyEx(channel, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))


def _without_ink(channel: np.ndarray) -> np.ndarray:
    side = max(channel.shape) // 9
    # Beyond the edge goes on what lies at the edge: a narrow strip of desk is no ink.
    padded = cv2.copyMakeBorder(channel, side, side, side, side, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_RECT, (side, side)))
    return cv2.medianBlur(closed, 5)[side:-side, side:-side]


def _thresholds(bare: np.ndarray) -> list[float]:
    """Levels between the greys of ground and sheet: Otsu's, and some around it."""
    otsu, _ = cv2.threshold(bare, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    low, high = np.percentile(bare, [2, 98])
    if high - low < STEP:
        return []
    return [low + (otsu - low) * share for share in (0.4, 0.7, 1)] + [
        otsu + (high - otsu) * share for share in (0.3, 0.6)
    ]


def _levels(bare: np.ndarray) -> np.ndarray:
    """Levels between the darkest and the brightest greys, for pictures of many things."""
    low, high = np.percentile(bare, [2, 98])
    return np.arange(low + STEP / 2, high, STEP)


def _outlines(mask: np.ndarray, whole: bool) -> Iterator[np.ndarray]:
    """The outline of the largest bright patch or, if all of the sheet shows, of each that is large, as polygons (N, 2)
    with few corners; of those that are convex."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not whole and contours:
        contours = [max(contours, key=cv2.contourArea)]
    for contour in contours:
        if whole and _leaves(cv2.boundingRect(contour), mask.shape):
            continue
        outline = _outline(contour, (MIN_AREA_WHOLE if whole else MIN_AREA) * mask.size, MAX_AREA * mask.size)
        if outline is not None:
            yield outline


def _leaves(box: tuple[int, int, int, int], shape: tuple[int, int]) -> bool:
    left, top, width, height = box
    return min(left, top) == 0 or left + width == shape[1] or top + height == shape[0]


def _outline(contour: np.ndarray, least: float, most: float) -> np.ndarray | None:
    """A contour as a polygon (N, 2) with few corners; None if it is not convex, or not between the two areas."""
    hull = cv2.convexHull(contour)
    area = cv2.contourArea(hull)
    if not least < area < most or cv2.contourArea(contour) < SOLID * area:
        return None
    polygon = cv2.approxPolyDP(hull, 0.025 * cv2.arcLength(hull, True), True)[:, 0]
    if not 4 <= len(polygon) <= 6 or cv2.contourArea(polygon) < SOLID * area:
        return None
    return _fitted(polygon.astype(np.float32), contour[:, 0].astype(np.float32))


def _fitted(polygon: np.ndarray, contour: np.ndarray) -> np.ndarray:
    """A polygon whose sides are fitted to the contour: its corners alone may be rounded or torn."""
    lines = []
    for start, end in zip(polygon, np.roll(polygon, -1, 0)):
        along = (end - start) / np.hypot(*(end - start))
        place = (contour - start) @ along
        beside = np.abs((contour - start) @ np.array([-along[1], along[0]]))
        length = np.hypot(*(end - start))
        own = contour[(place > 0.1 * length) & (place < 0.9 * length) & (beside < 0.05 * length + 2)]
        if len(own) < 5:
            return polygon
        dx, dy, x, y = cv2.fitLine(own, cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
        lines.append((dy, -dx, dx * y - dy * x))
    corners = np.cross(np.array(lines), np.roll(lines, -1, 0))  # where each side meets the next
    if (np.abs(corners[:, 2]) < 0.2).any():  # two sides nearly in one line: the polygon is better
        return polygon
    return np.roll(corners[:, :2] / corners[:, 2:], 1, 0).astype(np.float32)


def _is_bare(outline: np.ndarray, bright: np.ndarray, sides: float) -> bool:
    """Whether what lies in an outline is bright but for a little ink, and so much along its sides: a thick 8 is not."""
    inside = cv2.fillConvexPoly(np.zeros_like(bright), np.rint(outline).astype(np.int32), 1)
    core = cv2.erode(inside, np.ones((3, 3), np.uint8), iterations=3, borderValue=1)
    ring = core > cv2.erode(core, np.ones((3, 3), np.uint8), iterations=3, borderValue=1)
    return core.any() and ring.any() and bright[core > 0].mean() > BARE and bright[ring].mean() > sides


def _contrast(outline: np.ndarray, picture: np.ndarray, bare: np.ndarray, whole: bool) -> float:
    """How far the ground differs from the sheet along the side where it differs least, of 255; 0 for no sheet."""
    height, width = bare.shape
    sides = list(zip(outline, np.roll(outline, -1, 0)))
    seen = [side for side in sides if not _on_frame(*side, width, height)]
    if not seen:
        return 0
    beside = [_beside(*side, outline.mean(0), 0.02 * max(width, height) + 2) for side in seen]
    least = min(np.median(_at(bare, inner)) - np.median(_at(bare, outer)) for inner, outer in beside)
    if least < STEP:
        return 0
    # Where one side could be the edge of a shadow and others could not, the sheet goes on beyond it. The edge of a shadow
    # runs through the whole picture: one or two sides that could be its edge are no sheet.
    shaded = [] if whole else [_is_shaded(picture, inner, outer) for inner, outer in beside]
    return 0 if any(shaded) and (len(seen) < 3 or not all(shaded)) else least


def _beside(start: np.ndarray, end: np.ndarray, middle: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (15, 2) along a side of a sheet with that middle: `reach` pixels within, and without."""
    along = start + np.linspace(0.15, 0.85, 15)[:, None] * (end - start)
    normal = np.array([end[1] - start[1], start[0] - end[0]]) / max(np.hypot(*(end - start)), 1e-6)
    outwards = reach * normal * np.sign(normal @ ((start + end) / 2 - middle))
    return along - outwards, along + outwards


def _is_shaded(picture: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether what lies at the outer points could be what lies at the inner ones, in the shade."""
    light, dark = (np.median(_at(picture, points), 0) + 1 for points in (inner, outer))
    hue = np.abs(light / light.sum() - dark / dark.sum()).max()
    return dark.sum() > SHADE * light.sum() and hue < HUE


def _on_frame(start: np.ndarray, end: np.ndarray, width: int, height: int) -> bool:
    near = 0.015 * max(width, height) + 1
    for axis, last in ((0, width - 1), (1, height - 1)):
        for edge in (0, last):
            if abs(start[axis] - edge) <= near and abs(end[axis] - edge) <= near:
                return True
    return False


def _at(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = (np.clip(np.rint(points[:, i]).astype(int), 0, picture.shape[1 - i] - 1) for i in (0, 1))
    return picture[y, x].astype(np.float32)


def _four_corners(outline: np.ndarray) -> np.ndarray:
    """Four corners of a polygon, clockwise from the top left one; of more than four, those of the rectangle around it."""
    corners = outline if len(outline) == 4 else cv2.boxPoints(cv2.minAreaRect(outline))
    corners = corners.astype(np.float32)
    middle = corners.mean(0)
    corners = corners[np.argsort(np.arctan2(*(corners - middle).T[::-1]))]  # clockwise, since y points down
    first = np.argmin((corners - middle).sum(1))
    return np.roll(corners, -first, 0)


def _straightened(picture: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """The sheet between four corners as an upright rectangle."""
    a, b, c, d = corners
    width = (np.hypot(*(b - a)) + np.hypot(*(c - d))) / 2
    height = (np.hypot(*(d - a)) + np.hypot(*(c - b))) / 2
    if min(width, height) < MIN_SIDE:
        return None
    trim = TRIM * min(width, height) + 2
    goal = np.float32([[-trim, -trim], [width - trim, -trim], [width - trim, height - trim], [-trim, height - trim]])
    size = round(width - 2 * trim), round(height - 2 * trim)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), goal)
    return cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

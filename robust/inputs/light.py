"""Ink on its ground: how far each pixel is from the empty page to white or black, whatever light falls on the page."""

import cv2
import numpy as np

TOLERANCE = 0.06  # a pixel this near the fitted ground belongs to it
# The border is a frame where its grey has less of the picture than the first, another grey more than the second.
FRAME, PAGE = 0.15, 0.4
SHARE = 0.25  # with less of the border explained than this, the picture has no ground
EVEN = 0.95  # share of the border that a smooth ground explains in even light
BEYOND = 0.8  # likewise, that a page explains which goes on beyond the picture
CLEAR = 0.2  # of the border: where more is inked, shadows are not explained
SHADE = 0.33  # what lies in the shade keeps at least this share of its light; ink keeps less
HUE = 0.1  # a shadow, that of the sun under a blue sky too, changes no colour's share of the light by more
FLAT = 0.9  # of the border's pixels are like the next one only where a program has drawn the picture
ON_STEP = 0.1  # how far the ground steps up or down within 5 pixels at the edge of a shadow
RESIDUE = 0.3  # of the ink: what is left of the edges of shadows is weaker
BROAD = 0.1  # of the picture's shorter side: most pen strokes are thinner
DISTINCT = 25  # of 255: what differs less from its ground does not tell whether ink is bright
GLARE = 0.25  # of the squares of what is brighter than the page: glares have more in what is broad
STROKES = 0.1  # of the squares of what is darker: strokes have less in what is broad
FAINTEST = 0.1  # of a glare's squares: ink has more
THICKEST = 0.22  # of the picture's shorter side: no pen stroke is thicker, and no shadow thinner


def ink_on_ground(grey: np.ndarray, stepped: bool, page: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Greys in [0, 1] to ink in [0, 1], bright on black, and its noise (standard deviation).

    stepped: the ink is pen strokes, so that what is thicker is light or shade with edges. page: the picture itself,
    (H, W) or (H, W, 3), uint8: its colours tell a shadow from a thing. None if the picture has no ground: what it shows
    fills the frame.
    """
    ground = _smooth_ground(grey)
    if ground is None:
        return None
    surface, noise, explained = ground
    if stepped and explained < EVEN and _is_shaded(grey, surface, page):
        found = _stepped_ground(grey)
        if found is not None:
            return found
    return _bright_on_black(grey, surface, noise)


def surrounding_page(grey: np.ndarray) -> np.ndarray | None:
    """The grey of an empty page (H, W) that goes on beyond the picture, greys in [0, 1]; None if it does not."""
    ground = _smooth_ground(grey)
    return None if ground is None or ground[2] < BEYOND else ground[0]


def has_glare(grey: np.ndarray) -> bool:
    """Whether something brighter and broader than strokes lies on the page, and dark strokes beside it: greys in [0, 1]."""
    ground = _smooth_ground(grey)
    if ground is None:
        return False
    surface, noise, _ = ground
    difference = cv2.resize(grey - surface, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    difference[np.abs(difference) < max(3 * noise, 2 / 255)] = 0
    bright, dark = np.maximum(difference, 0), np.maximum(-difference, 0)
    kernel = np.ones((round(BROAD * min(dark.shape)) | 1,) * 2, np.uint8)
    glare, broad = (np.square(cv2.morphologyEx(part, cv2.MORPH_OPEN, kernel)).sum() for part in (bright, dark))
    ink = np.square(dark).sum()
    return glare > GLARE * np.square(bright).sum() and ink > FAINTEST * glare and broad < STROKES * ink


def _smooth_ground(grey: np.ndarray) -> tuple[np.ndarray, float, float] | None:
    """The shading of the empty page (as grey), its noise, and the share of the border that it explains.

    None if there is no ground. It starts from the commonest grey along the border, the rest of which an object may
    cover, and grows from there: a constant, then a plane, then a quadratic surface, each fitted to the pixels the one
    before explains; first those of the border alone, since ink in the light can be as grey as paper in the shade.
    """
    y, x = [np.linspace(-1, 1, side, dtype=np.float32) for side in grey.shape]
    rows, columns = [np.linspace(0, side - 1, min(side, 48)).round().astype(int) for side in grey.shape]
    some_y, some_x = y[rows, None], x[None, columns]  # a grid of samples is enough to fit a smooth surface
    values, terms = grey[np.ix_(rows, columns)].ravel(), _quadratic_terms(some_y, some_x)
    border = (np.maximum(np.abs(some_y), np.abs(some_x)) > 0.92).ravel()
    everywhere = np.ones_like(border)
    counts, all_counts = (np.bincount((values[part] * 32).astype(int), minlength=33) for part in (border, everywhere))
    common, most = counts.argmax(), all_counts.argmax()
    of_border = all_counts[max(0, common - 1) : common + 2].sum()
    if of_border < FRAME * len(values) and all_counts[most] > PAGE * len(values):
        common, border = most, everywhere
    estimate = (common + 0.5) / 32
    for order, region in [(1, border), *[(3, border)] * 3, *[(6, border)] * 2, *[(6, everywhere)] * 2]:
        explained = region & (np.abs(values - estimate) < TOLERANCE)
        if not explained.any():
            return None
        weighted = terms[:order] * explained
        ridge = np.diag([0] + [1e-4 * explained.sum()] * (order - 1))  # no wild slopes from a few pixels
        surface = np.linalg.solve(weighted @ terms[:order].T + ridge, weighted @ values)
        estimate = surface @ terms[:order]
    rest = np.abs(values - estimate)
    explained = rest < TOLERANCE
    share = explained[border].mean()
    if share < SHARE:
        return None
    noise = 1.4826 * np.median(rest[explained])
    constant, slope_y, slope_x, bend_y, bend_x, twist = surface.astype(np.float32)
    along_y, along_x = constant + slope_y * y + bend_y * y * y, slope_x * x + bend_x * x * x
    return along_y[:, None] + along_x + np.outer(twist * y, x), noise, share


def _is_shaded(grey: np.ndarray, surface: np.ndarray, page: np.ndarray) -> bool:
    """Whether light or shade with edges lies on the border: much that the ground does not explain, and neither as dark as
    ink nor of another colour or drawn, as the body of a thing is that goes on beyond the picture."""
    edge = max(2, round(0.03 * min(grey.shape)))
    inside = (slice(edge, -edge),) * 2
    border = np.ones(grey.shape, bool)
    border[inside] = False
    values, ground = grey[border], surface[border]
    other = np.abs(values - ground) > TOLERANCE
    dark, bright = np.minimum(values, ground)[other], np.maximum(values, ground)[other]
    if not other.any() or np.median(dark / np.maximum(bright, 1e-3)) < SHADE:
        return False
    sides = grey[0], grey[-1], grey[:, 0], grey[:, -1]
    if np.mean(np.concatenate([side[1:] == side[:-1] for side in sides])) > FLAT:
        return False
    if page.ndim == 2:
        return True
    colours = page[border][::8].astype(np.float32) + 1  # enough to tell
    shares, other = colours / colours.sum(axis=1, keepdims=True), other[::8]
    if other.all() or not other.any():
        return True
    return np.abs(np.median(shares[other], axis=0) - np.median(shares[~other], axis=0)).max() < HUE


def _quadratic_terms(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(6, H * W): 1, y, x, y², x², xy over the grid of a column y and a row x."""
    y, x = [axis.ravel() for axis in np.broadcast_arrays(y, x)]
    return np.stack([np.ones_like(x), y, x, y * y, x * x, x * y])


def _bright_on_black(grey: np.ndarray, ground: np.ndarray, noise: float) -> tuple[np.ndarray, float]:
    """Ink in [0, 1]: how far each pixel is on its way from the ground to white or black, whichever is stronger;
    and the noise on that scale.

    As a share of the way, since ink in the shade of a photographed page differs less from the paper than in the light.
    """
    brighter = grey - ground
    floor = max(3 * noise, 2 / 255)
    sure = np.where(np.abs(brighter) > floor, brighter, 0)
    if np.square(np.minimum(sure, 0)).sum() > np.square(np.maximum(sure, 0)).sum():
        sure, ground = -sure, 1 - ground
    way = np.maximum(1 - ground, 0.25)
    return np.clip(sure / way, 0, 1), noise / way.min()


def _stepped_ground(grey: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Ink and noise as above where shadows with edges lie on the page; None if that does not explain the border, or
    leaves little but the steps themselves.

    The ground is the closing of the picture, for dark ink, or its opening: that removes whatever is thinner than the
    kernel and keeps larger steps and slopes as they are. (The black top-hat of Serra 1982; Soille 2003, ch. 4.)
    """
    values = cv2.medianBlur(np.rint(grey * 255).astype(np.uint8), 3)
    side = round(THICKEST * min(values.shape)) | 1
    padded = cv2.copyMakeBorder(values, side, side, side, side, cv2.BORDER_REPLICATE)
    if _is_bright_ink(padded, side):
        padded, grey = 255 - padded, 1 - grey
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    ground = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[side:-side, side:-side].astype(np.float32) / 255
    ground = cv2.GaussianBlur(ground, (0, 0), 1)
    ink = np.clip((ground - grey) / np.maximum(ground, 0.05), 0, 1)
    some = ink[::3, ::3]
    bias = np.median(some)  # the closing follows the brightest grains of the paper
    grain = 1.4826 * np.median(np.abs(some - bias))
    floor = max(3 * grain, RESIDUE * (np.percentile(some, 99.5) - bias))
    ink = np.where(ink > bias + floor, ink - bias, 0)
    edge = max(2, round(0.02 * min(grey.shape)))
    border = np.concatenate([ink[:edge].ravel(), ink[-edge:].ravel(), ink[:, :edge].ravel(), ink[:, -edge:].ravel()])
    steps = cv2.morphologyEx(ground, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > ON_STEP
    is_clear = (border > 0.15).mean() < CLEAR and ink[steps].sum() < 0.5 * ink.sum()
    return (ink, float(grain)) if is_clear else None


def _is_bright_ink(padded: np.ndarray, side: int) -> bool:
    """Whether ink is brighter than its ground: a median over twice the kernel's side tells the ground of either, and
    opening and closing what is thin: neither a lit corner of a page in the shade nor the inside of a loop is ink."""
    small = cv2.resize(padded, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    median = cv2.medianBlur(small, side // 4 * 2 + 1)
    kernel = np.ones((side // 4 | 1,) * 2, np.uint8)
    bright = cv2.min(cv2.subtract(small, median), cv2.morphologyEx(small, cv2.MORPH_TOPHAT, kernel))
    dark = cv2.min(cv2.subtract(median, small), cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, kernel))
    energies = [np.square(np.where(part > DISTINCT, np.float32(part), 0)).sum() for part in (bright, dark)]
    return energies[0] > energies[1]

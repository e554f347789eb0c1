"""Which ink is the object: dirt and what else lies on the page go; several objects of like size are told apart."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from robust.inputs.decode import UnusableImage

MIN_CONTRAST = 0.06  # ink fainter than this (of black to white) is a blank page
INK_LEVEL = 0.12  # share of the strongest ink from which a pixel surely is ink
GHOST, BESIDE = (
    0.25,
    0.015,
)  # of the strongest ink, and of the picture's longer side: pens leave no weaker ink farther off
MUCH = 0.2  # of all ink: what is paler and more than that is no ghost
SPECK_SHARE = 0.02  # ink patches with less than this share of the largest patch's ink are dirt
APART = 0.12  # of the tallest patch's height: patches nearer to each other than this are one object
FAR = 0.35  # likewise: small patches farther from the object than this are not part of it
LIKE_HEIGHT, LIKE_INK = 0.6, 0.3  # of the largest object's: what has both is another one
FLAT, WIDE = 0.12, 0.7  # a line under the object: its height, of its width; its width, of the object's
INNER = 0.1  # of the most ink: an object with more that lies inside the picture goes before one that touches its edge

FINGER = 1.6  # times a pen's width: fingers that hold the paper are thicker

# Of the longest side: what is in touch with the picture's edge for longer, and thicker, is cut off.
AT_EDGE, THICK = 0.4, 0.24

Box = tuple[float, float, float, float]  # top, bottom, left, right in pixels


class EmptyImage(UnusableImage):
    """A picture without ink: a blank page, one colour, faint noise."""

    def __init__(self):
        super().__init__("The picture is empty: draw something, or choose a picture with more contrast.")


@dataclass
class Patch:
    """Connected ink, or several patches of it that lie together: its labels, box and amount of ink."""

    labels: list[int]
    top: int
    bottom: int
    left: int
    right: int
    ink: float

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def underlines(self, other: "Patch") -> bool:
        """Whether this is a flat line below the other, as wide as that."""
        return (
            self.height <= max(3, FLAT * self.width)
            and self.width >= WIDE * other.width
            and self.top >= other.bottom - 1
            and self.left < other.right
            and self.right > other.left
        )

    def distance(self, other: "Patch") -> int:
        """Between the boxes, along the axis on which they are farther apart; below 0 where they overlap."""
        return max(
            max(self.left, other.left) - min(self.right, other.right),
            max(self.top, other.top) - min(self.bottom, other.bottom),
        )

    def joined(self, other: "Patch") -> "Patch":
        return Patch(
            self.labels + other.labels,
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
            self.ink + other.ink,
        )

    def inside(self, box: tuple[int, int, int, int]) -> bool:
        """Whether the middle lies in (left, top, right, bottom)."""
        left, top, right, bottom = box
        return left <= (self.left + self.right) / 2 <= right and top <= (self.top + self.bottom) / 2 <= bottom

    def touches_edge(self, shape: tuple[int, int]) -> bool:
        return min(self.top, self.left, shape[0] - self.bottom, shape[1] - self.right) <= 1


def strongest(ink: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Ink (H, W) scaled to 1 at its strongest, and the mask of what surely is ink. Raises EmptyImage.

    noise: the ink's, as in `light`.
    """
    # Thin strokes survive a blur of this radius, single noisy pixels do not.
    blurred = ndimage.uniform_filter(ink, 2 * (max(ink.shape) // 280) + 1)
    most = blurred.max()
    if most < max(MIN_CONTRAST, 5 * noise):
        raise EmptyImage
    return np.minimum(ink / most, 1), blurred > INK_LEVEL * most


def without_ghosts(ink: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """The mask `strong` (H, W) without what is faint and not at the edge of stronger ink: folds, edges of shadows, grain.

    All of it stays where that would be much: the pale body of a thing.
    """
    radius = round(BESIDE * max(ink.shape))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    near = strong & (cv2.dilate((strong & (ink > GHOST)).astype(np.uint8), kernel) > 0)
    return near if ink[near].sum() > (1 - MUCH) * ink[strong].sum() else strong


def patches(strong: np.ndarray, ink: np.ndarray) -> tuple[np.ndarray, list[Patch]]:
    """Each pixel's label (H, W), and the connected patches of the mask, less those with hardly any ink."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(strong.astype(np.uint8), ltype=cv2.CV_32S)
    weights = np.bincount(labels[strong], ink[strong], count)
    large = np.flatnonzero(weights >= SPECK_SHARE * weights.max())
    found = [
        Patch([int(i)], top, top + height, left, left + width, weights[i])
        for i, (left, top, width, height, _) in ((i, boxes[i].tolist()) for i in large)
    ]
    return labels, found


def objects(found: list[Patch], labels: np.ndarray, held: bool) -> list[Patch]:
    """The object that the patches show, or several of like size, from left to right and then down; labels (H, W) as of
    `patches`. held: in somebody's hands, so that fingers may be of any width."""
    shape = labels.shape
    largest = max(found, key=lambda patch: patch.ink)
    found = [patch for patch in found if patch is largest or not patch.underlines(largest)]
    found = _without_fingers(found, labels, 0 if held else FINGER)
    near = APART * max(patch.height for patch in found)
    groups: list[Patch] = []
    for patch in found:
        for other in [group for group in groups if group.distance(patch) < near]:
            groups.remove(other)
            patch = patch.joined(other)
        groups.append(patch)
    most = max(group.ink for group in groups)
    inner = [group for group in groups if not group.touches_edge(shape) and group.ink > INNER * most]
    candidates = inner or groups
    main = max(candidates, key=lambda group: group.ink)
    alike = [g for g in candidates if g.height >= LIKE_HEIGHT * main.height and g.ink >= LIKE_INK * main.ink]
    if len(alike) > 1:
        return sorted(alike, key=lambda group: (group.left, group.top))
    for other in groups:
        if other is not main and not (inner and other.touches_edge(shape)) and main.distance(other) < FAR * main.height:
            main = main.joined(other)
    return [main]


def _without_fingers(found: list[Patch], labels: np.ndarray, width: float) -> list[Patch]:
    """Without what reaches into the picture and is thicker than `width` times the strokes of the pen."""
    most = max(patch.ink for patch in found)
    reaching = [patch.touches_edge(labels.shape) for patch in found]
    inner = [patch for patch, reaches in zip(found, reaching) if not reaches and patch.ink > INNER * most]
    if not any(reaching) or not inner:
        return found
    pen = width * _thickness(max(inner, key=lambda patch: patch.ink), labels)
    return [patch for patch, reaches in zip(found, reaching) if not reaches or _thickness(patch, labels) <= pen]


def _thickness(patch: Patch, labels: np.ndarray) -> float:
    """Of one patch of `labels` (H, W), looked at with a pixel of what is around it."""
    near = labels[max(0, patch.top - 1) : patch.bottom + 1, max(0, patch.left - 1) : patch.right + 1]
    return thickness(np.isin(near, patch.labels))


def alone(ink: np.ndarray, strong: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, Box]:
    """Ink without the strong ink that is not in the mask `sure`, and the box of what is."""
    ink = np.where(strong & ~sure, 0, ink)
    own = np.where(sure, ink, 0)
    return ink, (*_extent(own.max(axis=1)), *_extent(own.max(axis=0)))


def thickness(mask: np.ndarray) -> float:
    """The width of the widest place of a mask in pixels; at the edge of the picture it goes on."""
    return 2 * float(cv2.distanceTransform(np.pad(mask, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5).max())


def is_cut_off(mask: np.ndarray, box: Box) -> bool:
    """Whether an object is part of a thing that goes on beyond the picture: thicker than strokes, and long at its edge."""
    longest = max(box[1] - box[0], box[3] - box[2])
    contact = max(side.sum() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    return contact > AT_EDGE * longest and thickness(mask) > THICK * longest


def _extent(profile: np.ndarray) -> tuple[float, float]:
    """Where the ink begins and ends along one axis, between pixels: half an edge pixel's ink is half a pixel."""
    where = np.flatnonzero(profile > INK_LEVEL)
    return where[0] + 1 - float(profile[where[0]]), where[-1] + float(profile[where[-1]])

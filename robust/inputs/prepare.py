"""One input pipeline: whatever picture comes in, out goes what MNIST images are.

MNIST digits are bright ink on black, scaled (keeping their proportions, antialiased) so that the longest side of
the ink is 20 pixels, and placed in 28x28 by their centre of mass. `prepare` does that to a drawing, a scan or a
photo, step by step: the sheet, the light on it, the lines printed on it, the digit. What cannot be judged raises
`UnusableImage` with one sentence for the user.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps

from robust.inputs.decode import SIDE, UnusableImage, open_image
from robust.inputs.light import has_glare, ink_on_ground
from robust.inputs.lines import without_lines
from robust.inputs.objects import Box, EmptyImage, alone, is_cut_off, objects, patches, strongest, without_ghosts
from robust.inputs.pen import redrawn
from robust.inputs.placing import middle, place
from robust.inputs.sheet import cut_to_sheet, possible_sheets

INK_SHARE = 20 / 28  # MNIST: the longest side of the ink, as a share of the frame
EVERYWHERE = (0, 0, SIDE, SIDE)  # the box of any picture
ENLARGED = 280  # px: so large are pictures made that are as small as the nets' own, but not of their kind


class SeveralObjects(UnusableImage):
    """More than one digit. `boxes` says where, as (left, top, right, bottom) in pixels of the PIL image `picture`."""

    def __init__(self, boxes: list[tuple[int, int, int, int]], picture: Image.Image):
        super().__init__(f"I see {len(boxes)} digits: I read one at a time.")
        self.boxes = boxes
        self.picture = picture

    def cut_out(self, which: int) -> Image.Image:
        """One of the digits with the paper around it, as far as no other digit begins."""
        left, top, right, bottom = box = self.boxes[which]
        room = max(right - left, bottom - top) // 4
        others = [other for other in self.boxes if other != box]
        for other in others:
            room = min(room, max(left - other[2], other[0] - right, top - other[3], other[1] - bottom) - 1)
        room = max(room, 0)
        width, height = self.picture.size
        return self.picture.crop(
            (max(0, left - room), max(0, top - room), min(width, right + room), min(height, bottom + room))
        )

    def __reduce__(self):  # exceptions come back from worker processes pickled
        return SeveralObjects, (self.boxes, self.picture)


MOST = 12  # digits, of which one may choose
FULL = 0.35  # of a sheet: where ink covers more, it is no sheet of paper
FAR = 0.08  # longest side of an object, as a share of the picture's, below which a few pixels decide
DARK = 70  # of 255: paper that wants more light
FAINT = 25  # of 255: from ink to paper, below which the ink is faint
CAMERA = 200  # pixels a side of what may come from a camera
SPECKLE_GREY, SPECKLE_SIZE = 60, 6  # of 255, and pixels: what has less of both is speckle
DRAWN = 0.8  # share of the border that is of one and the same grey where a program has drawn the picture


@dataclass(frozen=True)
class _Found:
    """An object's ink (H, W), its box, whether the edge of the picture cuts it off, and the steps on the way to it."""

    ink: np.ndarray
    box: Box
    cut_off: bool
    stages: list[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Prepared:
    """pixels: float32 (channels, size, size) in [0, 1]; picture: what was given, at most 560 px a side; stages: name and
    array of each step on the way, in order.

    The pictures of the steps and the hint are only made when somebody looks at them: batches do not.
    """

    pixels: torch.Tensor
    picture: Image.Image
    stages: list[tuple[str, np.ndarray]]
    _found: _Found | None = None

    @property
    def original(self) -> Image.Image:
        """The picture as given, RGB, at most 560 px a side."""
        return self.picture.convert("RGB")

    @property
    def steps(self) -> list[tuple[str, Image.Image]]:
        """Each step of the pipeline and what the picture looked like after it."""
        return [(name, _shown(array)) for name, array in self.stages]

    @cached_property
    def hint(self) -> str | None:
        """What would make a better picture, one sentence, if anything."""
        return _hint(self._found) if self._found else None


def prepare(
    source,
    size: int = 28,
    channels: int = 1,
    ink_share: float | None = INK_SHARE,
    box: tuple[int, int, int, int] | None = None,
) -> Prepared:
    """Any source `open_image` reads, as a picture like those the nets know.

    ink_share: the longest side of the object as a share of the frame. Below 1 the object is pen strokes, centred by
    their mass, as in MNIST; at 1 it fills the frame and is centred by its box, as in Fashion-MNIST. Both are grey. None
    takes the picture whole: its middle square, scaled, with 1 or 3 channels.
    box: one of those of `SeveralObjects`: all ink in it is the digit.
    Raises UnreadableImage, EmptyImage and, for pen strokes, SeveralObjects.
    """
    picture = open_image(source)
    shades = _grey(picture)
    if shades.min() == shades.max():
        raise EmptyImage
    name = f"{size}×{size}"
    if ink_share is None:
        scaled = np.asarray(whole(picture, size).convert("RGB" if channels == 3 else "L")).reshape(size, size, channels)
        pixels = torch.from_numpy(np.float32(scaled) / 255).permute(2, 0, 1)
        return Prepared(pixels, picture, [(name, scaled.squeeze())])
    ready = _already_prepared(shades, size, ink_share)
    if ready is not None:
        return Prepared(
            torch.from_numpy(np.float32(ready) / 255)[None], picture, [("Greyscale", shades), (name, ready)]
        )
    strokes = ink_share < 1
    small = max(picture.size) <= size
    page = (
        picture.resize([side * ENLARGED // size for side in picture.size], Image.Resampling.BICUBIC)
        if small
        else picture
    )
    found = _find_object(page, box, strokes, small)
    (top, bottom, left, right), ink = found.box, found.ink
    # A thing that the picture shows in part fills the frame, as it filled the picture.
    pixels = place(ink, found.box, size, 1 if found.cut_off else ink_share)
    cut = ink[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
    stages = [*found.stages, ("Cut out", cut), (name, pixels)]
    return Prepared(torch.from_numpy(pixels)[None], picture, stages, None if small else found)


def _hint(found: _Found) -> str | None:
    """What whoever holds the camera can do."""
    shades = next(array for name, array in found.stages if name == "Greyscale")
    longest = max(found.box[1] - found.box[0], found.box[3] - found.box[2])
    inked = found.ink > 0.5
    if found.cut_off:
        return "Part of it is outside the picture: move back a little."
    if longest < FAR * max(shades.shape):
        return "It is small in the picture: move closer."
    if max(shades.shape) < CAMERA or not inked.any() or inked.shape != shades.shape:
        return None
    ink, paper = np.median(shades[inked]), np.median(shades[~inked])
    if ink < paper < DARK:
        return "The picture is dark: more light would help."
    if abs(paper - ink) < FAINT:
        return "The ink hardly differs from the paper: a darker pen, or more light, would help."
    if has_glare(np.float32(shades) / 255):
        return "Something bright lies on the paper, a reflection perhaps: turn the paper away from the light."
    return None


def _find_object(page: Image.Image, box: tuple[int, int, int, int] | None, strokes: bool, small: bool) -> _Found:
    """The object on the sheet in a picture or, where there is none or no ink on it, in all of the picture."""
    if not strokes or small:
        return _on_page(page, box, strokes, small)
    picture = np.asarray(page)
    sheet = cut_to_sheet(picture)
    if sheet is not None:
        return _on_sheet(sheet, box, held=False) or _on_page(page, box, strokes, small)
    several = None
    for sheet in [] if _is_drawn(_grey(page)) else possible_sheets(picture):
        try:
            found = _on_sheet(sheet, None, held=True)
        except SeveralObjects as refusal:
            inside = not any(_touches((y, bottom, x, right), sheet.shape) for x, y, right, bottom in refusal.boxes)
            several = several or ((sheet, refusal) if inside else None)
            continue
        except UnusableImage:  # print, say: not what was held up
            continue
        if found and not _touches(found.box, found.ink.shape):  # what does lies within strokes, or holds the sheet
            return found
    if several is None:
        return _on_page(page, box, strokes, small)
    sheet, refusal = several
    if box is None:
        raise refusal
    return _on_sheet(sheet, box, held=True) or _on_page(page, box, strokes, small)


def _on_sheet(sheet: np.ndarray, box: tuple[int, int, int, int] | None, held: bool) -> _Found | None:
    """The object on a sheet; None for one without ink."""
    try:
        found = _on_page(Image.fromarray(sheet), box, strokes=True, small=False, held=held)
    except EmptyImage:
        return None
    return replace(found, stages=[("Sheet", sheet), *found.stages]) if (found.ink > 0.5).mean() < FULL else None


def _touches(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a box reaches the edge of a picture."""
    top, bottom, left, right = box
    return min(top, left, shape[0] - bottom, shape[1] - right) < 2


def _on_page(
    page: Image.Image, box: tuple[int, int, int, int] | None, strokes: bool, small: bool, held: bool = False
) -> _Found:
    """The object in all of a picture; held: which shows a sheet in somebody's hands, and no more."""
    try:
        return _in_grey(_grey(page), page, box, strokes, small, held)
    except EmptyImage:
        if page.mode != "RGB" or not strokes:
            raise
        # A yellow pen on white is bright in all but one colour.
        return _in_grey(np.asarray(page).min(axis=2), page, box, strokes, small, held)


def _in_grey(
    shades: np.ndarray,
    page: Image.Image,
    box: tuple[int, int, int, int] | None,
    strokes: bool,
    small: bool,
    held: bool,
) -> _Found:
    """The object in greys (H, W), uint8, of a page."""
    grey = shades.astype(np.float32) / 255
    stages = [("Greyscale", shades)]
    ground = ink_on_ground(grey, strokes, np.asarray(page))
    if ground is None:  # the picture fills its frame: all of it is the object
        return _Found(grey, (0, grey.shape[0], 0, grey.shape[1]), False, [*stages, ("Ink", grey)])
    ink, noise = ground
    if strokes:
        ink = without_lines(ink, noise)
    ink, strong = strongest(ink, noise)
    drawn = _is_drawn(shades)
    if strokes and not drawn:
        strong = without_ghosts(ink, strong)
    labels, found = patches(strong, ink)
    if box is not None:
        found = [patch for patch in found if patch.inside(box)]
        if not found:
            raise EmptyImage
    elif strokes:
        found = objects(found, labels, held)
        if len(found) > MOST:
            raise UnusableImage(f"I see {len(found)} things, and no digit that stands alone: move closer to one.")
        if len(found) > 1:
            raise SeveralObjects([(patch.left, patch.top, patch.right, patch.bottom) for patch in found], page)
    sure = np.isin(labels, [label for patch in found for label in patch.labels]) & strong
    ink, extent = alone(ink, strong, sure)
    cut_off = False
    if strokes and box != EVERYWHERE:
        cut_off = is_cut_off(sure, extent)
        if not cut_off:
            ink, extent = redrawn(ink, sure, extent, small, drawn)
    return _Found(ink, extent, cut_off, [*stages, ("Ink", ink)])


def _grey(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture if picture.mode == "L" else picture.convert("L"))


def whole(picture: Image.Image, size: int) -> Image.Image:
    """The middle square of a picture, scaled to size x size."""
    return ImageOps.fit(picture, (size, size))


def _shown(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array if array.dtype == np.uint8 else np.rint(array * 255).astype(np.uint8))


def _already_prepared(shades: np.ndarray, size: int, ink_share: float) -> np.ndarray | None:
    """The picture, bright on black, if it already is in the nets' own format; else None.

    In MNIST the box of all pixels above 0 is 20 long and the centre of mass lies within half a pixel of the middle.
    Such a picture needs no work, and resampling it would only blur it. (21: a box that straddles the pixel grid.)
    Data sets in MNIST's format whose pictures fill the 28x28 frame, such as Fashion-MNIST, are meant to be read as
    they are, too: every published figure on them is. Nets trained on such take all pictures of this size as they are.
    """
    if shades.shape != (size, size):
        return None
    if ink_share == 1:
        return shades
    for candidate in (shades, 255 - shades):
        lines = candidate.sum(axis=1), candidate.sum(axis=0)
        longest = max(np.ptp(np.flatnonzero(line)) for line in lines) + 1
        if longest >= 26 / 28 * size:
            if _is_a_thing(candidate):
                return candidate
        elif INK_SHARE * size - 1 <= longest <= INK_SHARE * size + 1 and candidate.max() > 240:
            off_centre = max(abs(middle(line) - (size + 1) / 2) for line in lines)
            if off_centre <= 0.501:  # like MNIST
                return candidate
    return None


def _is_a_thing(picture: np.ndarray) -> bool:
    """Whether a picture of the nets' size shows a thing that fills its frame, and not pen strokes, bright on black."""
    if np.median(_border(picture)) > 127 or picture.max() < 250 or (picture == 0).mean() < 0.02:
        return False
    sure = picture > 25
    thickness = 2 * cv2.distanceTransform(np.pad(sure, 1).astype(np.uint8), cv2.DIST_L2, 5).max()
    shaded = (sure & (picture < 230)).sum() / sure.sum()
    return thickness > 6.6 or (shaded > 0.5 and _extent(picture) >= 26 / 28 * len(picture))


def _extent(picture: np.ndarray) -> int:
    """How many pixels long what a picture of the nets' size shows is, without the speckle of JPEG or of a camera: a few
    faint pixels each."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((picture > 16).astype(np.uint8))
    strongest = np.zeros(count)
    np.maximum.at(strongest, labels, picture)
    left, top, width, height, area = boxes[1:][
        (strongest[1:] > SPECKLE_GREY) | (boxes[1:, cv2.CC_STAT_AREA] >= SPECKLE_SIZE)
    ].T
    if not len(area):
        return 0
    return int(max((left + width).max() - left.min(), (top + height).max() - top.min()))


def _is_drawn(shades: np.ndarray) -> bool:
    """Whether a program has drawn the picture: its greys are meant, and need no cleaning."""
    border = _border(shades)
    return np.bincount(border).max() > DRAWN * len(border)


def _border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])

"""One input pipeline: whatever picture comes in, out goes what MNIST images are.

MNIST digits are bright ink on black, scaled (keeping their proportions, antialiased) so that the longest side of
the ink is 20 pixels, and placed in 28x28 by their centre of mass. `prepare` does that to a drawing, a scan or a
photo; `open_image` reads anything that can be a picture. Both raise `UnusableImage` with one sentence for the user.
"""

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from scipy import ndimage

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # only what we mean to read: EPS would start a program
MAX_PIXELS = 50_000_000
SIDE = 560  # longest side of the picture that is shown and worked on: 28 source pixels for each of MNIST's 20
INK_SHARE = 20 / 28  # MNIST: the longest side of the ink, as a share of the frame
BACKGROUND_TOLERANCE = 0.06  # a pixel this near the fitted background belongs to it
BACKGROUND_SHARE = 0.25  # with less of the border explained than this, the picture has no background
MIN_CONTRAST = 0.06  # ink fainter than this (of black to white) is a blank page
INK_LEVEL = 0.12  # share of the strongest ink from which a pixel surely is ink
SPECK_SHARE = 0.02  # ink patches with less than this share of the largest patch's ink are dirt


class UnusableImage(ValueError):
    """The picture cannot be judged; the message is one sentence fit to show to a user."""


class UnreadableImage(UnusableImage):
    """Not a picture, damaged, too large, or of a kind we do not read."""


class EmptyImage(UnusableImage):
    """A picture without ink: a blank page, one colour, faint noise."""

    def __init__(self):
        super().__init__("The picture is empty: draw something, or choose a picture with more contrast.")


@dataclass(frozen=True)
class Prepared:
    """pixels: float32 (channels, size, size) in [0, 1]; picture: what was given, at most 560 px a side; stages: name and
    array of each step on the way, in order.

    The pictures of the steps are only made when somebody looks at them: batches do not.
    """

    pixels: torch.Tensor
    picture: Image.Image
    stages: list[tuple[str, np.ndarray]]

    @property
    def original(self) -> Image.Image:
        """The picture as given, RGB, at most 560 px a side."""
        return self.picture.convert("RGB")

    @property
    def steps(self) -> list[tuple[str, Image.Image]]:
        """Each step of the pipeline and what the picture looked like after it."""
        return [(name, _shown(array)) for name, array in self.stages]


# --- Reading -------------------------------------------------------------------------------------------------------


def open_image(source) -> Image.Image:
    """Any source as an upright opaque picture, mode 'L' or 'RGB', at most 560 px a side.

    source: path, bytes, binary file, PIL image, or array / tensor of shape (H, W), (H, W, C) or (C, H, W) with C of
    1, 3 or 4, as bool, 0..255 (integers), 0..65535 (uint16) or 0..1 (floats). Raises UnreadableImage.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large or slightly odd files; we refuse or read them
        try:
            return _normalise(_decode(source))
        except UnusableImage:
            raise
        except (Image.DecompressionBombError, MemoryError):
            raise _too_large() from None
        except Exception:  # Pillow's readers answer damaged files with many kinds of exception
            raise UnreadableImage(
                "This picture could not be read: it is damaged or of an unknown kind; save it again as PNG or JPEG."
            ) from None


def _decode(source) -> Image.Image:
    if isinstance(source, (str, Path)):
        if not os.path.isfile(source):
            raise UnreadableImage(f"There is no picture file at {source}: check the path.")
        if not os.access(source, os.R_OK):
            raise UnreadableImage(f"The file {source} may not be read: check its permissions.")
        with open(source, "rb") as file:
            return _decode_file(file)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode_file(io.BytesIO(source))
    if hasattr(source, "read"):
        return _decode_file(source)
    if isinstance(source, Image.Image):
        _check_size(*source.size)
        return source.copy()
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu()
        source = source.float().numpy() if source.is_floating_point() else source.numpy()
    return _from_array(np.asarray(source))


def _decode_file(file) -> Image.Image:
    if not file.read(1):
        raise UnreadableImage("This file is empty (zero bytes): choose another picture.")
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise UnreadableImage(
            "This file is not a picture we can read: use PNG, JPEG, WebP, GIF, BMP or TIFF."
        ) from None
    _check_size(*image.size)  # the header alone tells; nothing is decoded yet
    image.draft(None, (2 * SIDE, 2 * SIDE))  # large JPEGs decode straight to a smaller size
    image.load()
    return image


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large()
    if width * height == 0:
        raise UnreadableImage("This picture has no pixels: choose another one.")


def _too_large() -> UnreadableImage:
    return UnreadableImage(f"This picture is too large: use one of at most {MAX_PIXELS // 1_000_000} megapixels.")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))
    if not is_picture or array.dtype.kind not in "buif":
        raise UnreadableImage(
            "This array is not a picture: give numbers of shape (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels."
        )
    _check_size(array.shape[1], array.shape[0])
    if not np.isfinite(array).all():
        raise UnreadableImage("This array holds values that are not numbers (NaN or infinite): replace them first.")
    brightest = {"b": 1, "f": 1}.get(array.dtype.kind, 65535 if array.dtype == np.uint16 else 255)
    if array.min() < 0 or array.max() > brightest + 1e-3:
        raise UnreadableImage("This array is out of range: give integers from 0 to 255 or floats from 0 to 1.")
    if array.dtype != np.uint8:
        array = np.rint(np.clip(array.astype(np.float32) / brightest, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array.squeeze(-1) if array.shape[2:] == (1,) else array))


def _normalise(image: Image.Image) -> Image.Image:
    """Upright, 8 bits, opaque, mode 'L' or 'RGB', at most SIDE pixels a side."""
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode[0] in "IF":  # 16-bit, 32-bit or float greys
        image = _eight_bits(image)
    if image.has_transparency_data:
        return _flatten(_shrink(image if image.mode == "RGBA" else image.convert("RGBA")))
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    return _shrink(image if image.mode in ("L", "RGB") else image.convert("RGB"))


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableImage("This picture holds values that are not numbers (NaN or infinite): save it again as PNG.")
    low, high = min(0, values.min()), max(1, values.max())  # no agreed range: stretch what leaves 0..1
    return Image.fromarray(np.rint((values - low) / (high - low) * 255).astype(np.uint8))


def _shrink(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    if scale >= 1:
        return image
    size = [max(1, round(scale * side)) for side in image.size]
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2)


def _flatten(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white if what it shows is dark, on black if it is bright: so it stays visible."""
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32)
    brightness = np.average(image.convert("L"), weights=alpha) if alpha.any() else 0
    ground = Image.new("RGBA", image.size, "white" if brightness < 128 else "black")
    return Image.alpha_composite(ground, image).convert("RGB")


# --- Preparing -----------------------------------------------------------------------------------------------------


def prepare(source, size: int = 28, channels: int = 1, ink_share: float | None = INK_SHARE) -> Prepared:
    """Any source `open_image` reads, as a picture like those the nets know. Raises UnreadableImage, EmptyImage.

    ink_share: the longest side of the object as a share of the frame. Below 1 the object is centred by its mass, as in
    MNIST; at 1 it fills the frame and is centred by its box, as in Fashion-MNIST. Both are grey. None takes the picture
    whole: its middle square, scaled, with 1 or 3 channels.
    """
    picture = open_image(source)
    shades = np.asarray(picture if picture.mode == "L" else picture.convert("L"))
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
    ink, box = find_ink(shades.astype(np.float32) / 255)
    cut = ink[int(box[0]) : int(np.ceil(box[1])), int(box[2]) : int(np.ceil(box[3]))]
    pixels = place(ink, box, size, ink_share)
    stages = [("Greyscale", shades), ("Ink", ink), ("Cut out", cut), (name, pixels)]
    return Prepared(torch.from_numpy(pixels)[None], picture, stages)


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
        if longest > INK_SHARE * size + 1:
            if np.median(_border(candidate)) <= 0.1 * 255:  # fills the frame
                return candidate
        elif longest >= INK_SHARE * size - 1 and candidate.max() > 240:
            off_centre = max(abs(_middle(line) - (size + 1) / 2) for line in lines)
            if off_centre <= 0.501:  # like MNIST
                return candidate
    return None


def _border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])


def _centre_of_mass(ink: np.ndarray) -> tuple[float, float]:
    """(y, x) in pixels from the top left corner; the middle of the first pixel is 0.5."""
    return _middle(ink.sum(axis=1)), _middle(ink.sum(axis=0))


def _middle(line: np.ndarray) -> float:
    """Centre of mass along one axis, in pixels from its start, of the ink of each row or column."""
    return float(line @ np.arange(0.5, len(line)) / line.sum())


def find_ink(grey: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Greys in [0, 1] to ink in [0, 1], bright on black, and its box (top, bottom, left, right) in pixels."""
    found = _background(grey)
    if found is None:  # the picture fills its frame: all of it is the object
        return grey, (0, grey.shape[0], 0, grey.shape[1])
    background, noise = found
    ink, noise = _bright_on_black(grey, background, noise)
    # Thin strokes survive a blur of this radius, single noisy pixels do not.
    blurred = ndimage.uniform_filter(ink, 2 * (max(ink.shape) // 280) + 1)
    if blurred.max() < max(MIN_CONTRAST, 5 * noise):
        raise EmptyImage
    ink = np.minimum(ink / blurred.max(), 1)
    strong = blurred > INK_LEVEL * blurred.max()
    kept = _without_specks(strong, ink)
    ink[strong & ~kept] = 0
    sure = np.where(kept, ink, 0)
    return ink, (*_extent(sure.max(axis=1)), *_extent(sure.max(axis=0)))


def _background(grey: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The shading of the empty page (as grey) and its noise (standard deviation); None if there is no background.

    It starts from the commonest grey along the border, the rest of which an object may cover, and grows from there:
    a constant, then a plane, then a quadratic surface, each fitted to the pixels the one before explains; first those
    of the border alone, since ink in the light can be as grey as paper in the shade.
    """
    y, x = [np.linspace(-1, 1, side, dtype=np.float32) for side in grey.shape]
    rows, columns = [np.linspace(0, side - 1, min(side, 48)).round().astype(int) for side in grey.shape]
    some_y, some_x = y[rows, None], x[None, columns]  # a grid of samples is enough to fit a smooth surface
    values, terms = grey[np.ix_(rows, columns)].ravel(), _quadratic_terms(some_y, some_x)
    border = (np.maximum(np.abs(some_y), np.abs(some_x)) > 0.92).ravel()
    counts = np.bincount((values[border] * 32).astype(int))
    estimate = (counts.argmax() + 0.5) / 32
    everywhere = np.ones_like(border)
    for order, region in [(1, border), *[(3, border)] * 3, *[(6, border)] * 2, *[(6, everywhere)] * 2]:
        explained = region & (np.abs(values - estimate) < BACKGROUND_TOLERANCE)
        if not explained.any():
            return None
        weighted = terms[:order] * explained
        ridge = np.diag([0] + [1e-4 * explained.sum()] * (order - 1))  # no wild slopes from a few pixels
        surface = np.linalg.solve(weighted @ terms[:order].T + ridge, weighted @ values)
        estimate = surface @ terms[:order]
    rest = np.abs(values - estimate)
    explained = rest < BACKGROUND_TOLERANCE
    if explained[border].mean() < BACKGROUND_SHARE:
        return None
    noise = 1.4826 * np.median(rest[explained])
    constant, slope_y, slope_x, bend_y, bend_x, twist = surface.astype(np.float32)
    along_y, along_x = constant + slope_y * y + bend_y * y * y, slope_x * x + bend_x * x * x
    return along_y[:, None] + along_x + np.outer(twist * y, x), noise


def _quadratic_terms(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(6, H * W): 1, y, x, y², x², xy over the grid of a column y and a row x."""
    y, x = [axis.ravel() for axis in np.broadcast_arrays(y, x)]
    return np.stack([np.ones_like(x), y, x, y * y, x * x, x * y])


def _bright_on_black(grey: np.ndarray, background: np.ndarray, noise: float) -> tuple[np.ndarray, float]:
    """Ink in [0, 1]: how far each pixel is on its way from the background to white or black, whichever is stronger;
    and the noise on that scale.

    As a share of the way, since ink in the shade of a photographed page differs less from the paper than in the light.
    """
    brighter = grey - background
    floor = max(3 * noise, 2 / 255)
    sure = np.where(np.abs(brighter) > floor, brighter, 0)
    if np.square(np.minimum(sure, 0)).sum() > np.square(np.maximum(sure, 0)).sum():
        sure, background = -sure, 1 - background
    way = np.maximum(1 - background, 0.25)
    return np.clip(sure / way, 0, 1), noise / way.min()


def _without_specks(strong: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """The connected patches of the mask `strong`, less those with hardly any ink beside the largest."""
    labels, count = ndimage.label(strong, np.ones((3, 3)))
    weights = np.bincount(labels[strong], ink[strong], count + 1)
    return (weights >= SPECK_SHARE * weights.max())[labels] & strong


def _extent(profile: np.ndarray) -> tuple[float, float]:
    """Where the ink begins and ends along one axis, between pixels: half an edge pixel's ink is half a pixel."""
    where = np.flatnonzero(profile > INK_LEVEL)
    return where[0] + 1 - float(profile[where[0]]), where[-1] + float(profile[where[-1]])


def place(ink: np.ndarray, box: tuple[float, float, float, float], size: int, ink_share: float) -> np.ndarray:
    """Cut to the box, scale its longest side to `ink_share` of the frame and centre: (size, size) float32 in [0, 1].

    MNIST shifts by whole pixels. Here scaling and shifting are one exact resampling at any fraction of a pixel, since
    a rounded shift would make the same drawing jump by a pixel between two places on the pad.
    """
    top, bottom, left, right = box
    y0, y1, x0, x1 = int(top), int(np.ceil(bottom)), int(left), int(np.ceil(right))
    cut = ink[y0:y1, x0:x1]
    unit = max(bottom - top, right - left) / (ink_share * size)  # source pixels for each pixel of the result
    centre_y, centre_x = _centre_of_mass(cut)
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

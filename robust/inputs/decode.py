"""Any source as an upright, opaque picture of 8 bits; or one sentence for the user that says why not."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

# Only what we mean to read: EPS would start a program. (MPO, of stereo cameras and some phones, is read as JPEG.)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
NAMES = "PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000 or HEIC"
READ_SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .webp .gif .bmp .dib .tif .tiff .avif .avifs "
    ".jp2 .j2k .jpc .jpf .jpx .j2c .heic .heics .heif .heifs .hif".split()
)
# Formats of pictures that we do not read, so that a folder's scores can say so of each.
UNREAD_SUFFIXES = frozenset(
    ".svg .svgz .pdf .eps .ps .ai .psd .xcf .jxl .ico .icns .tga .pcx .ppm .pgm .pbm .pnm .dds .exr .hdr "
    ".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf".split()
)
PICTURE_SUFFIXES = READ_SUFFIXES | UNREAD_SUFFIXES
# What a header may promise. Together they keep every picture below two seconds of a core and 300 MB.
MAX_PIXELS = 50_000_000  # of a JPEG, which is decoded straight to a smaller size
MAX_WHOLE = 25_000_000  # pixels of the other formats, which are decoded whole
MAX_DEEP = 9_000_000  # pixels of 32 bits of grey, which are counted in floats
MAX_SIDE = 20_000  # pixels
MAX_SCANNED = 150_000_000  # pixels times scans of a progressive JPEG: each scan goes over all of them
MAX_TILE = 4_000_000  # pixels of a TIFF's tile, which is decoded whole however small the picture is
MAX_EXIF = 100_000  # bytes: more holds no orientation worth the time
SIDE = 560  # longest side of the picture that is shown and worked on: 28 source pixels for each of MNIST's 20
MAX_FRAMES = 20  # so many pages or frames are looked at for one that is not blank
BLANK = 8  # of 255: a page is blank whose greys, averaged over its 64ths, differ by no more


class UnusableImage(ValueError):
    """The picture cannot be judged; the message is one sentence fit to show to a user."""


class UnreadableImage(UnusableImage):
    """Not a picture, damaged, too large, or of a kind we do not read."""


def open_image(source) -> Image.Image:
    """Any source as an upright opaque picture, mode 'L' or 'RGB', at most 560 px a side.

    source: path, bytes, binary file, PIL image, or array / tensor of shape (H, W), (H, W, C) or (C, H, W) with C of
    1, 3 or 4, as bool, 0..255 (integers), 0..65535 (uint16) or 0..1 (floats). Of several pages or frames it is the
    first that is not blank. 16-bit greys that use few of their bits are stretched. Raises UnreadableImage.
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
    start = file.read(1024)
    if not start:
        raise UnreadableImage("This file is empty (zero bytes): choose another picture.")
    file.seek(0)
    try:
        image = Image.open(file, formats=_formats(start))
    except Image.UnidentifiedImageError:
        raise UnreadableImage(f"This file is not a picture we can read: use {NAMES}.") from None
    _check_size(*image.size)  # the header alone tells; nothing is decoded yet
    _check_cost(image, file)
    image.draft(None, (2 * SIDE, 2 * SIDE))  # large JPEGs decode straight to a smaller size
    image.load()
    _skip_blank_frames(image)
    return image


def _check_cost(image: Image.Image, file) -> None:
    """Raises UnreadableImage for what would take long, or much memory, to decode: by its header, and by a JPEG's scans."""
    area = image.width * image.height
    is_deep = image.mode in ("I", "F")
    if area > (MAX_DEEP if is_deep else MAX_PIXELS if image.format in ("JPEG", "MPO") else MAX_WHOLE):
        raise _too_large(MAX_DEEP if is_deep else MAX_WHOLE)
    if image.info.get("progressive"):
        place = file.tell()
        file.seek(0)
        scans = file.read().count(b"\xff\xda")
        file.seek(place)
        if area * scans > MAX_SCANNED:
            raise UnreadableImage(
                f"This JPEG is stored in {scans} scans, which takes too long to read: save it again as a plain JPEG."
            )
    if image.format == "TIFF":
        tile = [_first_number(image.tag_v2.get(tag, 1)) for tag in (322, 323)]  # its width and length
        if tile[0] * tile[1] > max(MAX_TILE, 4 * area):
            raise UnreadableImage("This TIFF is damaged: its tiles are larger than the picture; save it again as PNG.")
    if len(image.info.get("exif") or b"") > MAX_EXIF:
        del image.info["exif"]


def _first_number(tag) -> int:
    return int(tag[0] if isinstance(tag, tuple) else tag)


def _formats(start: bytes) -> tuple[str, ...]:
    """What Pillow may take a file for that begins with these bytes. Raises UnreadableImage for well-known others."""
    if start.startswith(b"%PDF"):
        raise UnreadableImage("This is a PDF, not a picture: take a screenshot of the page, or save it as PNG.")
    if b"<svg" in start.lower():
        raise UnreadableImage("This is an SVG drawing, not a picture of pixels: save it as PNG.")
    if start[4:8] == b"ftyp" and start[8:12] in (
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"mif1",
        b"msf1",
    ):
        return *FORMATS, *_heif()
    return FORMATS


def _heif() -> tuple[str, ...]:
    """Teach Pillow to read HEIC, the format of iPhones, where pillow-heif is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise UnreadableImage(
            "This is a HEIC picture, which needs pillow-heif (pip install pillow-heif): install it, or save the "
            "picture as JPEG."
        ) from None
    register_heif_opener()
    return ("HEIF",)


def _skip_blank_frames(image: Image.Image) -> None:
    """Go to the first page or frame that is not blank; stay at the first where there is none."""
    if not getattr(image, "is_animated", False):
        return
    most = min(MAX_FRAMES, max(1, MAX_WHOLE // (image.width * image.height)))
    for frame in range(most):  # how many there are would take to read them all
        try:
            if not _is_blank(image, frame):
                return
        except EOFError:
            break
    image.seek(0)
    image.load()  # while the file is open


def _is_blank(image: Image.Image, frame: int) -> bool:
    image.seek(frame)
    if image.mode[0] in "IF":
        low, high = image.getextrema()
        return low == high
    shown = _flatten(image.convert("RGBA")).convert("L").resize((64, 64), Image.Resampling.BOX)
    return np.ptp(np.asarray(shown)) <= BLANK


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large()
    if max(width, height) > MAX_SIDE:
        raise UnreadableImage(f"This picture is too long: use one of at most {MAX_SIDE:,} pixels a side.")
    if width * height == 0:
        raise UnreadableImage("This picture has no pixels: choose another one.")


def _too_large(most: int = MAX_PIXELS) -> UnreadableImage:
    return UnreadableImage(f"This picture is too large: use one of at most {most // 1_000_000} megapixels.")


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
    if array.dtype == np.uint16:
        array = _from_16_bits(array)
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
        return Image.fromarray(_from_16_bits(values))
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableImage("This picture holds values that are not numbers (NaN or infinite): save it again as PNG.")
    low, high = min(0, values.min()), max(1, values.max())  # no agreed range: stretch what leaves 0..1
    return Image.fromarray(np.rint((values - low) / (high - low) * 255).astype(np.uint8))


def _from_16_bits(values: np.ndarray) -> np.ndarray:
    """To 8 bits by the number of bits in use: cameras and scanners store 10 or 12 bits in 16."""
    bits = max(8, int(values.max()).bit_length())
    return (values >> (bits - 8)).astype(np.uint8)


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

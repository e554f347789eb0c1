"""Images for a fitted guard, taken as they are: no cutting out, no centring (that is `preprocess`, for digits)."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from robust.inputs.decode import UnusableImage, open_image
from robust.inputs.prepare import Prepared

SMALLEST, LARGEST = 28, 512
CHUNK = 1024


def image_set(data, what: str) -> Tensor:
    """A data set as uint8 (N, channels, size, size), with 1 or 3 channels and a size of 28 to 512.

    `data` is a tensor or array (N, H, W), (N, C, H, W) or (N, H, W, C), uint8 or floats in [0, 1]; or a torch Dataset
    (anything with a length and items) of such images or PIL images, alone or first in a tuple. Floats are rounded to
    8 bits, so that the set takes as little memory as it can. Raises ValueError, which begins with `what`.
    """
    if isinstance(data, tuple):
        raise ValueError(
            f"{what}: these are {len(data)} things together. Give the images alone, and labels=... for labels."
        )
    if isinstance(data, torch.utils.data.DataLoader):
        raise ValueError(f"{what}: give the data set itself, the loader's .dataset.")
    if isinstance(data, Tensor) or hasattr(data, "__array__"):
        return _checked(_as_tensor(data, what), what)
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise ValueError(
            f"{what}: {type(data).__name__} is no data set. Give a tensor, an array, or a torch Dataset of images."
        )
    images = None
    for i in tqdm(range(len(data)), desc=f"read {what}", leave=False, mininterval=1):
        image = _checked(_as_tensor(_first(data[i]), what).unsqueeze(0), f"{what}, image {i}")
        if images is None:
            images = torch.empty(len(data), *image.shape[1:], dtype=torch.uint8)
        if image.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"{what}, image {i}: it is {_shape(image)}, the first one {_shape(images)}; make all of them alike."
            )
        images[i] = image[0]
    if images is None:
        raise ValueError(f"{what}: the data set is empty.")
    return images


def prepare_as_given(source, channels: int, size: int) -> Prepared:
    """What `read_image` makes of a source, with the picture beside it, for pages. Raises UnusableImage."""
    pixels = read_image(source, channels, size)
    levels = (pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8).squeeze()
    return Prepared(pixels, open_image(source), [(f"{size}×{size}", levels)])


def read_image(source, channels: int, size: int) -> Tensor:
    """One image as float (channels, size, size) in [0, 1].

    Tensors and arrays must have that shape (or (size, size, channels), or (size, size) for grey) and hold uint8 or
    floats in [0, 1]; their values are not touched. Files, bytes and PIL images are turned to grey or colour, and
    shrunk when they are larger; they must be square, and no smaller, since enlarging invents detail and cropping
    hides some. Raises UnusableImage.
    """
    if isinstance(source, Tensor) or (hasattr(source, "__array__") and not isinstance(source, Image.Image)):
        try:
            pixels = _channels_first(_as_tensor(source, "The image").unsqueeze(0), "The image")
            check_shape(pixels, channels, size, "The image")
            return _as_floats(pixels, "The image")[0]
        except ValueError as error:
            raise UnusableImage(str(error)) from None
    picture = open_image(source).convert("L" if channels == 1 else "RGB")
    if picture.width != picture.height:
        raise UnusableImage(f"The picture is not square: crop it to a square, which is then shrunk to {size}×{size}.")
    if picture.width < size:
        raise UnusableImage(
            f"The picture has {picture.width}×{picture.height} pixels: at least {size}×{size} are needed."
        )
    if picture.width > size:
        picture = picture.resize((size, size), Image.Resampling.BOX)
    return _as_floats(_channels_first(torch.from_numpy(np.array(picture))[None], "The picture"), "The picture")[0]


def check_shape(images: Tensor, channels: int, size: int, what: str) -> None:
    """Raises ValueError unless images are (N, channels, size, size)."""
    if images.shape[1:] != (channels, size, size):
        raise ValueError(
            f"{what}: images of {_shape(images)} do not fit; the guard was fitted to {channels}×{size}×{size} "
            "(channels, height, width)."
        )


def check_floats(images: Tensor, what: str) -> None:
    """Raises ValueError unless the values are floats in [0, 1], to within rounding."""
    if not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        raise ValueError(f"{what}: {kind} values do not fit; give uint8 from 0 to 255, or floats from 0 to 1.")
    low, high = (float(value) for value in images.aminmax())
    if not np.isfinite(low + high):
        raise ValueError(f"{what}: there are values that are not numbers (NaN or infinite); replace them first.")
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(
            f"{what}: values go from {low:.3g} to {high:.3g}, and floats must lie from 0 to 1. Divide 0..255 by 255; "
            "leave a normalisation by mean and standard deviation to the classifier."
        )


def _first(item):
    """The image of an item (image, label, ...)."""
    image = item[0] if isinstance(item, (tuple, list)) else item
    if isinstance(image, Image.Image):
        return np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    return image


def _as_tensor(data, what: str) -> Tensor:
    try:
        return data.detach().cpu() if isinstance(data, Tensor) else torch.from_numpy(np.ascontiguousarray(data))
    except TypeError:
        raise ValueError(
            f"{what}: this is no array of numbers. Give uint8 from 0 to 255, or floats from 0 to 1."
        ) from None


def _checked(data: Tensor, what: str) -> Tensor:
    """Any layout and scale to uint8 (N, channels, size, size)."""
    images = _channels_first(data, what)
    height, width = images.shape[2:]
    if height != width:
        raise ValueError(f"{what}: images are {height}×{width}; crop or resize them to squares.")
    if not SMALLEST <= height <= LARGEST:
        raise ValueError(f"{what}: images are {height}×{width}; resize them to {SMALLEST} to {LARGEST} pixels a side.")
    if images.dtype == torch.uint8:
        return images.contiguous()
    whole = torch.empty(images.shape, dtype=torch.uint8)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        check_floats(part, what)
        whole[start : start + CHUNK] = part.clamp(0, 1).mul(255).round()
    return whole


def _channels_first(images: Tensor, what: str) -> Tensor:
    """(N, H, W), (N, C, H, W) or (N, H, W, C) to (N, C, H, W)."""
    if images.ndim == 3:
        images = images.unsqueeze(1)
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.movedim(3, 1)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"{what}: shape {tuple(images.shape)} does not fit. Give grey or colour images as (N, H, W), (N, C, H, W) "
            "or (N, H, W, C), with 1 or 3 channels."
        )
    return images


def _as_floats(images: Tensor, what: str) -> Tensor:
    if images.dtype == torch.uint8:
        return images.float() / 255
    check_floats(images, what)
    return images.float().clamp(0, 1)


def _shape(images: Tensor) -> str:
    return "×".join(str(side) for side in images.shape[1:])

"""The input pipeline on real digits, drawn and photographed pictures, and everything that is no picture at all."""

import io
import struct
import sys
import time
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from robust.data.examples import EXAMPLES, samples
from robust.inputs.decode import UnreadableImage, UnusableImage, open_image
from robust.inputs.objects import EmptyImage
from robust.inputs.prepare import prepare

NEARLY = 0.01  # mean absolute difference of two preparations of the same drawing


def digit(label=5, side=280, extent=0.6, place=(0.5, 0.5)) -> Image.Image:
    """A real digit, white on black, its longest side `extent` of the frame, at `place` (0..1 from left, from top)."""
    small = EXAMPLES[f"Digit {label}"]()
    ink = small.crop(small.getbbox())
    scale = extent * side / max(ink.size)
    ink = ink.resize([round(scale * length) for length in ink.size], Image.Resampling.BICUBIC)
    page = Image.new("L", (side, side))
    page.paste(ink, [round(where * (side - length)) for where, length in zip(place, ink.size)])
    return page


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photographed(drawing: Image.Image, noise=0.03) -> bytes:
    """Dark ink on unevenly lit paper, with sensor noise, as JPEG."""
    ink = np.asarray(drawing, dtype=float) / 255
    y, x = [axis / len(ink) for axis in np.mgrid[: len(ink), : len(ink)]]
    light = 0.85 - 0.3 * x - 0.2 * y * y
    grains = np.random.default_rng(0).normal(0, noise, ink.shape)
    return encoded(Image.fromarray((np.clip(light * (1 - 0.8 * ink) + grains, 0, 1) * 255).astype(np.uint8)), "JPEG")


def difference(one, other) -> float:
    return (prepare(one).pixels - prepare(other).pixels).abs().mean().item()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header promises a size and whose pixels are missing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_mnist_images_pass_unchanged_in_either_polarity():
    for image in samples()["mnist_images"]:
        expected = image.float() / 255
        assert torch.equal(prepare(image).pixels, expected)
        assert torch.equal(prepare(255 - image).pixels, expected)


def test_result_has_mnist_geometry():
    pixels = prepare(digit(7, extent=0.3, place=(0.1, 0.9))).pixels
    assert pixels.shape == (1, 28, 28) and pixels.dtype == torch.float32
    assert pixels.min() == 0 and pixels.max() == 1
    rows, columns = [(pixels[0].amax(dim=axis) > 0.1).nonzero() for axis in (1, 0)]
    assert 19 <= max(int(line.max() - line.min()) + 1 for line in (rows, columns)) <= 21
    mass = pixels[0].double() / pixels.sum()
    for axis in (0, 1):
        assert abs((mass.sum(dim=axis) * torch.arange(28)).sum() - 14) < 0.2
    assert torch.equal(prepare(pixels).pixels, (pixels * 255).round() / 255)  # prepared twice, nothing moves


@pytest.mark.parametrize("label", [0, 1, 4, 5, 7])
def test_size_place_polarity_and_photo_hardly_matter(label):
    drawing = digit(label)
    assert difference(drawing, ImageOps.invert(drawing)) < 0.002
    assert difference(drawing, digit(label, extent=0.9)) < NEARLY
    assert difference(drawing, digit(label, extent=0.25, place=(0.03, 0.97))) < NEARLY
    assert difference(drawing, digit(label, side=561, extent=0.333, place=(0.71, 0.2))) < NEARLY
    assert difference(drawing, photographed(drawing)) < NEARLY
    assert difference(drawing, photographed(digit(label, side=800, extent=0.35, place=(0.8, 0.2)))) < NEARLY


def test_specks_of_dirt_do_not_move_the_drawing():
    dirty = digit().copy()
    ImageDraw.Draw(dirty).point([(3, 3), (270, 8), (271, 8), (5, 272)], fill=255)
    assert difference(digit(), dirty) < 0.001


def test_clothes_stay_bright_on_black_and_keep_their_texture():
    for image in samples()["fashion_images"][::4]:
        pixels = prepare(image).pixels[0]
        corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.max() == 0
        assert ((pixels > 0.05) & (pixels < 0.95)).sum() > 20


@pytest.mark.parametrize("name", ["Chicken", "Falafel"])
def test_a_picture_of_a_thing_keeps_its_shades(name):
    pixels = prepare(EXAMPLES[name]()).pixels
    assert len(torch.unique((pixels * 20).round())) > 10
    assert difference(EXAMPLES[name](), ImageOps.expand(EXAMPLES[name](), (600, 100, 0, 500), "white")) < NEARLY


def test_noise_fills_the_box():
    pixels = prepare(EXAMPLES["Random noise"]()).pixels[0]
    assert pixels[5:23, 5:23].std() > 0.15
    assert 18 <= int((pixels.amax(dim=0) > 0.05).sum()) <= 21


@pytest.mark.parametrize(
    "values",
    [
        np.full((280, 280), 255),
        np.zeros((28, 28)),
        np.full((1, 1), 9),
        np.linspace(40, 240, 280)[None].repeat(280, 0),
        np.random.default_rng(0).normal(200, 6, (280, 280)),
        np.random.default_rng(0).normal(120, 5, (28, 28)),
    ],
    ids=["white", "black", "one pixel", "gradient", "faint noise", "small faint noise"],
)
def test_empty_pages_are_called_empty(values):
    with pytest.raises(EmptyImage, match="empty"):
        prepare(values.astype(np.uint8))


def test_fully_transparent_page_is_empty():
    with pytest.raises(EmptyImage):
        prepare(Image.new("RGBA", (50, 50), (10, 20, 30, 0)))


@pytest.mark.parametrize("extension", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_truncated_files(extension):
    data = encoded(digit(), extension)
    with pytest.raises(UnreadableImage):
        prepare(data[: len(data) // 2])


@pytest.mark.parametrize(
    "source, words",
    [
        (b"", "zero bytes"),
        (b"dear diary, this is text", "not a picture"),
        (png_claiming(50_000, 50_000), "too large"),
        (png_claiming(8_000, 8_000), "too large"),
        (png_claiming(100, 100), "damaged"),
        ("no/such/file.png", "no picture file"),
        (np.full((28, 28), np.nan), "NaN"),
        (np.full((28, 28), 128.0), "out of range"),
        (np.full((28, 28), -1), "out of range"),
        (np.zeros((0, 5)), "no pixels"),
        (np.zeros((28, 28, 7)), "shape"),
        (np.zeros(28), "shape"),
        (torch.zeros(5, 1, 28, 28), "shape"),
        (np.array([["a"]]), "shape"),
        (None, "shape"),
    ],
)
def test_what_is_no_picture_gets_one_clear_sentence(source, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImage, match=words) as refusal:
            prepare(source)
    message = str(refusal.value)
    assert "\n" not in message and message.endswith(".") and isinstance(refusal.value, UnusableImage)


def test_text_named_png_and_a_real_path(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "digit.png").write_bytes(encoded(digit(), "PNG"))
    with pytest.raises(UnreadableImage):
        prepare(tmp_path / "text.png")
    with pytest.raises(UnreadableImage):
        prepare(tmp_path)
    assert difference(str(tmp_path / "digit.png"), digit()) == 0


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    turned = encoded(digit(7).rotate(90), "JPEG", exif=exif, quality=95)
    assert difference(turned, digit(7)) < NEARLY


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(np.asarray(digit()).astype(np.uint16) * 257), "PNG"),
        encoded(digit().convert("RGB").convert("CMYK"), "JPEG", quality=95),
        encoded(digit().convert("CMYK"), "TIFF"),
        encoded(Image.fromarray(np.asarray(digit(), dtype=np.float32) / 255), "TIFF"),
        encoded(digit().convert("RGB"), "BMP"),
        encoded(digit(), "WEBP", lossless=True),
        encoded(digit(), "GIF", save_all=True, append_images=[digit(1), Image.new("L", (280, 280), 255)]),
    ],
    ids=["16-bit PNG", "CMYK JPEG", "CMYK TIFF", "float TIFF", "BMP", "WebP", "animated GIF"],
)
def test_file_kinds_all_show_the_same_digit(data):
    assert difference(data, digit()) < 0.003
    assert difference(io.BytesIO(data), digit()) < 0.003


def test_one_bit_pictures():
    assert difference(digit().convert("1", dither=Image.Dither.NONE), digit()) < 0.03


@pytest.mark.parametrize("ink", [0, 255], ids=["black ink", "white ink"])
def test_transparent_pictures_keep_their_ink_visible(ink):
    drawing = Image.new("L", (280, 280), ink)
    rgba = Image.merge("RGBA", (drawing, drawing, drawing, digit()))
    assert difference(encoded(rgba, "PNG"), digit()) < 0.003
    assert difference(encoded(rgba.convert("LA"), "PNG"), digit()) < 0.003
    hard = digit().point(lambda value: 255 * (value > 127))
    palette = hard.point(lambda value: 1 if value else 0).convert("L")
    palette = Image.frombytes("P", palette.size, palette.tobytes())
    palette.putpalette([128, 128, 128, ink, ink, ink])
    assert difference(encoded(palette, "PNG", transparency=0), hard) < 0.003


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_arrays_and_tensors_of_every_shape(dtype):
    scale = {"u2": 257, "f4": 1 / 255, "f8": 1 / 255}.get(np.dtype(dtype).str[1:], 1)
    grey = (np.asarray(digit()) * np.float64(scale)).astype(dtype)
    colour = np.stack([grey] * 3)
    for source in (grey, grey[None], grey[..., None], colour, np.moveaxis(colour, 0, -1)):
        assert difference(source, digit()) == 0
        assert difference(torch.from_numpy(source.copy()), digit()) == 0


def test_shown_pictures_are_small_and_in_order():
    prepared = prepare(digit(side=2000))
    assert prepared.original.mode == "RGB" and max(prepared.original.size) == 560
    assert [name for name, _ in prepared.steps] == ["Greyscale", "Ink", "Cut out", "28×28"]
    assert all(image.mode == "L" and max(image.size) <= 560 for _, image in prepared.steps)
    assert prepared.steps[-1][1].size == (28, 28)
    assert prepare(digit(), size=32).pixels.shape == (1, 32, 32)


def test_the_given_picture_is_left_as_it_was():
    drawing, array = digit(), np.asarray(digit(), dtype=np.float32) / 255
    before, array_before = drawing.tobytes(), array.copy()
    prepare(drawing), prepare(array)
    assert drawing.tobytes() == before and np.array_equal(array, array_before)


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (2, 2), (3, 1000), (1, 2)])
def test_odd_shapes_do_not_crash(shape):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        assert torch.isfinite(prepare(values).pixels).all()
    except EmptyImage:
        pass


def test_a_12_megapixel_photo_takes_a_moment():
    photo = encoded(Image.open(io.BytesIO(photographed(digit(side=1000)))).resize((4000, 3000)), "JPEG")
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        prepare(photo)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5  # about 0.05 on one idle core


def test_examples_all_open():
    assert {f"Digit {label}" for label in range(10)} < set(EXAMPLES)
    for name, example in EXAMPLES.items():
        assert open_image(example()).size >= (28, 28), name
    assert samples()["mnist_labels"].bincount().tolist() == samples()["fashion_labels"].bincount().tolist() == [20] * 10


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "HEIF", "MPO"])
def test_pictures_of_phones_and_browsers(kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    options = {"save_all": True, "append_images": [digit(3).convert("RGB")]} if kind == "MPO" else {}
    assert difference(encoded(digit().convert("RGB"), kind, **options), digit()) < 0.003


def test_heic_without_its_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImage, match="HEIC picture, which needs pillow-heif"):
        prepare(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


@pytest.mark.parametrize("data, words", [(b"%PDF-1.7\n", "PDF"), (b'<?xml version="1.0"?>\n<svg xmlns=""/>', "SVG")])
def test_documents_and_drawings_are_told_apart(data, words):
    with pytest.raises(UnreadableImage, match=words):
        prepare(data)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_a_blank_first_page_is_skipped(kind):
    blank = Image.new("L", (280, 280), 255)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(blank, kind, save_all=True, append_images=[digit()], **options)
    assert difference(data, digit()) < 0.003
    with pytest.raises(EmptyImage):
        prepare(encoded(blank, kind, save_all=True, append_images=[blank.point(lambda value: 254)], **options))


def test_12_bits_in_16_are_stretched():
    raw = np.asarray(digit()).astype(np.uint16) << 4
    assert difference(encoded(Image.fromarray(raw), "TIFF"), digit()) < 0.003
    assert difference(raw, digit()) < 0.003

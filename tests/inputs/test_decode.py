"""What strangers send: no file may take long, or much memory, and each is a picture or one sentence."""

import io
import random
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robust.data.examples import EXAMPLES
from robust.inputs.decode import MAX_SIDE, UnusableImage, open_image

CPU_S, MEMORY_MB = 2.0, 300
COST = """
import resource, sys, time
from robust.inputs.decode import UnusableImage, open_image
from PIL import Image
open_image(Image.new("RGB", (64, 64)))
usage = lambda: resource.getrusage(resource.RUSAGE_SELF)
memory, began = usage().ru_maxrss, time.process_time()
try:
    said = str(open_image(sys.argv[1]).size)
except UnusableImage as error:
    said = str(error)
print(time.process_time() - began, (usage().ru_maxrss - memory) / 1024, said, sep="|")
"""


def cost(file: Path) -> tuple[float, float, str]:
    """Seconds of a core, MB beyond those of a process that has just decoded a small picture, and what came of it."""
    done = subprocess.run([sys.executable, "-c", COST, str(file)], capture_output=True, text=True, check=True)
    seconds, memory, said = done.stdout.strip().split("|")
    return float(seconds), float(memory), said


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int, colour: int, *more: bytes) -> bytes:
    """A PNG all black, whatever its size, in a few hundred bytes."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    packer, row = zlib.compressobj(9), b"\0" * (1 + (width * bits * channels + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes a thousand times more."""
    whole = saved(Image.effect_noise((1000, 1000), 40), "JPEG", progressive=True, quality=50)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * 1000 + b"\xff\xd9"


def lying_tiles() -> bytes:
    """A TIFF of 8 by 8 pixels in one tile of 60,000 by 60,000."""
    tags = [(256, 3, 8), (257, 3, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1), (322, 4, 60_000)]
    tags += [(323, 4, 60_000), (324, 4, 8), (325, 4, 64)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + b"\0" * 68


def webp_header() -> bytes:
    """Thirty-eight bytes that promise 7,000 by 7,000 pixels."""
    small = saved(Image.new("RGB", (2, 2)), "WEBP", lossless=True)
    at = small.index(b"VP8L") + 9
    bits = int.from_bytes(small[at : at + 4], "little") & ~0xFFFFFFF | 6999 | 6999 << 14
    return small[:at] + bits.to_bytes(4, "little") + small[at + 4 :]


def with_large_exif() -> bytes:
    whole = saved(Image.new("RGB", (64, 64), "red"), "PNG")
    return (
        whole[:33]
        + chunk(b"eXIf", b"MM\0*\0\0\0\x08" + b"\xff\xff" + b"\x01\x12\0\3\0\0\0\1\0\6\0\0" * 700_000)
        + whole[33:]
    )


HOSTILE = {
    "thousands of scans": (many_scans, "scans, which takes too long"),
    "a long thin PNG": (lambda: png(1, 49_999_999 // 20, 8, 0), "too long"),
    "a PNG of 50 megapixels": (lambda: png(7000, 7100, 8, 2), "at most 25 megapixels"),
    "a WebP header": (webp_header, "at most 25 megapixels"),
    "tiles that lie": (lying_tiles, "tiles are larger"),
    "EXIF of 8 MB": (with_large_exif, "(64, 64)"),
    "RGB with a transparent colour": (lambda: png(5000, 4900, 8, 2, chunk(b"tRNS", b"\0\0\0\0\0\0")), "(560, 549)"),
    "a float TIFF of 24 megapixels": (lambda: saved(Image.new("F", (6000, 4000)), "TIFF", compression="tiff_deflate"), "at most 9 megapixels"),
    "a float TIFF of 8 megapixels": (lambda: saved(Image.new("F", (3000, 2700)), "TIFF", compression="tiff_deflate"), "(560"),
    "16 bits, 24 megapixels": (lambda: png(6000, 4000, 16, 0), "(560"),
    "a GIF of thousands of blank frames": (lambda: saved(Image.new("L", (600, 600)), "GIF", save_all=True, append_images=[Image.new("L", (600, 600), i % 2) for i in range(800)]), "(560, 560)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_file_takes_long_or_much_memory(kind, tmp_path):
    make, words = HOSTILE[kind]
    file = tmp_path / "picture"
    file.write_bytes(make())
    seconds, memory, said = cost(file)
    assert words in said
    assert seconds <= CPU_S
    assert memory <= MEMORY_MB


@pytest.mark.parametrize(
    ("kind", "size", "options"),
    [
        ("JPEG", (8000, 6000), {}),
        ("JPEG", (4000, 3000), {"progressive": True}),
        ("PNG", (4000, 3000), {"compress_level": 1}),
        ("WEBP", (4000, 3000), {"method": 0, "quality": 30}),
        ("TIFF", (4000, 3000), {}),
        ("BMP", (4000, 3000), {}),
        ("JPEG2000", (2000, 1500), {"irreversible": True, "quality_layers": [60]}),
    ],
)
def test_what_cameras_make_is_read(tmp_path, kind, size, options):
    file = tmp_path / "photo"
    EXAMPLES["Chicken"]().resize(size).save(file, kind, **options)
    seconds, memory, said = cost(file)
    assert said == f"(560, {560 * size[1] // size[0]})"
    assert seconds <= CPU_S
    assert memory <= MEMORY_MB


def malformed(count: int) -> None:
    """Flip, cut and splice files of all formats: each is a picture or an UnusableImage, never another error."""
    picture = EXAMPLES["Chicken"]().resize((48, 40))
    formats = {
        "PNG": {},
        "JPEG": {"exif": Image.Exif()},
        "GIF": {},
        "WEBP": {},
        "TIFF": {},
        "BMP": {},
        "AVIF": {},
        "JPEG2000": {},
    }
    files = [saved(picture, kind, **options) for kind, options in formats.items()]
    files.append(saved(picture, "JPEG", progressive=True))
    files.append(saved(picture.convert("L"), "TIFF", compression="tiff_lzw"))
    randomness = random.Random(0)
    for _ in range(count):
        spoilt = bytearray(randomness.choice(files))
        for _ in range(randomness.randrange(1, 9)):
            spoilt[randomness.randrange(len(spoilt))] = randomness.randrange(256)
        if randomness.random() < 0.3:
            spoilt = spoilt[: randomness.randrange(len(spoilt))]
        if randomness.random() < 0.2:
            spoilt += randomness.choice(files)[randomness.randrange(60) :]
        try:
            found = open_image(bytes(spoilt))
            assert found.mode in ("L", "RGB") and max(found.size) <= 560
        except UnusableImage as error:
            assert str(error) and "\n" not in str(error)


@pytest.mark.filterwarnings("ignore")
def test_malformed_files_are_pictures_or_sentences():
    malformed(300)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_many_malformed_files_are_pictures_or_sentences():
    malformed(5000)


def test_the_longest_side_is_read(tmp_path):
    page = np.full((2, MAX_SIDE), 255, np.uint8)
    page[:, :4000] = 0
    assert open_image(Image.fromarray(page)).width == 560
    with warnings.catch_warnings(), pytest.raises(UnusableImage, match="too long"):
        open_image(np.zeros((2, MAX_SIDE + 1), np.uint8))

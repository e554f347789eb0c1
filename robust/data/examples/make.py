"""Make the shipped example files again: `python -m robust.data.examples.make`.

It needs the data sets and the font of Debian's package fonts-noto-color-emoji.
"""

import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file

from robust.data.datasets import load
from robust.data.examples import FOLDER

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
FONT_SIZE = 109  # the only size of this bitmap font
GLYPHS = {"chicken": "\N{CHICKEN}", "falafel": "\N{FALAFEL}"}
SIDE = 400
PER_CLASS = 20


def emoji(character: str) -> Image.Image:
    """The glyph in colour, 320 px wide, in the middle of a white square of 400 px."""
    font = ImageFont.truetype(FONT, FONT_SIZE)
    left, top, right, bottom = font.getbbox(character)
    glyph = Image.new("RGBA", (right - left, bottom - top), (255, 255, 255, 0))
    ImageDraw.Draw(glyph).text((-left, -top), character, font=font, embedded_color=True)
    glyph = glyph.resize((320, round(320 * glyph.height / glyph.width)), Image.Resampling.LANCZOS)
    page = Image.new("RGBA", (SIDE, SIDE), "white")
    page.alpha_composite(glyph, ((SIDE - glyph.width) // 2, (SIDE - glyph.height) // 2))
    return page.convert("RGB")


def first_of_each_class(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first 20 images of class 0, then of class 1, and so on."""
    chosen = torch.cat([(labels == label).nonzero()[:PER_CLASS, 0] for label in range(10)])
    return images[chosen].contiguous(), labels[chosen].contiguous()


def main() -> None:
    for name, character in GLYPHS.items():
        emoji(character).save(FOLDER / f"{name}.png", optimize=True)
    tensors = {}
    for key, dataset in {"mnist": "mnist", "fashion": "fashion-mnist"}.items():
        tensors[f"{key}_images"], tensors[f"{key}_labels"] = first_of_each_class(*load(dataset, train=False))
    save_file(tensors, FOLDER / "samples.safetensors")


if __name__ == "__main__":
    main()

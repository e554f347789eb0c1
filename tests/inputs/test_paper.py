"""Digits on paper as people hold them up to a camera: the sheet, the light, the lines, one digit or several."""

import io
import pickle
import time

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from robust import EmptyImage, Guard, SeveralObjects, UnusableImage
from robust.data import sheets
from robust.data.examples import samples
from robust.inputs.prepare import prepare

# Pen strokes in a frame of 100 pixels, y down.
STROKES = {
    2: [[[22, 25], [30, 12], [48, 5], [65, 10], [72, 26], [66, 42], [48, 60], [28, 80], [20, 92], [45, 90], [78, 92]]],
    3: [[[24, 12], [48, 4], [68, 14], [66, 34], [44, 46], [68, 56], [74, 76], [56, 94], [34, 96], [20, 86]]],
    7: [[[18, 10], [45, 8], [78, 8], [64, 36], [52, 64], [42, 96]]],
}


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard.load(metrics=["surprise"])


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def written(*digits: tuple[int, int, int], size=(400, 400), tall=150) -> Image.Image:
    """(digit, x, y)...: dark strokes on a bright page, with a camera's noise."""
    page = Image.new("L", size, 225)
    pen = ImageDraw.Draw(page)
    for digit, left, top in digits:
        for stroke in STROKES[digit]:
            pen.line(
                [(left + x * tall / 100, top + y * tall / 100) for x, y in stroke], fill=50, width=12, joint="curve"
            )
    grains = np.random.default_rng(0).normal(0, 3, (size[1], size[0]))
    return Image.fromarray(np.clip(np.asarray(page) + grains, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("kind", sheets.KINDS)
def test_digits_on_every_kind_of_paper_are_read_and_accepted(guard, kind):
    photos = [(digit, sheets.photograph(kind, STROKES[digit], seed)) for digit in STROKES for seed in range(4)]
    reports = [guard.inspect(photo if kind == "28×28" else jpeg(photo)) for _, photo in photos]
    right = sum(report.reliable and report.prediction == digit for (digit, _), report in zip(photos, reports))
    assert right >= 0.75 * len(photos)


GREY, BLUE = (0.55, 0.55, 0.55), (0.48, 0.55, 0.63)  # what shadows leave of red, green and blue light; BLUE: in the sun
SHADOWS = {  # the kind of sheet, which part of the picture lies in a shadow, by x and y from 0 to 1, and the shadow
    "half of a sheet on a desk": ("on a desk", lambda x, y: y > 0.5, GREY),
    "a hand from one side": ("plain paper", lambda x, y: (y > 0.45) & (abs(x - 0.5) < 0.2), GREY),
    "a corner": ("plain paper", lambda x, y: x + y < 0.35, GREY),
    "half of a page in the sun": ("plain paper", lambda x, y: x + 0.2 * y < 0.5, BLUE),
}


@pytest.mark.parametrize("name", SHADOWS)
def test_shadows_that_cover_a_part_of_the_sheet(guard, name):
    kind, is_shaded, light = SHADOWS[name]
    right = 0
    for digit, seed in [(digit, seed) for digit in STROKES for seed in range(4)]:
        photo = np.asarray(sheets.photograph(kind, STROKES[digit], seed), np.float32)
        y, x = np.mgrid[: len(photo), : len(photo)] / len(photo)
        report = guard.inspect(np.uint8(photo * np.where(is_shaded(x, y)[..., None], light, 1)))
        right += report.reliable and report.prediction == digit
    assert right >= 9


def test_28_pixels_with_the_speckle_of_jpeg_or_noise_are_digits(guard):
    noise = np.random.default_rng(0)
    right, digits = 0, samples()["mnist_images"][:40, 0].numpy()
    expected = [guard.inspect(digit).prediction for digit in digits]
    for digit, label in zip(digits, expected):
        buffer = io.BytesIO()
        Image.fromarray(digit).save(buffer, "JPEG", quality=30)
        grainy = np.uint8(np.clip(digit + noise.normal(0, 15, digit.shape), 0, 255))
        reports = [guard.inspect(picture) for picture in (buffer.getvalue(), grainy)]
        right += sum(report.reliable and report.prediction == label for report in reports)
    assert right >= 56


def test_an_empty_page_of_ruled_or_squared_paper_holds_no_digit():
    for step in (40, 70):
        page = Image.new("L", (500, 500), 230)
        pen = ImageDraw.Draw(page)
        for at in range(20, 500, step):
            pen.line([(0, at), (500, at)], fill=120, width=2)
        with pytest.raises(EmptyImage):
            prepare(page)
        for at in range(20, 500, step):
            pen.line([(at, 0), (at, 500)], fill=120, width=2)
        with pytest.raises(EmptyImage):
            prepare(page)


def test_a_page_of_writing_offers_no_digit_to_choose():
    page = written(*((3, 20 + 60 * column, 20 + 70 * row) for row in range(5) for column in range(6)), tall=45)
    with pytest.raises(UnusableImage, match="I see 30 things, and no digit that stands alone"):
        prepare(page)


def test_the_sheet_is_cut_out_and_straightened():
    photo = sheets.photograph("on a desk", STROKES[7], 1)
    steps = dict(prepare(photo).steps)
    sheet = np.asarray(steps["Sheet"].convert("L"))
    corners = sheet[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() > 120  # paper, not desk
    for kind, seed in (("plain paper", 1), ("in a box", 31)):  # nor lies one between a box and the edge of the picture
        assert "Sheet" not in dict(prepare(sheets.photograph(kind, STROKES[7], seed)).steps)


def test_ink_that_crosses_a_rule_stays_whole():
    plain = written((3, 120, 120))
    ruled = plain.convert("RGB")
    for y in range(30, 400, 60):
        ImageDraw.Draw(ruled).line([(0, y), (400, y + 4)], fill=(120, 120, 130), width=2)
    assert (prepare(plain).pixels - prepare(ruled).pixels).abs().mean() < 0.01


def test_a_fold_through_a_digit_is_no_ink():
    pencil = 225 - 0.6 * (225 - np.asarray(written((3, 120, 120)), np.float32))
    across = np.arange(400) - 190.0
    fold = 1 - 0.12 * (across > 0) * np.exp(-np.abs(across) / 120) - 0.1 * np.exp(-np.abs(across) / 3)
    assert (prepare(np.uint8(pencil)).pixels - prepare(np.uint8(pencil * fold)).pixels).abs().mean() < 0.03


def test_a_finger_beside_a_digit_is_no_ink():
    page = written((3, 120, 120))
    held = page.copy()
    ImageDraw.Draw(held).line([(400, 200), (255, 205)], fill=140, width=44)
    assert (prepare(page).pixels - prepare(held).pixels).abs().mean() < 0.01


def test_a_foot_on_a_dashed_rule_stays():
    plain = written((2, 50, 40), tall=300)
    ruled = plain.copy()
    for x in range(0, 400, 18):
        ImageDraw.Draw(ruled).line([(x, 316), (x + 12, 316)], fill=150, width=3)
    assert (prepare(plain).pixels - prepare(ruled).pixels).abs().mean() < 0.02


def test_a_stem_between_the_lines_of_a_form_is_no_line(guard):
    page = Image.new("L", (400, 400), 225)
    pen = ImageDraw.Draw(page)
    for x in range(40, 341, 60):
        pen.line([(x, 150), (x, 210)], fill=50, width=4)
    pen.line([(40, 150), (340, 150)], fill=50, width=4)
    pen.line([(40, 210), (340, 210)], fill=50, width=4)
    pen.line([(178, 152), (163, 208)], fill=50, width=5)
    assert guard.inspect(page).prediction == 1


def test_a_bar_and_a_stem_are_no_lines():
    drawn = Image.new("L", (300, 300), 230)
    ImageDraw.Draw(drawn).line([(150, 20), (150, 280)], fill=40, width=8)
    pixels = prepare(drawn).pixels
    assert pixels.sum() > 15 and pixels[0, :, 14].min() >= 0
    assert int((pixels[0].amax(1) > 0.5).sum()) >= 19


def test_a_digit_in_the_shade_is_not_called_empty(guard):
    light = np.full((400, 400), 1.0)
    light[:, :230] = 0.45
    shaded = Image.fromarray((np.asarray(written((2, 60, 120))) * light).astype(np.uint8))
    report = guard.inspect(jpeg(shaded))
    assert report.prediction == 2 and report.reliable


def test_several_digits_are_told_apart_and_each_can_be_read(guard):
    page = written((2, 20, 120), (7, 220, 130))
    with pytest.raises(SeveralObjects, match="^I see 2 digits: I read one at a time.$") as refusal:
        prepare(page)
    assert [
        guard.inspect_prepared(prepare(page, box=box).pixels[None])[0].prediction for box in refusal.value.boxes
    ] == [2, 7]
    copied = pickle.loads(pickle.dumps(refusal.value))
    assert copied.boxes == refusal.value.boxes and str(copied) == str(refusal.value)
    assert [guard.inspect(refusal.value.cut_out(i)).prediction for i in (0, 1)] == [2, 7]
    alone = prepare(page, box=refusal.value.boxes[1]).pixels
    assert (alone - prepare(written((7, 220, 130))).pixels).abs().mean() < 0.01


def in_a_room(page: Image.Image) -> Image.Image:
    """A page held up before many things."""
    randomness = np.random.default_rng(0)
    room = Image.new("RGB", (800, 600), (120, 125, 110))
    for _ in range(15):
        left, top = (randomness.uniform(0, side) for side in room.size)
        colour = tuple(map(int, randomness.uniform(20, 180, 3)))
        ImageDraw.Draw(room).rectangle([left, top, left + 200, top + 130], fill=colour)
    room.paste(page, (210, 90))
    return room


def test_digits_held_up_in_a_room_are_read_and_told_apart(guard):
    report = guard.inspect(jpeg(in_a_room(written((2, 120, 120)))))
    assert report.prediction == 2 and report.reliable
    with pytest.raises(SeveralObjects) as refusal:
        prepare(in_a_room(written((2, 20, 120), (7, 220, 130))))
    assert [guard.inspect(refusal.value.cut_out(i)).prediction for i in (0, 1)] == [2, 7]
    chosen = prepare(in_a_room(written((2, 20, 120), (7, 220, 130))), box=refusal.value.boxes[1])
    assert guard.inspect_prepared(chosen.pixels[None])[0].prediction == 7


def test_what_lies_within_a_stroke_is_no_sheet():
    page = np.full((400, 400), 225, np.float32) * np.linspace(1, 0.8, 400)[:, None]
    drawn = Image.fromarray(np.uint8(page + np.random.default_rng(0).normal(0, 3, page.shape)))
    pen = ImageDraw.Draw(drawn)
    pen.rectangle([110, 90, 290, 310], outline=50, width=24)
    pen.ellipse([188, 188, 212, 212], fill=50)
    pixels = prepare(drawn).pixels[0]
    square, between, dot = pixels[13:16, 6:8], pixels[13:16, 10], pixels[13:16, 13:15]
    assert square.max() > 0.5 and between.max() < 0.1 and dot.max() > 0.5


def test_a_box_without_ink_is_empty():
    with pytest.raises(EmptyImage):
        prepare(written((3, 120, 120)), box=(0, 0, 30, 30))


def test_small_marks_beside_a_digit_do_not_count():
    page = written((3, 120, 120))
    marked = page.copy()
    ImageDraw.Draw(marked).ellipse([340, 30, 352, 42], fill=60)
    ImageDraw.Draw(marked).line([(0, 395), (70, 399)], fill=60, width=8)
    assert (prepare(page).pixels - prepare(marked).pixels).abs().mean() < 0.01


@pytest.mark.parametrize("ink, ground", [(60, 220), (225, 30), (150, 220)], ids=["dark", "chalk", "faint"])
def test_ink_of_every_kind_looks_alike(ink, ground):
    black = np.asarray(written((2, 120, 120)), np.float32)
    share = (np.clip(black, 50, 225) - 50) / 175  # 0 ink .. 1 page
    grains = np.random.default_rng(1).normal(0, 2, black.shape)
    other = np.clip(ink + (ground - ink) * share + grains, 0, 255).astype(np.uint8)
    assert (prepare(written((2, 120, 120))).pixels - prepare(other).pixels).abs().mean() < 0.02


def test_an_empty_sheet_on_a_desk_is_empty_and_not_its_outline():
    desk = np.full((400, 400), 70, np.uint8)
    desk[60:340, 80:330] = 225
    grains = np.random.default_rng(0).normal(0, 3, desk.shape)
    page = np.clip(desk + grains, 0, 255).astype(np.uint8)
    try:
        assert not Guard.load(metrics=["surprise"]).inspect(page).reliable
    except EmptyImage:
        pass


def test_small_pictures_are_taken_as_they_are_only_if_they_are_like_the_nets_own():
    thick = Image.fromarray(np.uint8(255 - np.asarray(sheets.photograph("28×28", STROKES[2], 0).convert("L"))))
    pixels = prepare(thick).pixels[0]
    rows = (pixels.amax(1) > 0.3).nonzero()
    assert 17 <= int(rows.max() - rows.min()) + 1 <= 21 and pixels[:2].max() == 0


def test_the_same_photo_gives_the_same_pixels():
    photo = sheets.photograph("hard shadow", STROKES[3], 2)
    assert torch.equal(prepare(photo).pixels, prepare(photo.copy()).pixels)


def test_a_photo_takes_a_moment_beyond_decoding():
    photo = np.asarray(sheets.photograph("squared", STROKES[3], 0).resize((560, 420)))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        prepare(photo)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1  # about 0.02 on one idle core


def on_paper(scale: float, ink: int = 30, paper: int = 220) -> Image.Image:
    """A printed digit of the samples on a page of 500 pixels a side, `scale` of it long."""
    digit = Image.fromarray(samples()["mnist_images"][70, 0].numpy()).resize((int(28 * scale * 18),) * 2)
    page = Image.new("L", (500, 500), paper)
    page.paste(ink, (250 - digit.width // 2, 250 - digit.height // 2), digit)
    return page


def with_glare(page: Image.Image) -> Image.Image:
    y, x = np.mgrid[: page.height, : page.width]
    spot = np.exp(-((x - 300) ** 2 + (y - 120) ** 2) / 80**2)
    grey = 0.7 * np.asarray(page, np.float32)
    return Image.fromarray(np.uint8(grey + (250 - grey) * 0.9 * spot))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (on_paper(0.5), None),
        (on_paper(0.06), "move closer"),
        (on_paper(0.5, ink=15, paper=60), "more light would help"),
        (on_paper(0.5, ink=200), "a darker pen"),
        (with_glare(written((2, 120, 100))), "a reflection"),
    ],
)
def test_a_hint_says_what_would_make_a_better_picture(picture, words):
    hint = prepare(picture).hint
    assert hint is None if words is None else words in hint

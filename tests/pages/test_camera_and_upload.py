"""Pictures of paper in the app: through the camera, with several digits, and files that are refused."""

import io
import shutil

import cv2
import numpy as np
import pytest
from browser import CHROMIUM_ARGS
from PIL import Image
from playwright.sync_api import Page, expect

from robust.data import sheets
from robust.data.examples import EXAMPLES

SEVEN = [[[18, 10], [45, 8], [78, 8], [64, 36], [52, 64], [42, 96]]]
TWO = [[[22, 25], [30, 12], [48, 5], [65, 10], [72, 26], [66, 42], [48, 60], [28, 80], [20, 92], [45, 90], [78, 92]]]
ANSWER = ".stHtml .verdict"


@pytest.fixture
def app(page: Page, address) -> Page:
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(address)
    page.locator(ANSWER).wait_for()
    return page


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def upload(app: Page, name: str, data: bytes) -> None:
    app.get_by_role("radio", name="Upload").click()
    app.locator("input[type=file]").set_input_files({"name": name, "mimeType": "", "buffer": data})


def video(photo: Image.Image, path) -> None:
    """A raw video (YUV4MPEG2) of one picture, 640x480."""
    frame = np.array(photo.resize((480, 480)))
    frame = cv2.copyMakeBorder(frame, 0, 0, 80, 80, cv2.BORDER_REPLICATE)
    planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes()
    path.write_bytes(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + 10 * (b"FRAME\n" + planes))


def test_a_digit_on_a_sheet_before_a_desk_is_read_through_the_camera(chromium, address, tmp_path):
    video(sheets.photograph("on a desk", SEVEN, 2), tmp_path / "desk.y4m")
    arguments = [*CHROMIUM_ARGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    arguments.append(f"--use-file-for-fake-video-capture={tmp_path / 'desk.y4m'}")
    executable = shutil.which("chromium") or chromium.browser_type.executable_path
    browser = chromium.browser_type.launch(executable_path=executable, args=arguments)
    try:
        page = browser.new_context(viewport={"width": 1366, "height": 900}, permissions=["camera"]).new_page()
        page.goto(address)
        page.locator(ANSWER).wait_for(timeout=30_000)
        page.get_by_role("radio", name="Camera").click()
        page.wait_for_function("document.querySelector('video')?.videoWidth > 0", timeout=30_000)
        page.get_by_role("button", name="Take Photo").click()
        answer = page.locator(f"{ANSWER}.reliable")
        expect(answer.locator(".digit")).to_have_text("7", timeout=30_000)
        expect(page.get_by_text("sheet", exact=True)).to_be_visible()
        page.screenshot(path=tmp_path / "camera.png")
    finally:
        browser.close()


def test_a_refused_file_clears_the_stage_and_says_why(app):
    upload(app, "digit.png", png(EXAMPLES["Digit 3"]()))
    expect(app.locator(ANSWER).locator(".digit")).to_have_text("3")
    upload(app, "drawing.svg", b"<svg></svg>")
    expect(app.locator(ANSWER)).to_contain_text("SVG drawing")
    expect(app.locator(ANSWER).locator(".digit")).to_have_text("?")


def test_of_several_digits_the_one_that_is_clicked_is_read(app):
    two, seven = (sheets.photograph("scan with a white margin", strokes, 3) for strokes in (TWO, SEVEN))
    page = np.full((400, 800, 3), 225, np.uint8)
    for i, photo in enumerate((two, seven)):
        grey = np.asarray(photo.convert("L").resize((440, 440)))[20:420, 20:420]
        page[:, 400 * i : 400 * (i + 1)][grey < 110] = 40
    upload(app, "two.png", png(Image.fromarray(page)))
    expect(app.locator(ANSWER)).to_contain_text("I see 2 digits")
    app.get_by_role("button", name="digit 2").click()
    expect(app.locator(ANSWER).locator(".digit")).to_have_text("7")
    app.get_by_role("button", name="digit 1").click()
    expect(app.locator(ANSWER).locator(".digit")).to_have_text("2")

"""More than one world: the user's own images, class names, the choice in the app, and the VAE's blind spot."""

import re

import numpy as np
import pytest
import streamlit as st
from browser import REPOSITORY
from click.testing import CliRunner
from PIL import Image
from streamlit.testing.v1 import AppTest
from tiny_worlds import STEPS, TINY, draw_folder, few_samples

from pages.components.session import session
from robust import Guard, cli
from robust.data import datasets, image_sets, patterns
from robust.data.examples import CLOTHES, EXAMPLES, samples
from robust.data.image_folder import UnusableDataset, read_image_folder
from robust.decision.rule import Rule
from robust.decision.tradeoff import guard_code
from robust.evaluation.blind_spots import blind_spot
from robust.inputs.prepare import prepare
from robust.models import config, store

# --- The user's own images -----------------------------------------------------------------------------------------


def test_a_folder_of_pictures_becomes_a_world_with_one_command(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(cli, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(datasets, "load", few_samples)
    monkeypatch.setattr(datasets, "is_here", lambda name: name == "mnist")
    monkeypatch.setattr(image_sets, "PATTERN_COUNT", 20)
    monkeypatch.setattr(
        config, "config_for", lambda name, seed, *shape: config.Config(*shape, seed, **TINY, **STEPS)
    )  # fmt: skip
    folder = draw_folder(tmp_path / "shapes")
    result = CliRunner().invoke(cli.main, ["train", "--dataset", str(folder), "--size", "32"])
    assert result.exit_code == 0, result.output
    assert "LeNet reads" in result.output and "of the test images rightly" in result.output

    guard = Guard.load("shapes")
    made = guard.contents
    assert made.subject.classes == ("disc", "square")
    assert made.config.shape == {"channels": 3, "size": 32}
    assert set(guard.scores) == {"shapes", "mnist", "noise"}
    assert str(tmp_path) not in (tmp_path / "weights" / "shapes" / "manifest.json").read_text()
    assert store.worlds() == ["shapes"]
    report = guard.inspect(folder / "disc" / "000.png")
    assert report.pixels.shape == (3, 32, 32)
    assert report.as_json()["class"] in ("disc", "square")


def test_the_folders_images_are_what_prepare_makes_of_them(tmp_path):
    images = read_image_folder(draw_folder(tmp_path / "shapes"), 32)
    (train, labels), (test, _) = images.train, images.test
    assert train.shape == (400, 3, 32, 32) and test.shape == (100, 3, 32, 32)
    assert labels.bincount().tolist() == [200, 200]
    again = read_image_folder(tmp_path / "shapes", 32)
    assert datasets.checksum(again.train[0]) == datasets.checksum(train)
    prepared = prepare(tmp_path / "shapes" / "disc" / "000.png", 32, 3, None).pixels
    assert any(np.array_equal(image, prepared) for image in np.concatenate([train, test]).astype(np.float32) / 255)


def test_grey_pictures_make_a_grey_world_and_given_halves_are_kept(tmp_path):
    draw_folder(tmp_path / "shapes" / "train", 110, colour=False)
    draw_folder(tmp_path / "shapes" / "test", 60, colour=False)
    images = read_image_folder(tmp_path / "shapes")
    assert images.train[0].shape == (220, 1, 28, 28)
    assert images.test[0].shape == (120, 1, 28, 28)


def nothing(folder):
    pass


def empty(folder):
    folder.mkdir()


def one_class(folder):
    (draw_folder(folder) / "disc").rename(folder.parent / "disc")


def empty_class(folder):
    (draw_folder(folder) / "star").mkdir()


def few(folder):
    draw_folder(folder, 5)


def broken(folder):
    (draw_folder(folder) / "disc" / "000.png").write_bytes(b"not a picture")


def half(folder):
    draw_folder(folder / "test")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, "There is no folder"),
        (empty, "is empty"),
        (one_class, "has one class, square"),
        (empty_class, "no image to train on in: star"),
        (few, "has 8 images to train on: at least 200"),
        (broken, "000.png"),
        (half, "has test/ alone"),
    ],
)
def test_a_folder_that_will_not_do_is_one_clear_error(tmp_path, make, words):
    make(tmp_path / "shapes")
    result = CliRunner().invoke(cli.main, ["train", "--dataset", str(tmp_path / "shapes"), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_folder_may_not_take_a_known_name(tmp_path):
    with pytest.raises(UnusableDataset, match="rename the folder"):
        read_image_folder(draw_folder(tmp_path / "mnist"))


# --- What a world knows of itself ----------------------------------------------------------------------------------


def test_clothes_keep_their_frame_and_are_called_by_name(weights):
    guard = Guard.load(weights / "fashion-mnist")
    images = samples()["fashion_images"]
    for image in images[::7]:
        assert np.array_equal(guard.prepare(image).pixels, image.float() / 255)
    report = guard.inspect(EXAMPLES["Bag"]())
    assert report.class_name == CLOTHES[report.prediction]
    assert str(report).startswith(report.class_name)


def test_a_photo_fills_the_frame_of_a_clothes_world(weights):
    page = Image.new("L", (300, 200), 255)
    page.paste(60, (40, 90, 140, 140))
    pixels = Guard.load(weights / "fashion-mnist").prepare(page).pixels[0]
    rows, columns = (np.flatnonzero(pixels.amax(axis) > 0.5) for axis in (1, 0))
    assert (columns.min(), columns.max()) == (0, 27)
    assert (rows.min(), rows.max()) == (7, 20)


def test_noise_fits_any_world():
    assert patterns.noise(8, 45, 3).shape == (8, 3, 45, 45)


def test_the_code_to_take_home_names_the_world(weights, monkeypatch):
    monkeypatch.setattr(store, "WEIGHTS", weights)
    names = {}
    exec(guard_code({"vae_loss": 100.0}, "vae_loss", "fashion-mnist"), names)
    assert names["guard"].class_names == CLOTHES


def test_the_report_speaks_of_clothes(weights):
    text = CliRunner().invoke(cli.main, ["report", "--world", str(weights / "fashion-mnist")]).stdout
    assert "images that are not clothes" in text
    assert "digit" not in text
    assert "published" not in text


def test_a_blind_spot_is_a_set_with_less_loss_than_the_reference():
    scores = {"vae_loss": np.array([100.0, 110, 120]), "delta_z": np.array([0.3, 0.4, 0.5])}
    easy = {"vae_loss": np.array([10.0, 20, 30]), "delta_z": np.array([0.0, 0.1, 0.4])}
    limits, sides = {"vae_loss": 115, "delta_z": 0.3}, {"vae_loss": "high", "delta_z": "low"}
    found = blind_spot(scores, easy, Rule(limits, sides, "any"))
    assert (found.median, found.reference_median) == (20, 110)
    assert found.accepted == {"vae_loss": 1.0, "delta_z": pytest.approx(1 / 3)}
    assert found.survivors == ["delta_z"]
    assert blind_spot(easy, scores, Rule(limits, sides, "any")) is None


# --- The app -------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(weights, monkeypatch):
    """The app at a link, over the folder of three worlds."""
    monkeypatch.setattr(store, "WEIGHTS", weights)
    forget()

    def visit(**link) -> AppTest:
        run = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=300)
        run.query_params.update(link)
        run.run()
        assert not run.exception
        return run

    yield visit
    forget()


def forget() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()
    session._guards.clear()


def text(run: AppTest) -> str:
    return "\n".join(element.proto.body for element in run.get("html"))


def choose(run: AppTest, name: str) -> None:
    run.selectbox(key="world_choice").set_value(name).run()
    assert not run.exception


def test_a_link_without_a_world_means_mnist_and_a_choice_leads_elsewhere(app):
    run = app(vae_loss="99.5", example="Digit 3")
    assert "</b> good digits" in text(run)
    assert run.session_state.thresholds["vae_loss"] == 99.5
    choose(run, "fashion-mnist")
    assert "</b> good clothes" in text(run)
    assert run.session_state.thresholds["vae_loss"] != 99.5
    assert dict(run.query_params) == {"world": "fashion-mnist", "example": "Digit 3"}
    assert "Trouser" in text(run)  # the bars
    assert any("Low VAE loss is no proof" in warning.value for warning in run.warning)


def test_a_damaged_world_takes_no_other_down(app):
    run = app(world="scratched")
    assert "is damaged" in run.error[0].value
    choose(run, "mnist")
    assert not run.error
    assert "</b> good digits" in text(run)


def test_an_unknown_world_in_the_link_is_said(app):
    run = app(world="nowhere")
    assert "world=nowhere" in run.toast[0].value
    assert "</b> good digits" in text(run)


@pytest.mark.parametrize("page", ["thresholds", "how_it_works", "talk"])
def test_the_other_pages_speak_of_clothes(app, page):
    run = AppTest.from_file(str(REPOSITORY / "pages" / f"{page}.py"), default_timeout=300)
    run.session_state.entered = True  # as if through app.py
    run.query_params["world"] = "fashion-mnist"
    run.run()
    assert not run.exception
    shown = text(run)
    assert any(name in shown for name in CLOTHES) or "</b> good clothes" in shown
    assert "digit" not in re.sub("class='digit[^']*'|Digit [0-9]|.digit", "", shown)

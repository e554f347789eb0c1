"""The page that explains δz, and the walk and the VAE's parts that it shows."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest
from torch import nn

from robust import Guard
from robust.data.examples import samples
from robust.metrics import DeltaZ
from robust.metrics.explain import latent_plane, vae_parts, walk

PAGE = Path(__file__).parents[2] / "pages" / "how_it_works.py"


@pytest.fixture(scope="module")
def guard():
    return Guard.load()


@pytest.fixture(scope="module")
def reports(guard):
    """Reports on 20 digits and 20 pieces of clothing."""
    images = torch.cat([samples()[name][::10] for name in ("mnist_images", "fashion_images")])
    return guard.inspect_prepared(images.float() / 255)


@pytest.fixture(scope="module")
def walked(reports):
    """Those between whose I(x) and z* there is a way."""
    return [report for report in reports if 0.01 < report.delta_z < np.inf][:6]


@pytest.fixture(scope="module")
def standing(reports):
    """One whose f(G(I(x))) differs from f(x)."""
    return next(report for report in reports if report.delta_z == 0)


class Sure(nn.Module):
    """A classifier that reads everything as a 3."""

    def forward(self, images):
        return nn.functional.one_hot(torch.full((len(images),), 3), 10) + 0 * images.sum((1, 2, 3)).unsqueeze(1)


# --- The map --------------------------------------------------------------------------------------------------------


def test_the_plane_goes_through_the_input_and_z_star(guard, walked):
    metric = guard.metrics["delta_z"]
    for report in walked:
        way = walk(metric, report.pixels, report.prediction)
        plane = latent_plane(metric, way, report.prediction)
        middle = len(plane.places) // 2
        assert plane.classes[middle, middle] == report.prediction
        assert float(plane.along @ plane.across) == pytest.approx(0, abs=1e-5)
        torch.testing.assert_close(way.latents[0] + way.delta_z * plane.along, way.z_star, atol=1e-4, rtol=1e-3)
        within = plane.places.square().unsqueeze(0) + plane.places.square().unsqueeze(1) < (0.95 * way.delta_z) ** 2
        assert (plane.classes[within] == report.prediction).all(), "something flips nearer than z*"
        assert (plane.classes != report.prediction).any()
        again = latent_plane(metric, way, report.prediction)
        assert torch.equal(again.classes, plane.classes)


def test_where_there_is_no_way_there_is_no_plane(guard, standing):
    metric = guard.metrics["delta_z"]
    way = walk(metric, standing.pixels, standing.prediction)
    assert latent_plane(metric, way, standing.prediction) is None


def test_the_handle_on_the_map_shows_what_the_generator_draws(page, address):
    page.goto(f"{address}/how_it_works?example=Digit+4")
    handle = page.locator(".latent .handle")
    handle.wait_for(timeout=60_000)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    words = page.locator(".latent .seen p")
    expect(words).to_contain_text("read as 4")
    page.set_viewport_size({"width": 1280, "height": 2600})
    page.wait_for_timeout(300)
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    map_box = page.locator(".latent svg").bounding_box()
    before = page.locator(".latent .seen i").evaluate("node => node.style.backgroundPosition")
    page.mouse.move(map_box["x"] + map_box["width"] / 2, map_box["y"] + map_box["height"] / 2)
    page.mouse.down()
    page.mouse.move(map_box["x"] + 0.95 * map_box["width"], map_box["y"] + map_box["height"] / 2, steps=4)
    expect(words).to_contain_text("flipped")
    assert page.locator(".latent .seen i").evaluate("node => node.style.backgroundPosition") != before
    page.mouse.up()
    handle.focus()
    page.keyboard.press("Home")
    expect(words).to_contain_text("✓ as the input; 0.000 from I(x)")
    page.keyboard.press("ArrowUp")
    assert "from I(x)" in handle.get_attribute("aria-valuetext")
    assert sent == []


# --- The library ---------------------------------------------------------------------------------------------------


def test_a_walk_leads_from_the_latent_of_x_to_z_star(guard, walked):
    metric = guard.metrics["delta_z"]
    assert walked
    for report in walked:
        way = walk(metric, report.pixels, report.prediction, steps=20, beyond=5)
        assert way.images.shape == (26, *report.pixels.shape) and way.probabilities.shape == (26, 10)
        with torch.no_grad():
            assert torch.allclose(
                way.latents[0], metric.latents(report.pixels[None], torch.tensor([report.prediction]))[0], atol=1e-5
            )
            at_the_end = int(metric.classifier(metric.generator(way.z_star[None])).argmax())
        assert way.fractions[way.flip] == 1
        assert at_the_end == way.reached != report.prediction
        assert set(way.classes[: way.flip]) == {report.prediction}


def test_the_length_of_the_walk_is_delta_z(guard, walked):
    for report in walked:
        way = walk(guard.metrics["delta_z"], report.pixels, report.prediction, steps=20, beyond=5)
        stretches = (way.latents[1:] - way.latents[:-1]).norm(dim=1)
        assert float(stretches[: way.flip].sum()) == pytest.approx(report.delta_z, rel=1e-3)
        assert way.delta_z == pytest.approx(report.delta_z, abs=1e-4)
        assert torch.allclose(stretches, stretches.mean(), rtol=1e-2)


def test_why_a_picture_was_refused_costs_no_second_search(guard, walked, monkeypatch):
    metric, pixels = guard.metrics["delta_z"], walked[0].pixels
    searched = walk(metric, pixels, walked[0].prediction)
    report = guard.inspect_prepared(torch.stack([pixels, walked[1].pixels]))[0]
    monkeypatch.setattr(metric, "search", lambda *_: pytest.fail("searched again"))
    found = walk(metric, report.pixels, report.prediction)
    assert torch.equal(found.latents, searched.latents)


def test_a_walk_may_end_where_it_starts(guard, standing):
    way = walk(guard.metrics["delta_z"], standing.pixels, standing.prediction)
    assert way.delta_z == 0 and way.flip == 0 and len(way.images) == 1
    assert way.classes == [way.reached] != [standing.prediction]


def test_no_other_class_within_reach(guard, standing):
    ours = guard.metrics["delta_z"]
    way = walk(DeltaZ(Sure(), ours.generator, ours.inverter), standing.pixels, prediction=3)
    assert way.delta_z == np.inf and way.flip is way.reached is way.z_star is None
    assert way.classes == [3]


def test_the_parts_of_the_vae_loss_sum_to_it(guard, reports):
    vae = guard.metrics["vae_loss"].vae
    for report in reports[::8]:
        parts = vae_parts(vae, report.pixels)
        assert parts.loss_map.shape == (28, 28) and parts.loss_map.min() >= 0
        assert float(parts.loss_map.sum()) == pytest.approx(parts.reconstruction_loss, rel=1e-4)
        assert parts.reconstruction_loss + parts.kl == pytest.approx(report.vae_loss, rel=1e-4)
        with torch.no_grad():
            assert torch.allclose(parts.reconstruction, vae(report.pixels[None])[0], atol=1e-5)


# --- The page ------------------------------------------------------------------------------------------------------


def as_file(report) -> bytes:
    """The picture of a report, as *Try it* leaves it for the other pages."""
    buffer = io.BytesIO()
    Image.fromarray((report.pixels[0].numpy() * 255).round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def open_page(**state) -> AppTest:
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    for key, value in {"entered": True, **state}.items():  # as if through app.py
        page.session_state[key] = value
    page.run()
    assert not page.exception
    return page


def text(page: AppTest) -> str:
    return "\n".join(element.proto.body for element in page.get("html"))


def test_explains_an_example_without_any_input():
    shown = text(open_page())
    for words in ("1 · ", "2 · ", "3 · ", "4 · ", "Digit 4: δz", "Chicken: δz", "reconstruction", "KL"):
        assert words in shown


def test_explains_the_visitors_own_picture(guard, walked):
    picture = as_file(walked[0])
    report, page = guard.inspect(picture), open_page(picture=picture)
    assert f"the input x<br>LeNet: <b>{report.prediction}</b>" in text(page)
    assert f"Your picture: δz = {report.delta_z:.2f}" in text(page)
    assert f"VAE loss <b>{report.vae_loss:.1f}</b>" in text(page)


@pytest.fixture
def slider(page, address):
    page.set_default_timeout(60_000)
    page.goto(f"{address}/how_it_works")
    slider = page.get_by_role("slider", name="Walk from I(x) to z* and beyond")
    slider.wait_for()
    return slider


def test_the_slider_shows_where_the_class_flips(page, slider):
    frame = page.locator(".film .frame")
    expect(frame).to_contain_text(re.compile(r"LeNet reads \d, as in x"))
    digit = frame.locator("b").first.inner_text()
    slider.focus()
    for _ in range(47):
        page.keyboard.press("ArrowRight")
    expect(frame).to_contain_text(f"LeNet reads {digit}, as in x")
    page.keyboard.press("ArrowRight")
    expect(frame).to_contain_text(f"no longer {digit}")
    assert "z*" in slider.get_attribute("aria-valuetext")
    assert slider.input_value() == "48"


def test_the_walk_plays_to_its_end_and_stops_when_asked(page, slider):
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("Number(document.querySelector('.film input').value) > 3")
    page.get_by_role("button", name="Pause").click()
    rested = slider.input_value()
    page.wait_for_timeout(300)
    assert slider.input_value() == rested != "0"
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.film input').value === '60'")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_says_that_the_walk_ends_where_it_starts(standing):
    page = open_page(picture=as_file(standing))
    assert "The walk ends where it starts" in text(page) and "δz = 0" in text(page)


def test_says_when_no_other_digit_is_within_reach(walked, monkeypatch):
    search = DeltaZ.search

    def finds_nothing(self, images, predictions):
        found = search(self, images, predictions)
        return replace(found, delta_z=found.delta_z * 0 + torch.inf, reached=found.reached * 0 - 1)

    monkeypatch.setattr(DeltaZ, "search", finds_nothing)
    st.cache_data.clear()
    page = open_page(picture=as_file(walked[0]))
    st.cache_data.clear()
    assert "No other digit is within reach" in text(page) and "δz = ∞" in text(page)


@pytest.mark.parametrize("state", [{"explained": "Blank page"}, {"picture": b"no picture"}])
def test_an_unusable_picture_is_a_sentence_not_a_traceback(state):
    page = open_page(**state)
    assert len(page.error) == 1 and page.error[0].value.endswith(".")
    page.session_state["explained"] = "Digit 0"
    page.run()
    assert not page.error and "Digit 0: δz" in text(page)


def test_nonsense_stands_beside_a_digit():
    shown = text(open_page(explained="Chicken"))
    assert shown.index("Chicken: δz") < shown.index("Digit 4: δz")

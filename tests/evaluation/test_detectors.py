"""The bench of metrics: what it measures, its file, its tables, and the page that shows them."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import streamlit_app
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score, roc_curve
from streamlit.testing.v1 import AppTest

from robust import DamagedWorld, Guard
from robust.cli import main
from robust.data import image_sets
from robust.data.examples import samples
from robust.data.image_sets import ImageSet
from robust.evaluation import detectors
from robust.evaluation.baselines import Combination, LikelihoodRegret, baselines
from robust.evaluation.report import tables
from robust.evaluation.tables import as_text
from robust.models.store import DEFAULT_WORLD

REPOSITORY = Path(__file__).parents[2]


def digits(every: int, start: int = 0) -> ImageSet:
    """Some of the shipped digits, of all classes."""
    return ImageSet(samples()["mnist_images"][start::every].float() / 255, samples()["mnist_labels"][start::every])


@pytest.fixture(scope="module")
def world():
    return Guard.load()


@pytest.fixture(scope="module")
def metrics(world):
    """Every metric; the baselines are fitted to half of the shipped digits."""
    training = digits(2)
    return [*world.metrics.values(), *baselines(world, training.images, training.labels)]


@pytest.fixture(scope="module")
def measured(world):
    """A small run on the shipped samples."""
    clothes = samples()["fashion_images"][::5].float() / 255
    others = {
        "fashion-mnist": ImageSet(clothes, torch.full((len(clothes),), -1)),
        "pendigits": digits(4, 1),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detectors, "RESAMPLES", 30)
        patch.setattr(detectors, "ALONE", 2)
        patch.setattr(detectors, "TOGETHER", 8)
        return detectors.measure(world, digits(2), digits(2, 1), others, images=40, slow=12) | {"left_out": []}


@pytest.fixture
def shipped(measured, tmp_path) -> Path:
    """A copy of the default world's folder that holds the small run."""
    for file in DEFAULT_WORLD.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / detectors.FILE).unlink(missing_ok=True)
    (tmp_path / detectors.FILE).write_text(json.dumps(measured))
    return tmp_path


# --- Figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refuses", ["high", "low"])
def test_figures_of_nonsense_agree_with_scikit_learn(refuses):
    randomness = np.random.default_rng(1)
    reference, good, nonsense = (randomness.normal(mean, 1, 2000).round(2) for mean in (0, 0, 1.5))  # ties, too
    sign = 1 if refuses == "high" else -1
    fnr, fpr, area = detectors.nonsense_figures(sign * reference, sign * good, sign * nonsense, refuses)
    truth, scores = np.repeat([0, 1], 2000), np.r_[good, nonsense]
    assert area == pytest.approx(roc_auc_score(truth, scores))
    false_positives, true_positives, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert fpr == pytest.approx(false_positives[np.argmax(true_positives >= 0.95)])
    truth, scores = np.repeat([0, 1], 2000), np.r_[reference, nonsense]
    false_positives, true_positives, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert fnr == pytest.approx(1 - true_positives[false_positives <= 0.05].max())


def test_figures_of_spoilt_and_drawn_digits_count_what_was_read_rightly():
    reference = np.arange(100.0)  # at 5 % FPR, above 94 is refused
    images = np.array([[0, 1], [0, 0], [99, 1], [99, 0], [0, 1]])
    misread, accepted = detectors.changed_figures(reference, images, "high")
    assert (misread, accepted) == (1 / 5, 3 / 5)
    refused_right, accepted_right = detectors.drawn_figures(reference, images, "high")
    assert (refused_right, accepted_right) == (1 / 3, 2 / 5)


def test_intervals_hold_the_truth_and_are_the_same_each_time():
    reference, good, nonsense = (np.random.default_rng(2).normal(mean, 1, 500) for mean in (0, 0, 1))
    figures = partial(detectors.nonsense_figures, refuses="high")
    found = detectors.with_intervals(figures, reference, good, nonsense)
    assert found == detectors.with_intervals(figures, reference, good, nonsense)
    for (value, low, high), truth in zip(found, [0.740, 0.740, 0.760]):  # of normals that are 1 apart
        assert low <= value <= high and low < truth < high and high - low < 0.2


# --- Metrics -------------------------------------------------------------------------------------------------------


def test_every_metric_gives_numbers_that_depend_on_no_other_image(metrics):
    digit, dress = digits(50).images, samples()["fashion_images"][30:32].float() / 255
    images = torch.cat([digit, dress])
    predictions = torch.zeros(len(images), dtype=torch.int64)
    for metric in metrics:
        together = metric.scores(images, predictions)
        alone = metric.scores(images[4:5], predictions[4:5])
        assert together.shape == (len(images),) and not np.isnan(together).any(), metric.name
        assert alone[0] == pytest.approx(together[4], rel=1e-3, abs=1e-3 * together.std() + 1e-6), metric.name


def test_every_metric_says_what_it_is_and_has_a_name_of_its_own(metrics):
    assert len({metric.name for metric in metrics}) == len(metrics)
    assert len({metric.title for metric in metrics}) == len(metrics)
    assert all(30 < len(detectors.about(metric)) < 200 for metric in metrics)


def test_baselines_tell_clothes_from_digits(metrics):
    good, nonsense = digits(4, 1).images, samples()["fashion_images"][::4].float() / 255
    none = torch.zeros(50, dtype=torch.int64)
    for name in ("vae_reconstruction", "wgan_reconstruction", "f_anogan", "nearest_training_image"):
        metric = next(metric for metric in metrics if metric.name == name)
        assert detectors.auroc(metric.scores(good, none), metric.scores(nonsense, none), metric.refuses) > 0.8, name


def test_pytorch_oods_scores_are_those_of_their_formulas(metrics, world):
    pytest.importorskip("pytorch_ood")
    images = digits(40).images
    with torch.inference_mode():
        logits = world.contents.nets["lenet"](images)
    found = {
        metric.name: metric.scores(images, logits.argmax(1)) for metric in metrics if metric.name in ("msp", "energy")
    }
    assert found["msp"] == pytest.approx(-logits.softmax(1).amax(1).numpy(), rel=1e-4)
    assert found["energy"] == pytest.approx(-logits.logsumexp(1).numpy(), rel=1e-4)


def test_likelihood_regret_is_what_a_fit_gains(world):
    images = torch.cat([digits(50).images, samples()["fashion_images"][:4].float() / 255])
    regret = LikelihoodRegret(world.contents.nets["vae"]).scores(images, torch.zeros(8))
    assert (regret > 0).all()
    assert regret[:4].max() < regret[4:].min()


def test_a_combination_costs_one_joint_fpr(metrics):
    parts = [metric for metric in metrics if metric.name in ("vae_loss", "delta_z")]
    randomness = np.random.default_rng(0)
    reference = {part.name: randomness.normal(size=4000) for part in parts}
    for how in ("either", "both", "product"):
        scores = Combination(how, how, how, parts, reference).combine(reference)
        assert detectors.fpr_figures(scores, scores, "low")[0] == pytest.approx(0.05, abs=0.005), how
    one = {"delta_z": np.array([-9.0, 0.0, -9.0]), "vae_loss": np.array([0.0, 9.0, 9.0])}  # δz refuses low
    either, both = (Combination(how, how, how, parts, reference).combine(one) for how in ("either", "both"))
    assert (either == 1 / 4001).all() and both[2] == 1 / 4001 and (both[:2] > 0.3).all()


# --- The measurement -----------------------------------------------------------------------------------------------


def test_measures_every_metric_of_the_guard_on_every_set(measured):
    assert list(measured["sets"]) == ["fashion-mnist", "pendigits", "rotated", "inverted", "blurred"]
    assert set(Guard.load().metrics) < set(measured["metrics"])
    assert measured["default_rule"] in measured["metrics"] and set(measured["published"]) < set(measured["metrics"])
    for name, metric in measured["metrics"].items():
        assert metric["ms_alone"] > 0 and metric["ms_batched"] > 0
        for one, found in metric["sets"].items():
            slow = name in detectors.SLOW or "δz" in metric["title"]
            assert found["images"] == (12 if slow else measured["sets"][one]["images"]), (name, one)
            for key in detectors.FIGURES[measured["sets"][one]["kind"]]:
                value, low, high = found[key]
                assert 0 <= low <= high <= 1 and 0 <= value <= 1
    assert measured["metrics"]["vae_loss"]["sets"]["fashion-mnist"]["auroc"][0] > 0.9
    assert measured["sets"]["pendigits"]["read_right"] > 0.9 > measured["sets"]["inverted"]["read_right"]


def test_the_calibrations_scores_are_taken_for_its_own_images_alone(world):
    chosen = torch.tensor([5, 0, 7] * 40)
    predictions = torch.from_numpy(world.reference["prediction"][chosen])
    found = detectors.calibrated_scores(world, "mnist", chosen, predictions)
    assert (found["delta_z"] == world.reference["delta_z"][chosen]).all()
    assert detectors.calibrated_scores(world, "mnist", chosen, (predictions + 1) % 10) == {}
    assert detectors.calibrated_scores(world, "mnist", chosen + 10_000, predictions) == {}
    assert detectors.calibrated_scores(world, "structured-noise", chosen, predictions) == {}


def test_the_report_has_the_tables_where_the_file_is(shipped, measured):
    shown = as_text(tables(shipped))
    assert "Detectors: AUROC / FPR at 95 % TPR" in shown
    assert all(metric["title"] in shown for metric in measured["metrics"].values())
    (shipped / detectors.FILE).unlink()
    assert "Detectors" not in as_text(tables(shipped))


def test_without_the_data_the_command_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBUST_DATA", str(tmp_path))
    result = CliRunner().invoke(main, ["benchmark", "detectors", "--images", "20"])
    assert result.exit_code == 2
    assert "name the folder that holds it in ROBUST_DATA" in " ".join(result.output.split())


# --- Sets ----------------------------------------------------------------------------------------------------------


def test_structured_noise_and_spoilt_digits_are_images():
    noise, images = image_sets.structured_noise(40), digits(20).images
    assert noise.shape == (40, 1, 28, 28) and noise.min() >= 0 and noise.max() <= 1
    assert (image_sets.structured_noise(40) == noise).all()
    for change in image_sets.CHANGES.values():
        changed = change(images)
        assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 1 + 1e-6
        assert (changed - images).abs().mean() > 0.02


# --- The page ------------------------------------------------------------------------------------------------------


def test_the_page_says_how_to_measure_where_nothing_is(monkeypatch):
    monkeypatch.setattr(detectors, "read", lambda folder: None)
    page = AppTest.from_file(str(REPOSITORY / "pages" / "compare.py"), default_timeout=120)
    page.session_state["entered"] = True
    page.run()
    assert not page.exception
    assert "python -m robust benchmark detectors" in page.info[0].value


SCRIPT = """
import json, runpy
from pathlib import Path
import streamlit as st
from pages.components.style.style import apply_style
from robust.evaluation import detectors

st.set_page_config(layout="wide")
apply_style()
st.session_state.entered = True  # as if through app.py
detectors.read = lambda folder: json.loads(Path({file!r}).read_text())
runpy.run_path({page!r})
"""


def test_the_page_ranks_the_metrics_of_the_chosen_set(page, measured, tmp_path):
    from playwright.sync_api import expect

    script, file = tmp_path / "app.py", tmp_path / detectors.FILE
    file.write_text(json.dumps(measured))
    script.write_text(SCRIPT.format(file=str(file), page=str(REPOSITORY / "pages" / "compare.py")))
    with streamlit_app(script) as address:
        page.goto(address)
        labels = page.locator(".st-key-compare_chart .ytick text")
        labels.first.wait_for(timeout=240_000)  # a page's first run imports torch
        few = labels.all_text_contents()
        assert {"◆ δz", "◆ VAE loss"} < set(few) and any(label.startswith("★") for label in few)
        page.get_by_text(f"All {len(measured['metrics'])} metrics").click()
        labels.nth(len(measured["metrics"]) - 1).wait_for()
        page.get_by_role("radio", name="Drawn digits").click()
        metrics = measured["metrics"]
        worst = max(reversed(metrics), key=lambda name: metrics[name]["sets"]["pendigits"]["refused_right"][0])
        title = re.compile(r"\s*".join(map(re.escape, metrics[worst]["title"].split())))  # a long one has two lines
        expect(labels.first).to_contain_text(title, timeout=60_000)  # the axis goes upwards


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"metrics": {"a": {"fpr": 1}}, "sets": {"b": {"kind": "drawn"}}}', "NaN"]
)
def test_a_damaged_measurement_is_one_sentence(tmp_path, text):
    (tmp_path / detectors.FILE).write_text(text)
    with pytest.raises(DamagedWorld, match="is damaged. Measure again: python -m robust benchmark detectors"):
        detectors.read(tmp_path)


def test_what_was_measured_on_the_shipped_guard_is_whole():
    assert detectors.read(DEFAULT_WORLD)["metrics"].keys() >= {"delta_z", "vae_loss", "surprise"}

"""The bench of metrics: what it measures, its file, its tables, and the page that shows them."""

import bz2
import copy
import json
import re
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import streamlit_app
from click.testing import CliRunner
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from streamlit.testing.v1 import AppTest

from robust import DamagedWorld, Guard
from robust.cli import main
from robust.data import changes, image_sets, patterns
from robust.data.examples import samples
from robust.data.image_sets import ImageSet
from robust.decision.tradeoff import auroc
from robust.evaluation import detectors, figures
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
def measurement(world):
    """A small run on the shipped samples."""
    clothes = samples()["fashion_images"][::5].float() / 255
    others = {
        "fashion-mnist": ImageSet(clothes, torch.full((len(clothes),), -1)),
        "pendigits": digits(4, 1),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "RESAMPLES", 30)
        patch.setattr(detectors, "ALONE", 2)
        patch.setattr(detectors, "TOGETHER", 8)
        found, sheets = detectors.measure(world, digits(2), digits(2, 1), others, images=40, slow=12)
        return found | {"left_out": []}, sheets


@pytest.fixture(scope="module")
def measured(measurement):
    return measurement[0]


@pytest.fixture
def shipped(measurement, tmp_path) -> Path:
    """A copy of the default world's folder that holds the small run."""
    for file in DEFAULT_WORLD.iterdir():
        (tmp_path / file.name).symlink_to(file)
    for made in (detectors.FILE, detectors.PICTURES):
        (tmp_path / made).unlink(missing_ok=True)
    detectors.write(tmp_path, *measurement)
    return tmp_path


# --- Figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refuses", ["high", "low"])
def test_figures_of_nonsense_agree_with_scikit_learn(refuses):
    randomness = np.random.default_rng(1)
    reference, good, nonsense = (randomness.normal(mean, 1, 2000).round(2) for mean in (0, 0, 1.5))  # ties, too
    sign = 1 if refuses == "high" else -1
    fnr, fpr, area, precision = figures.nonsense_figures(sign * reference, sign * good, sign * nonsense, refuses)
    truth, scores = np.repeat([0, 1], 2000), np.r_[good, nonsense]
    assert area == pytest.approx(roc_auc_score(truth, scores))
    assert precision == pytest.approx(average_precision_score(truth, scores))
    false_positives, true_positives, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert fpr == pytest.approx(false_positives[np.argmax(true_positives >= 0.95)])
    truth, scores = np.repeat([0, 1], 2000), np.r_[reference, nonsense]
    false_positives, true_positives, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert fnr == pytest.approx(1 - true_positives[false_positives <= 0.05].max())


def test_figures_of_spoilt_and_drawn_digits_count_what_was_read_rightly():
    reference = np.arange(100.0)  # at 5 % FPR, above 94 is refused
    images = np.array([[0, 1], [0, 0], [99, 1], [99, 0], [0, 1]])
    misread, accepted, area, of_misread = figures.changed_figures(reference, reference[:50], images, "high")
    assert (misread, accepted) == (1 / 5, 3 / 5) and area == pytest.approx(0.4 + 0.6 * 0.01)  # ties with 0 count half
    assert of_misread == pytest.approx((0.01 + 1) / 2)  # of the two that are misread, one ties with 0
    assert figures.drawn_figures(reference, images, "high") == [1 / 3, 2 / 5, 1 / 5]
    accepted, area = figures.wrong_figures(reference, images, "high")
    assert (accepted, area) == (1 / 2, pytest.approx(7 / 12))


def test_intervals_hold_the_truth_and_are_the_same_each_time():
    reference, good, nonsense = (np.random.default_rng(2).normal(mean, 1, 500) for mean in (0, 0, 1))
    nonsense_figures = partial(figures.nonsense_figures, refuses="high")
    found = figures.with_intervals(nonsense_figures, reference, good, nonsense)
    assert found == figures.with_intervals(nonsense_figures, reference, good, nonsense)
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
        assert auroc(metric.scores(good, none), metric.scores(nonsense, none), metric.refuses) > 0.8, name


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
        assert figures.fpr_figures(scores, scores, "low")[0] == pytest.approx(0.05, abs=0.005), how
    one = {"delta_z": np.array([-9.0, 0.0, -9.0]), "vae_loss": np.array([0.0, 9.0, 9.0])}  # δz refuses low
    either, both = (Combination(how, how, how, parts, reference).combine(one) for how in ("either", "both"))
    assert (either == 1 / 4001).all() and both[2] == 1 / 4001 and (both[:2] > 0.3).all()


# --- The measurement -----------------------------------------------------------------------------------------------


def test_measures_every_metric_of_the_guard_on_every_set(measured):
    assert {"fashion-mnist", "pendigits", *changes.CHANGES} <= measured["sets"].keys()
    assert set(Guard.load().metrics) < set(measured["metrics"])
    assert measured["default_rule"] in measured["metrics"] and set(measured["published"]) < set(measured["metrics"])
    for name, metric in measured["metrics"].items():
        assert metric["ms_alone"] > 0 and metric["ms_batched"] > 0
        for one, found in metric["sets"].items():
            slow = name in detectors.SLOW or "δz" in metric["title"]
            if one != detectors.WRONG_ANSWERS:
                assert found["images"] == (12 if slow else measured["sets"][one]["images"]), (name, one)
            for key in figures.FIGURES[measured["sets"][one]["kind"]]:
                value, low, high = found[key]
                assert 0 <= low <= high <= 1 and 0 <= value <= 1
    assert measured["metrics"]["vae_loss"]["sets"]["fashion-mnist"]["auroc"][0] > 0.9
    # A turned 6 that is read as 9 is no error: if it were, less than half would be read rightly.
    assert measured["sets"]["half-turned"]["read_right"] > 0.5
    assert measured["sets"]["pendigits"]["read_right"] > 0.9 > measured["sets"]["inverted"]["read_right"]
    classes = measured["sets"]["pendigits"]["by_class"]
    errors = sum(shares["images"] * shares["misread"] for shares in classes.values())
    assert sum(shares["images"] for shares in classes.values()) == measured["sets"]["pendigits"]["images"]
    assert errors / 40 == pytest.approx(measured["metrics"]["surprise"]["sets"]["pendigits"]["misread"][0])


def test_the_pictures_that_slip_through_are_kept(shipped, measured):
    found = detectors.slipped_pictures(shipped, measured, "vae_loss", "stroke-added")
    share = measured["metrics"]["vae_loss"]["sets"]["stroke-added"]["misread"][0]
    assert len(found) == min(detectors.SHOWN, round(40 * share)) > 0
    for picture, read_as in found:
        assert picture.size == (28, 28) and 0 <= read_as < 10 and np.asarray(picture).any()
    (shipped / detectors.PICTURES / "stroke-added.png").write_bytes(b"no picture")
    assert detectors.slipped_pictures(shipped, measured, "vae_loss", "stroke-added") == []


def test_surprise_is_measured_without_the_half_that_it_is_measured_on(world):
    ours = world.metrics["surprise"]
    metric, none = copy.copy(ours), ImageSet(torch.zeros(9, 1, 28, 28), torch.zeros(9))
    scores = {name: np.arange(9.0) for name in metric.parts}
    first, second = (detectors.Scored("drawn", none, np.zeros(9), dict(scores)) for _ in range(2))
    detectors.join(metric, first, [second])
    rarest = sum(ours.weight(name) for name in ours.parts) * np.log(10)  # one in ten: nine references and itself
    assert second.scores["surprise"].max() <= rarest + 1e-5
    assert first.scores["surprise"].shape == (9,)
    assert len(ours.reference["evidence"]) == 10_000  # the guard's own stays as it is


def test_wrong_answers_of_several_sets_are_one_set():
    none = ImageSet(torch.zeros(3, 1, 28, 28), torch.zeros(3))
    first = detectors.Scored("drawn", none, np.array([0, 1, 0]), {"fast": np.arange(3.0), "slow": np.ones(2)})
    second = detectors.Scored("drawn", none, np.array([1, 0, 0]), {"fast": np.zeros(3), "slow": np.zeros(1)})
    found = detectors.together(first, second)
    assert found.right.tolist() == [True, False, True, False, True, True]
    assert found.with_right("slow").tolist() == [[1, 1], [1, 0], [0, 0]]
    assert found.with_right("fast")[:, 1].tolist() == [1, 0, 1, 0, 1, 1]
    assert not detectors.Scored("nonsense", none, np.zeros(3), {}).right.any()  # whatever labels it has of its own


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
    assert "Detectors: means, and AUROC of each" in shown and "Drawn digits by class: Surprise" in shown
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
    noise, images = patterns.structured_noise(40), digits(20).images
    assert noise.shape == (40, 1, 28, 28) and noise.min() >= 0 and noise.max() <= 1
    assert (patterns.structured_noise(40) == noise).all()
    for pattern in image_sets.PATTERNS.values():
        made = pattern(8, 28)
        assert made.shape == (8, 1, 28, 28) and made.min() >= 0 and made.max() <= 1 and (pattern(8, 28) == made).all()
        assert len({image.numpy().tobytes() for image in made}) == 8
    for change in changes.CHANGES.values():
        changed = change(images)
        assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 1 + 1e-6
        assert (changed - images).abs().mean() > 0.02


def test_a_flip_does_not_give_itself_away_by_its_place():
    images = digits(5).images
    middle = torch.arange(28.0)
    for flip in (changes.mirrored, changes.upside_down, changes.half_turned):
        flipped = flip(images)
        for others in ((1, 2), (1, 3)):
            ink, was = flipped.sum(others), images.sum(others)
            moved = (ink @ middle) / ink.sum(1) - (was @ middle) / was.sum(1)
            assert moved.mean().abs() < 0.2  # about the frame's middle, it would be a whole pixel
        assert flip(flipped).equal(images)


def write_idx(path: Path, values: np.ndarray, code: int = 8) -> None:
    """A file as MNIST's are (LeCun)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    path.write_bytes(header + values.astype(">i4" if code == 12 else np.uint8).tobytes())


def test_other_sets_are_read_where_their_files_are(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBUST_DATA", str(tmp_path))
    assert all(image_sets.load(name) is None for name in image_sets.torchvision_sets.SETS)
    pictures = np.zeros((5, 28, 28), np.uint8)
    pictures[:, 4:20, 10] = 255  # an upright line
    labels = np.arange(5, dtype=np.uint8)
    for folder, name in (("KMNIST", ""), ("EMNIST", "emnist-letters-"), ("QMNIST", "qmnist-")):
        for part, kind in (("train", "train"), ("test", "t10k")):
            begin = tmp_path / folder / "raw" / f"{name}{kind if folder == 'KMNIST' else part}"
            lying = pictures.transpose(0, 2, 1) if folder == "EMNIST" else pictures
            write_idx(begin.with_name(f"{begin.name}-images-idx3-ubyte"), lying)
            write_idx(begin.with_name(f"{begin.name}-labels-idx1-ubyte"), labels)
    wide = np.stack([np.r_[label, np.zeros(7)] for label in labels]).astype(int)
    write_idx(tmp_path / "QMNIST" / "raw" / "qmnist-test-labels-idx2-int", wide, 12)
    line = "3 " + " ".join(f"{i + 1}:{1.0 if i % 16 == 8 else -1.0}" for i in range(256))
    (tmp_path / "usps.t.bz2").write_bytes(bz2.compress(f"{line}\n{line}\n".encode()))
    for name in ("kmnist", "emnist-letters"):
        found = image_sets.load(name)
        assert found.images.shape == (5, 1, 28, 28) and (found.labels == -1).all(), name
        assert found.images[0, 0, 10, 10] == 1 and found.images[0, 0, 10, 20] == 0, name
    usps = image_sets.load("usps")
    assert usps.labels.tolist() == [2, 2] and usps.images[0, 0, 14, 13:16].max() > 0.5  # the file counts from 1
    assert usps.images[0, 0, :, :4].max() == 0


# --- The page ------------------------------------------------------------------------------------------------------


def test_the_page_says_how_to_measure_where_nothing_is(monkeypatch):
    monkeypatch.setattr(detectors, "read", lambda folder: None)
    page = AppTest.from_file(str(REPOSITORY / "pages" / "compare.py"), default_timeout=120)
    page.session_state["entered"] = True
    page.run()
    assert not page.exception
    assert "python -m robust benchmark detectors" in page.info[0].value


def test_the_page_of_the_world_of_clothes_speaks_of_clothes():
    page = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=120)
    page.query_params["world"] = "fashion-mnist"
    page.switch_page("pages/compare.py").run()
    assert not page.exception
    said = "\n".join(element.proto.body for element in page.get("html"))
    assert "when 5 % of good clothes are refused" in said and "digits are refused" not in said
    (method,) = [words.value for words in page.markdown if "LeNet reads rightly" in words.value]
    assert "other hands" not in method and "OpenOOD" not in method


SCRIPT = """
import json, runpy
from pathlib import Path
import streamlit as st
from pages.components.style.style import apply_style
from robust.decision.tradeoff import auroc
from robust.evaluation import detectors, figures

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
        cell = page.get_by_role("button", name=re.compile("^◆ VAE loss, Drawn digits: .* rightly read, but refused"))
        cell.focus()
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("button", name=re.compile("^◆ VAE loss, Shuffled patches"))).to_be_focused()
        cell.click()
        expect(page.get_by_text(re.compile("VAE loss refuses .* of those of Drawn digits"))).to_be_visible()
        expect(cell).to_have_attribute("aria-pressed", "true")
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

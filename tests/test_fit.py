"""A guard fitted to other classifiers: what is refused before the training, and what comes out of it."""

import json
import re
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from torch import nn
from torch.utils.data import TensorDataset

from robust import FPR, DamagedWorld, Guard, NotReliableClassification, Percentile, UnusableImage, fitting
from robust.data.examples import samples
from robust.inputs.arrays import image_set
from robust.metrics import Metric
from robust.metrics.pytorch_ood import PytorchOOD
from robust.models.classifier import AnyClassifier
from robust.models.store import DEFAULT_WORLD

ORDER = torch.randperm(200, generator=torch.Generator().manual_seed(1))
README = Path(__file__).parent.parent / "README.md"


def digits(count: int, first: int = 0) -> torch.Tensor:
    """Shipped digits in mixed order, uint8 (count, 1, 28, 28); beyond the 200th, shifted by a pixel and a row more."""
    images = samples()["mnist_images"][ORDER]
    shifted = torch.cat([images.roll((rows, columns), (2, 3)) for rows in (0, 1) for columns in (0, 1)])
    return shifted[first : first + count]


TRAIN, TEST = digits(200), digits(100, 200)
ENOUGH = digits(150, 200)  # for two metrics of which any may refuse


@pytest.fixture(scope="module")
def lenet():
    return Guard.load().classifier


@pytest.fixture(scope="module")
def forest():
    labels = samples()["mnist_labels"][ORDER]
    return RandomForestClassifier(10, random_state=0).fit(TRAIN.flatten(1).numpy() / 255, labels)


@pytest.fixture(autouse=True, scope="module")
def few_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "BLACK_BOX_REFERENCE", 20)
        patch.setattr(fitting, "COMPARED", 20)
        yield


EVERY = ("delta_z", "vae_loss", "surprise")


def fit(classifier, train=TRAIN, test=TEST, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a δz that a few steps of training cannot make useful
        return Guard.fit(classifier, train, test, **{"steps": 3, "metrics": EVERY, "confidence": None} | options)


@pytest.fixture(scope="module")
def guard(lenet):
    return fit(lenet)


# --- Mistakes are found before the training -------------------------------------------------------------------------


@pytest.fixture
def untrained(monkeypatch):
    """Training would be a failure."""

    def train(*arguments):
        pytest.fail("the training began")

    monkeypatch.setattr(fitting, "_train", train)


NORMALISED = (TRAIN.float() / 255 - 0.13) / 0.31
MISSING = (TRAIN.float() / 255).index_fill(0, torch.tensor([7]), torch.nan)

BAD_IMAGES = {
    "normalised": (NORMALISED, "values go from -0.419 to 2.81, and floats must lie from 0 to 1"),
    "0 to 255 as floats": (TRAIN.float(), "Divide 0..255 by 255"),
    "NaN": (MISSING, "not numbers"),
    "integers": (TRAIN.long(), "int64 values do not fit"),
    "flattened": (TRAIN.flatten(1), r"shape \(200, 784\) does not fit"),
    "four channels": (TRAIN.expand(-1, 4, -1, -1), "1 or 3 channels"),
    "not square": (TRAIN[..., 2:, :], "images are 26×28; crop or resize them to squares"),
    "too small": (TRAIN[..., 4:24, 4:24], "resize them to 28 to 512 pixels"),
    "too large": (TRAIN.repeat(1, 1, 20, 20), "resize them to 28 to 512 pixels"),
    "too few": (TRAIN[:50], "holds 50 images; at least"),
    "none": (TRAIN[:0], "does not fit"),
    "no data set": (iter(TRAIN), "is no data set"),
    "words": (np.array(["digit"] * 200), "no array of numbers"),
    "items of two sizes": ([*TRAIN, torch.zeros(1, 32, 32)], "image 200: it is 1×32×32, the first one 1×28×28"),
}


@pytest.mark.parametrize("which", ["train_data", "test_data"])
@pytest.mark.parametrize("name", BAD_IMAGES)
def test_images_that_do_not_fit(untrained, lenet, which, name):
    images, message = BAD_IMAGES[name]
    with pytest.raises(ValueError, match=message) as error:
        Guard.fit(lenet, **{"train_data": TRAIN, "test_data": TEST} | {which: images})
    assert which in str(error.value)


def test_test_images_unlike_the_training_images(untrained, lenet):
    with pytest.raises(ValueError, match="1×32×32 do not fit; the guard was fitted to 1×28×28"):
        Guard.fit(lenet, TRAIN, nn.functional.pad(TEST, (2, 2, 2, 2)))
    with pytest.raises(ValueError, match="are the training images"):
        Guard.fit(lenet, TRAIN, TRAIN.float() / 255)


def raises(images):
    raise RuntimeError("no route to host")


def of_shape(*shape):
    return lambda images: torch.rand(*[len(images) if side == "N" else side for side in shape])


BAD_CLASSIFIERS = {
    "raises": (raises, "RuntimeError: no route to host"),
    "one row too few": (lambda images: torch.rand(len(images) - 1, 10), r"gives shape \(199, 10\) for 200 images"),
    "labels only": (lambda images: torch.arange(len(images)), "gives labels. Give its logits or probabilities"),
    "several labels": (lambda images: images.flatten(1)[:, 300:310].sigmoid(), "as one sigmoid for each label does"),
    "NaN": (lambda images: torch.full((len(images), 10), torch.nan), "not numbers"),
    "words": (lambda images: ["three"] * len(images), "gives a list, which is no array of numbers"),
    "always the same": (lambda images: torch.eye(10)[[3] * len(images)], "class 3 to all of 200 test images"),
    "at random": (of_shape("N", 10), "differently a second time"),
    "not callable": ("lenet.pt", "can neither be called"),
}


@pytest.mark.parametrize("name", BAD_CLASSIFIERS)
def test_classifiers_that_do_not_fit(untrained, name):
    classifier, message = BAD_CLASSIFIERS[name]
    with pytest.raises(ValueError, match=message):
        Guard.fit(classifier, TRAIN[:150], digits(200, 200))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ("vae_loss", "delta_x")}, "no metric named delta_x; there are .*vae_loss"),
        ({"metrics": ()}, "metrics is empty: name one"),
        ({"metrics": ["evidence"]}, "Evidence learns from labels"),
        ({"metrics": ["orientation"]}, "Orientation learns from labels"),
        ({"labels": [0.5] * 200}, "labels must be 200 whole numbers"),
        ({"steps": 0}, "at least 1"),
        ({"fpr": 5}, "An FPR is a share from 0 to below 1"),
        ({"fpr": 0.001}, "with 95 % confidence takes at least 2995 good images; there are 100"),
        ({"fpr": 0.001, "confidence": None}, "An FPR of 0.001 for surprise needs at least 1000 test images"),
        ({"confidence": 1.0}, "A confidence is a share above 0 and below 1"),
        ({"output": "odds"}, 'output is "logits" or "probabilities"'),
        ({"features": "backbone"}, "no submodule named backbone"),
        ({"device": "cuda:7"}, 'There is no device "cuda:7" here'),
        ({"class_names": ["one", "two"]}, "class_names must be 10 names"),
        ({"thresholds": {"loss": 3.0}}, "no metric named loss"),
        ({"thresholds": {"surprise": "high"}}, "A threshold is a number"),
        ({"rule": "sometimes"}, "no rule named"),
    ],
)
def test_options_that_do_not_fit(untrained, lenet, options, message):
    with pytest.raises(ValueError, match=message):
        Guard.fit(lenet, TRAIN, TEST, **options)


# --- What classifiers give -----------------------------------------------------------------------------------------


def test_logits_and_probabilities_of_any_kind_are_the_same_to_the_guard(lenet):
    images = TEST.float() / 255
    expected = lenet(images).softmax(1)
    for kind, given, has_gradients in [
        (False, lenet, True),
        (True, nn.Sequential(lenet, nn.Softmax(1)), True),
        (False, nn.Sequential(lenet, nn.LogSoftmax(1)), True),
        (True, lambda images: lenet(images).softmax(1).numpy(), False),
        (False, lambda images: lenet(images).tolist(), False),
    ]:
        classifier = AnyClassifier.probe(given, images)
        assert (classifier.gives_probabilities, classifier.has_gradients) == (kind, has_gradients)
        assert torch.allclose(classifier(images).softmax(1), expected, atol=1e-5)


def test_dropout_is_switched_off(lenet):
    images = TEST.float() / 255
    expected = lenet(images)
    lenet.train()
    guarded = AnyClassifier.probe(lenet, images)
    assert torch.allclose(guarded(images), expected)
    assert all(module.training for module in lenet.modules())  # the caller's own is left as it was
    lenet.eval()


# --- Fitted guards -------------------------------------------------------------------------------------------------


def test_default_thresholds_refuse_the_chosen_share_of_the_test_images(lenet):
    guard = fit(lenet, metrics=["vae_loss"], fpr=0.1)
    refused = [not report.reliable for report in guard.inspect_prepared(TEST.float() / 255)]
    assert sum(refused) == 10
    with pytest.raises(NotReliableClassification, match="VAE loss refuses"):
        guard.classify(TEST[refused.index(True)])
    assert guard.classify(TEST[refused.index(False)]) in range(10)


def test_thresholds_by_fpr_percentile_and_value(guard):
    losses = guard.reference["vae_loss"]
    for choice, value in [(FPR(0.2), np.sort(losses)[79]), (Percentile(50), np.sort(losses)[50]), (77.5, 77.5)]:
        assert guard.with_thresholds({"vae_loss": choice}).thresholds["vae_loss"] == pytest.approx(value, rel=0.01)
    with pytest.raises(ValueError, match="needs at least 200 test images"):
        guard.with_thresholds({"vae_loss": FPR(0.005)})
    changed = guard.with_thresholds({"vae_loss": 77.5}, "vae_loss").with_thresholds({"delta_z": 1.5})
    assert changed.thresholds == guard.thresholds | {"vae_loss": 77.5, "delta_z": 1.5}
    assert changed.rule.decides == "vae_loss"


def test_the_same_data_in_any_form_makes_the_same_guard(lenet, guard):
    train, test = (images.float() / 255 for images in (TRAIN, TEST))
    pictures = [(Image.fromarray(image[0].numpy()), 0) for image in TRAIN]
    for other_train, other_test in [
        (train.numpy(), test.movedim(1, 3).double().numpy()),
        (TensorDataset(train, torch.zeros(200)), TEST[:, 0]),
        (pictures, TensorDataset(TEST)),
    ]:
        assert torch.equal(image_set(other_train, "train_data"), TRAIN)
        assert torch.equal(image_set(other_test, "test_data"), TEST)
    again = fit(lenet, train, test)
    assert all(np.array_equal(again.reference[name], guard.reference[name]) for name in guard.metrics)


def test_a_saved_guard_comes_back_the_same(guard, lenet, tmp_path):
    chosen = guard.with_thresholds({"vae_loss": Percentile(90), "delta_z": 0.25}, "vae_loss")
    chosen.save(tmp_path / "guard")
    assert {file.suffix for file in (tmp_path / "guard").iterdir()} == {".safetensors", ".json"}
    back = Guard.load(tmp_path / "guard", classifier=lenet)
    assert (back.thresholds, back.rule, back.choices) == (chosen.thresholds, chosen.rule, chosen.choices)
    images = TEST[:10].float() / 255
    assert [r.as_json() for r in back.inspect_prepared(images)] == [
        r.as_json() for r in chosen.inspect_prepared(images)
    ]
    other = Guard.load(tmp_path / "guard", {"vae_loss": 5.0}, "both", lenet)
    assert (other.thresholds, other.rule.decides) == (chosen.thresholds | {"vae_loss": 5.0}, "all")


def test_surprise_decides_unless_another_rule_is_chosen(guard, lenet, tmp_path):
    assert guard.rule.decides == "surprise"
    assert list(guard.metrics["surprise"].parts) == ["energy", "knn", "early_layers", "late_layers", "exposure"]
    refused = [not report.reliable for report in guard.inspect_prepared(TEST.float() / 255)]
    assert 1 <= sum(refused) <= 5
    guard.save(tmp_path / "guard")
    assert Guard.load(tmp_path / "guard", classifier=lenet, metrics=["vae_loss"]).rule.decides == "any"
    with pytest.raises(ValueError, match="no metric named evidence; there are delta_z, vae_loss, surprise"):
        Guard.load(tmp_path / "guard", classifier=lenet, metrics=["evidence"])


def test_with_labels_a_verifier_joins(lenet, tmp_path):
    guard = fit(lenet, metrics=["surprise"], labels=samples()["mnist_labels"][ORDER])
    assert list(guard.metrics["surprise"].parts)[-1] == "evidence"
    guard.save(tmp_path / "guard")
    assert (tmp_path / "guard" / "verifier.safetensors").exists()
    back = Guard.load(tmp_path / "guard", classifier=lenet)
    assert back.inspect(TEST[3]).as_json() == guard.inspect(TEST[3]).as_json()


class Brightness(Metric):
    """A metric of one's own: how far the picture is from the mean brightness of the training images."""

    name, title, refuses = "brightness", "Brightness", "high"

    def fit(self, images, labels, parts):
        self.mean = images.float().mean() / 255

    def state(self):
        return {"mean": self.mean}

    def load_state(self, state):
        self.mean = state["mean"]

    def scores(self, images, predictions):
        return (images.flatten(1).mean(1) - self.mean).abs().double().numpy()


def test_a_metric_of_ones_own_survives_saving(lenet, tmp_path):
    guard = fit(lenet, metrics=["vae_loss", Brightness()], rule="any")
    bright = torch.full((1, 28, 28), 230, dtype=torch.uint8)
    assert not guard.inspect(bright).verdicts["brightness"].reliable
    guard.save(tmp_path / "guard")
    back = Guard.load(tmp_path / "guard", classifier=lenet)
    assert back.inspect(bright).as_json() == guard.inspect(bright).as_json()


def test_a_detector_of_pytorch_ood_survives_saving(lenet, tmp_path):
    pytest.importorskip("pytorch_ood")
    labels = samples()["mnist_labels"][ORDER]
    detectors = [PytorchOOD("KNN", k=5), PytorchOOD("EnergyBased"), PytorchOOD("ViM", d=64)]
    guard = fit(lenet, metrics=detectors, labels=labels)
    guard.save(tmp_path / "guard")
    back = Guard.load(tmp_path / "guard", classifier=lenet)
    clothes = samples()["fashion_images"][::20].float() / 255
    for name, metric in guard.metrics.items():
        scores = metric.scores(clothes, torch.zeros(10, dtype=torch.int64))
        assert back.metrics[name].scores(clothes, torch.zeros(10, dtype=torch.int64)) == pytest.approx(scores)
    with pytest.raises(ValueError, match="needs labels"):
        fit(lenet, metrics=[PytorchOOD("KNN")])
    with pytest.raises(ValueError, match="has no detector KMN"):
        PytorchOOD("KMN")


def test_a_guard_of_format_1_still_loads(guard, lenet, tmp_path):
    guard.with_thresholds({}, "any").save(tmp_path)
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text())
    names = ["delta_z", "vae_loss"]
    old = {"format": 1, "kind": "fitted guard", "metrics": names, "rule": "either"}
    old["thresholds"] = {name: manifest["thresholds"][name] for name in names}
    since = ("checksum", "dataset", "reader", "subject")
    file.write_text(json.dumps({key: value for key, value in (manifest | old).items() if key not in since}))
    back = Guard.load(tmp_path, classifier=lenet)
    assert (list(back.metrics), back.rule.decides) == (names, "any")
    assert back.inspect(TEST[0]).delta_z == guard.inspect(TEST[0]).delta_z
    file.write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(DamagedWorld, match="newer version"):
        Guard.load(tmp_path, classifier=lenet)


def test_saving_replaces_a_guard_and_nothing_else(guard, lenet, tmp_path):
    guard.save(tmp_path / "guard")
    fit(lenet, metrics=["vae_loss"]).save(tmp_path / "guard")
    assert not (tmp_path / "guard" / "generator.safetensors").exists()
    assert list(Guard.load(tmp_path / "guard", classifier=lenet).metrics) == ["vae_loss"]
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_mother.txt").write_text("Dear")
    for folder in (tmp_path / "letters", tmp_path / "letters" / "to_mother.txt", DEFAULT_WORLD):
        with pytest.raises(ValueError, match="holds something else than a guard"):
            guard.save(folder)


def test_another_classifier_is_refused(guard, lenet, tmp_path):
    guard.save(tmp_path)
    for other, message in [
        (None, "needs its classifier back"),
        (lambda images: lenet(1 - images), "answers 1?[0-9] of 16 stored images differently"),
        (lambda images: lenet(images)[:, :9], "answers 16 of 16"),
        (lambda images: lenet(images).numpy(), "this one gives none"),
        (raises, "no route to host"),
    ]:
        with pytest.raises(ValueError, match=message):
            Guard.load(tmp_path, classifier=other)
    with pytest.raises(ValueError, match="has a classifier of its own"):
        Guard.load(classifier=lenet)


def test_damaged_guards_are_named(guard, lenet, tmp_path):
    guard.save(tmp_path)
    (tmp_path / "vae.safetensors").write_bytes(b"damaged")
    with pytest.raises(DamagedWorld, match="vae.safetensors is damaged"):
        Guard.load(tmp_path, classifier=lenet)


def test_calibrating_moves_thresholds_chosen_by_share_and_no_nets(lenet):
    guard = fit(lenet, metrics=["vae_loss"], thresholds={"vae_loss": FPR(0.1)})
    image, before = TEST[0], guard.thresholds["vae_loss"]
    loss = guard.inspect(image).vae_loss
    inked = (TEST.float() * 0.5).byte()
    assert guard.calibrate(inked) is guard
    assert guard.thresholds["vae_loss"] != before
    assert np.mean([not r.reliable for r in guard.inspect_prepared(inked.float() / 255)]) == pytest.approx(0.1)
    assert guard.inspect(image).vae_loss == loss
    fixed = guard.with_thresholds({"vae_loss": 99.0})
    assert fixed.calibrate(TEST).thresholds["vae_loss"] == 99.0
    reference = guard.reference
    with pytest.raises(ValueError, match="holds 20 images"):
        guard.calibrate(TEST[:20])
    assert guard.reference is reference


def test_a_black_box_has_a_guard_too(forest, tmp_path):
    guard = fit(forest)
    assert not guard.classifier.has_gradients
    assert len(guard.reference["delta_z"]) == len(guard.reference["vae_loss"]) == 20
    guard.save(tmp_path)
    back = Guard.load(tmp_path, classifier=forest)
    report = back.inspect(TEST[0])
    assert report.prediction == forest.predict(TEST[:1].flatten(1).numpy() / 255)[0]
    assert report.delta_z == guard.inspect(TEST[0]).delta_z


def test_colour_images_of_other_sizes(tmp_path):
    colour = nn.functional.pad(digits(300), (2, 2, 2, 2)) * torch.tensor([1, 0, 1], dtype=torch.uint8).view(3, 1, 1)
    torch.manual_seed(0)
    guard = fit(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), colour[:200], colour[200:])
    picture = Image.fromarray(colour[250].movedim(0, 2).numpy())
    exact = guard.inspect(colour[250])
    assert exact.pixels.shape == (3, 32, 32)
    for source in (
        colour[250].float() / 255,
        colour[250].movedim(0, 2).numpy(),
        picture,
        picture.resize((320, 320), 0),
    ):
        assert guard.inspect(source).vae_loss == pytest.approx(exact.vae_loss, rel=1e-4)
    for source, message in [
        (TEST[0], "1×28×28 do not fit; the guard was fitted to 3×32×32"),
        (colour[250].float(), "Divide 0..255 by 255"),
        (picture.crop((0, 0, 32, 30)), "not square"),
        (picture.resize((20, 20)), "at least 32×32"),
        (tmp_path / "nowhere.png", "no picture file"),
    ]:
        with pytest.raises(UnusableImage, match=message):
            guard.inspect(source)


def test_a_delta_z_that_refuses_nothing_is_told(lenet):
    with pytest.warns(UserWarning, match="δz refuses nothing at its threshold of 0"):
        Guard.fit(lenet, TRAIN, TEST, metrics=["delta_z"], steps=1)


def test_an_interrupted_fit_resumes_with_the_same_data_only(lenet, tmp_path, monkeypatch):
    def broken(*arguments):
        raise KeyboardInterrupt

    batches = []
    draw = fitting.training.batch_indices
    monkeypatch.setattr(fitting.training, "batch_indices", lambda *order: (batches.append(order), draw(*order))[1])
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(fitting.training, "train_wgan", broken)
        fit(lenet, checkpoints=tmp_path)
    assert len(batches) == 3  # the VAE's
    fit(lenet, TRAIN.flip(0), metrics=["vae_loss"], checkpoints=tmp_path)
    assert len(batches) == 3 + 3
    fit(lenet, checkpoints=tmp_path)
    assert len(batches) == 3 + 3 + 2 * 3 + 3  # two of the critic for each of the generator, and the inverter's
    assert list(tmp_path.iterdir()) == []


def test_the_code_in_the_readme_runs(tmp_path, monkeypatch):
    """The section's code as printed, on the shipped digits, with few steps."""

    class FewDigits:
        def __init__(self, root, train, download):
            self.data = (TRAIN if train else TEST)[:, 0]
            self.targets = samples()["mnist_labels"][ORDER][: len(self.data)]

    section = README.read_text().split("## Guard your own classifier")[1].split("\n## ")[0]
    fitting_code, loading_code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torchvision.datasets, "MNIST", FewDigits)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        exec(fitting_code, names)
    Image.fromarray(TEST[0, 0].numpy()).save("photo.png")
    with pytest.raises(ValueError, match="takes at least 299 good images"):  # a promise of 1 % on a hundred images
        exec(loading_code, names)
    exec(loading_code.replace("0.01", "0.04"), names)
    saved = json.loads(Path("guards/forest/manifest.json").read_text())
    assert saved["thresholds"] == {"surprise": {"fpr": 0.04, "confidence": 0.95}}


def test_the_metric_in_the_guide_for_contributors_works(lenet, tmp_path, monkeypatch):
    guide = (README.parent / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {"classifier": lenet, "train_data": TRAIN, "test_data": ENOUGH}
    exec(code.replace("steps=8000", "steps=3"), names)
    white = torch.full((1, 28, 28), 255, dtype=torch.uint8)
    assert not Guard.load("my_guard", classifier=lenet).inspect(white).verdicts["ink"].reliable


def test_a_delta_z_that_will_come_to_nothing_is_left_out_after_a_third(lenet, monkeypatch):
    monkeypatch.setattr(fitting, "FEWEST_STEPS_TO_WATCH", 6)
    with pytest.warns(
        UserWarning, match="δz is left out: after a third .* an FPR of 2.5% needs 97.5%. The other metrics go on"
    ):
        guard = Guard.fit(lenet, TRAIN, ENOUGH, metrics=("delta_z", "vae_loss"), steps=6)
    assert list(guard.metrics) == list(guard.thresholds) == ["vae_loss"] and "generator" not in guard.contents.nets
    with pytest.raises(ValueError, match="δz comes to nothing here: .* Choose other metrics, or give it more steps"):
        Guard.fit(lenet, TRAIN, TEST, metrics=("delta_z",), steps=6)


def test_ctrl_c_keeps_what_was_trained_so_far(lenet, tmp_path, monkeypatch):
    draw = fitting.training.batch_indices

    def interrupted_at_the_third(count, batch, seed, step):
        if step == 2 and not list(tmp_path.glob("*/interrupted")):
            next(tmp_path.glob("fit-*")).joinpath("interrupted").touch()
            signal.raise_signal(signal.SIGINT)
        steps.append(step)
        return draw(count, batch, seed, step)

    steps = []
    monkeypatch.setattr(fitting.training, "batch_indices", interrupted_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        fit(lenet, metrics=["vae_loss"], steps=6, checkpoints=tmp_path)
    fit(lenet, metrics=["vae_loss"], steps=6, checkpoints=tmp_path)
    assert steps == [0, 1, 2, 3, 4, 5]

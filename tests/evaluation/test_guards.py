"""The benchmark of fitted guards: its data, its figures, and the command."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from robust import Guard
from robust.data.examples import samples
from robust.evaluation import guards
from robust.evaluation.tables import as_text


@pytest.fixture(scope="module")
def task():
    """Shapes, and a CNN that has seen them for a moment."""
    train, test = guards.shapes(600, 32, 0), guards.shapes(400, 32, 1)
    torch.manual_seed(0)
    net = guards.trained(guards.small_cnn(3, 32, 6), *train, 150, "train")
    photos = {"photos": guards.photo_patches(60, 32)}
    outliers = {name: images[:60] for name, images in guards.outliers(test[0][:60], photos).items()}
    return guards.Task("CNN on shapes", net, train, test, outliers)


def test_a_guard_is_measured_beside_pytorch_oods_detectors(task, monkeypatch):
    monkeypatch.setattr(guards, "DRAWS", 20)
    monkeypatch.setattr(guards, "STEPS", 60)
    found = guards.measure(task)
    assert found["seconds"] < 20
    ours = found["metrics"]["Surprise"]
    assert ours["accepted"]["noise"] == ours["accepted"]["black"] == 0
    assert found["metrics"][guards.LABELLED]["accepted"]["noise"] == 0
    text = as_text(guards.tables({task.name: found}))
    assert "Surprise" in text and "mean AUROC" in text
    theirs = [row["auroc"] for name, row in found["metrics"].items() if name.startswith(guards.THEIRS)]
    if find_spec("pytorch_ood"):
        assert "pytorch-ood: deep KNN" in text and len(theirs) > 10 and ours["auroc"] > max(theirs)


def test_the_promise_of_the_default_rule_is_kept(task, monkeypatch):
    monkeypatch.setattr(guards, "DRAWN", 200)
    guard = Guard.fit(task.classifier, task.train[0], task.test[0][:200])
    again = guards.redrawn(guard, task.test[0])
    assert again["drawn"] == 200 and again["kept"] > 0.9 and 0 < again["fpr"] < guards.FPR


def test_shapes_and_patches_are_the_same_each_time():
    assert torch.equal(guards.shapes(12, 32, 3)[0], guards.shapes(12, 32, 3)[0])
    assert guards.photo_patches(10, 32).shape == (10, 3, 32, 32)
    assert set(guards.shapes(200, 32, 0)[1].tolist()) == set(range(6))


# --- What every fit does -------------------------------------------------------------------------------------------


def dark(images):
    return torch.stack([images.flatten(1).mean(1), 0.3 - images.flatten(1).mean(1)], 1)


def test_a_fit_says_what_it_accepts_of_nonsense_and_warns_where_it_is_blind():
    clothes = samples()["fashion_images"]
    with pytest.warns(UserWarning, match="The rule accepts half or more of: .*Upside down"):
        guard = Guard.fit(dark, clothes.roll(1, 3), clothes, metrics=["confidence"])
    found = guard.self_test()
    assert found["upside-down"]["rule"] > 0.9 and set(found["black"]) == {"confidence", "rule"}
    parts = Guard.fit(dark, clothes.roll(1, 3), clothes).self_test()["white"]
    assert {"surprise", "knn", "early_layers", "exposure", "rule"} <= set(parts)
    assert {"noise", "structured-noise", "white", "inverted", "half-contrast", "shuffled", "mnist"} <= found.keys()


def test_training_images_among_the_test_images_are_named():
    train, test = samples()["mnist_images"], samples()["fashion_images"]
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 4))
    mixed = torch.cat([test, train[:1]])
    with pytest.warns(
        UserWarning, match=r"1 of 201 test images are training images, too \(the first is test image 200\)"
    ):
        guard = Guard.fit(net, train, mixed, metrics=["exposure"])
    assert len(guard.reference["exposure"]) == 200
    with pytest.raises(ValueError, match="50 of 250 test images are training images"):
        Guard.fit(net, train, torch.cat([test, train[:50]]), metrics=["exposure"])


def test_large_images_are_guarded_without_the_nets_that_are_made_for_small_ones(task):
    train, test = guards.shapes(300, 96, 0), guards.shapes(400, 96, 1)
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 6))
    net = guards.trained(net, *train, 40, "train")
    with pytest.warns(UserWarning, match="VAE loss: left out, since the nets are made for images of at most 64 pixels"):
        guard = Guard.fit(net, train[0], test[0], metrics=["vae_loss", "surprise"])
    assert list(guard.metrics) == ["surprise"]
    assert not guard.inspect(torch.rand(3, 96, 96)).reliable
    with pytest.raises(ValueError, match="δz: left out.*Ask for surprise, or shrink"):
        Guard.fit(net, train[0], test[0], metrics=["delta_z"])


def test_a_retrained_classifier_keeps_the_nets(task, tmp_path):
    train, test = task.train[0], task.test[0]
    guard = Guard.fit(task.classifier, train, test, metrics=["vae_loss", "surprise"], steps=3)
    torch.manual_seed(1)
    retrained = guards.trained(guards.small_cnn(3, 32, 6), *task.train, 60, "train anew")
    again = guard.refit(retrained, train, test)
    assert np.array_equal(again.reference["vae_loss"], guard.reference["vae_loss"])
    assert not np.array_equal(again.reference["surprise"], guard.reference["surprise"])
    again.save(tmp_path / "again")
    assert (
        Guard.load(tmp_path / "again", classifier=retrained).inspect(test[0]).as_json()
        == again.inspect(test[0]).as_json()
    )
    with pytest.raises(ValueError, match="fitted to a classifier that gives logits, and this one gives probabilities"):
        guard.refit(nn.Sequential(retrained, nn.Softmax(1)), train, test)
    with pytest.raises(ValueError, match="A world's nets were trained beside its own classifier"):
        Guard.load().refit(retrained, train, test)
    with pytest.raises(ValueError, match="knows 6 classes, and this classifier 5"):
        guard.refit(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), train, test)


def test_features_of_a_function_stay_with_the_guard(task, tmp_path):
    def features(images):
        return images.mean((2, 3))

    guard = Guard.fit(task.classifier, task.train[0], task.test[0], metrics=["knn"], features=features)
    again = guard.refit(task.classifier, task.train[0], task.test[0])
    assert np.array_equal(again.reference["knn"], guard.reference["knn"])
    guard.save(tmp_path / "guard")
    with pytest.raises(ValueError, match="features come from a function of yours"):
        Guard.load(tmp_path / "guard", classifier=task.classifier)
    back = Guard.load(tmp_path / "guard", classifier=task.classifier, features=features)
    assert back.inspect(task.test[0][0]).as_json() == guard.inspect(task.test[0][0]).as_json()


def test_any_of_several_metrics_keeps_the_promise_of_one(task):
    guard = Guard.fit(task.classifier, task.train[0], task.test[0], metrics=["energy", "knn", "exposure"])
    fresh = guard.score_table(guards.shapes(1000, 32, 5)[0].float() / 255)
    assert guard.rule.decides == "any" and 0 < 1 - fresh["reliable"].mean() <= 0.05


def test_labels_that_the_classifier_does_not_give_are_told(task):
    images, labels = task.train
    with pytest.warns(UserWarning, match="answers as labelled on .* of the training images only"):
        Guard.fit(task.classifier, images, task.test[0], metrics=["knn"], labels=(labels + 1) % 6)


def test_what_does_not_fit_is_said_before_it_is_scored(task):
    guard = Guard.fit(task.classifier, task.train[0], task.test[0], metrics=["knn"])
    images, labels = task.test[0].float() / 255, task.test[1]
    for given, classes, message in [
        (task.test[0], labels, "Divide these by 255"),
        (255 * images, labels, "floats must lie from 0 to 1"),
        (images[:, :1], labels, "do not fit; the guard was fitted to 3×32×32"),
        (images, labels[:5], "labels must be 400 whole numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            guard.selective_risk(given, classes)
    with pytest.raises(ValueError, match="give a confidence"):
        Guard.fit(task.classifier, task.train[0], task.test[0], by_class=True, confidence=None)


def test_risk_of_what_is_answered(task):
    guard = Guard.fit(task.classifier, task.train[0], task.test[0])
    found = guard.selective_risk(task.test[0].float() / 255, task.test[1])
    assert 0.9 < found.coverage < 1 and found.low <= found.risk <= found.high < 1


def test_every_class_keeps_the_promise_where_it_is_asked_for(task, tmp_path):
    guard = Guard.fit(task.classifier, task.train[0], task.test[0], fpr=0.1, by_class=True)
    refused, predictions = guard.rule.refused(guard.reference), guard.reference["prediction"]
    enough = [label for label in range(6) if (predictions == label).sum() >= 29]
    assert len(enough) >= 4
    assert all(refused[predictions == label].mean() <= 0.1 for label in enough)
    guard.save(tmp_path / "guard")
    back = Guard.load(tmp_path / "guard", classifier=task.classifier)
    image = task.test[0][:1].float() / 255
    verdict = back.inspect_prepared(image)[0].verdicts["surprise"]
    assert verdict == guard.inspect_prepared(image)[0].verdicts["surprise"]
    assert (
        len(
            {
                back.inspect_prepared(task.test[0][i : i + 1].float() / 255)[0].verdicts["surprise"].threshold
                for i in range(12)
            }
        )
        > 1
    )
    assert (back.score_table(image)["reliable"] == [back.inspect_prepared(image)[0].reliable]).all()


def test_answers_as_often_as_the_risk_allows(task):
    guard = Guard.fit(task.classifier, task.train[0], task.test[0][:200])
    images, labels = task.test[0][200:].float() / 255, task.test[1][200:]
    wrong = (guard.score_table(images)["prediction"] != labels.numpy()).mean()
    lenient = guard.with_risk(images, labels, min(1.6 * wrong + 0.05, 0.9))
    assert 0 < lenient.selective_risk(images, labels).coverage <= 1
    with pytest.raises(ValueError, match="give more images|at least"):
        guard.with_risk(images, labels, 0.001)

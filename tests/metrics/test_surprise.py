"""The third metric: evidence, orientation and energy, and what joins them with the VAE loss at one false positive rate."""

import numpy as np
import pytest
import torch
from torch import nn

from robust import Guard
from robust.data.augment import as_others_draw, fit_to_frame
from robust.data.changes import WAYS_UP
from robust.data.examples import samples
from robust.data.outliers import scribbles, spoilt_digits, spoilt_images
from robust.decision.thresholds import refused
from robust.metrics import Evidence, ExcessLoss, Orientation, Surprise, VAELoss, tail_probability


@pytest.fixture(scope="module")
def world():
    return Guard.load()


@pytest.fixture(scope="module")
def guard(world):
    return world


def digits() -> torch.Tensor:
    return samples()["mnist_images"].float() / 255


def test_tail_probabilities_count_who_looks_as_bad():
    reference = np.arange(1, 100)  # 99 good scores
    found = tail_probability(np.array([0, 50, 99, 1000]), reference, "high")
    assert found.tolist() == [1.0, 51 / 100, 2 / 100, 1 / 100]
    assert tail_probability(np.array([1, 0]), reference, "low").tolist() == [2 / 100, 1 / 100]


def test_surprise_is_the_same_when_the_parts_are_rounded_otherwise(guard, world):
    """As they are in a batch of another size: most for a test image, which its own reference score equals."""
    metric = guard.metrics["surprise"]
    scores = {name: world.reference[name][:1000].astype(np.float64) for name in metric.parts}
    for change in (1 - 1e-7, 1 + 1e-7):
        otherwise = {name: column * change for name, column in scores.items()}
        assert (metric.combine(otherwise) == metric.combine(scores)).mean() > 0.99


def test_surprise_is_the_default_rule_and_keeps_one_false_positive_rate(guard, world):
    assert guard.rule.decides == "surprise"
    alarms = refused(world.reference["surprise"], guard.thresholds["surprise"], "high")
    assert alarms.mean() == pytest.approx(0.05, abs=1e-3)


def test_surprise_adds_up_what_its_parts_say(guard):
    images = digits()[::20]
    predictions = guard.probabilities(images).argmax(1)
    metric = guard.metrics["surprise"]
    tails = metric.tail_probabilities(metric.part_scores(images, predictions))
    assert set(tails) == {"excess_loss", "evidence", "energy", "orientation"}
    weights = {"evidence": 2, "orientation": 0.75}
    weighted = -sum(weights.get(name, 1) * np.log(p) for name, p in tails.items())
    assert metric.scores(images, predictions) == pytest.approx(weighted)


def test_weights_are_kept_and_must_make_sense(guard):
    assert guard.metrics["surprise"].options() == {
        "of": ["excess_loss", "evidence", "energy", "orientation"],
        "weights": {"evidence": 2.0, "orientation": 0.75},
    }
    for weights in ({"evidence": -1.0}, {"evidence": float("nan")}, {"evidence": "2"}, {"knn": 1.0}):
        with pytest.raises(ValueError, match="weights"):
            Surprise([guard.metrics["surprise"].parts["evidence"]], {}, weights)


def test_surprise_refuses_more_letters_and_clothes_than_the_published_metrics(guard, world):
    for name in ("fashion-mnist", "omniglot"):
        accepted = {
            metric: np.mean(~refused(world.scores[name][metric], guard.thresholds[metric], side.refuses))
            for metric, side in guard.metrics.items()
        }
        assert accepted["surprise"] < min(accepted["delta_z"], accepted["vae_loss"])


def test_scribbles_are_refused_and_digits_of_other_hands_mostly_accepted(world):
    guard, randomness = Guard.load(metrics=("surprise",)), torch.Generator().manual_seed(1)
    table = guard.score_table(fit_to_frame(scribbles(100, randomness)))
    assert table["reliable"].mean() < 0.15
    drawn = as_others_draw(digits(), samples()["mnist_labels"], randomness)
    table = guard.score_table(drawn)
    right = table["prediction"] == samples()["mnist_labels"].numpy()
    assert right.mean() > 0.96
    assert table["reliable"][right].mean() > 0.65  # these are changed more than most hands do


def test_evidence_asks_about_the_class_that_was_claimed(world):
    evidence, labels = Evidence(world.contents.nets["verifier"]), samples()["mnist_labels"]
    claimed, wrong = (evidence.scores(digits(), classes) for classes in (labels, (labels + 1) % 10))
    assert np.median(claimed) > 0 > np.median(wrong)


def test_evidence_for_another_class_speaks_against_this_one():
    answers = torch.tensor([[5.0, -5.0, -5.0], [5.0, 4.0, -5.0], [-5.0, -5.0, -5.0]])
    sure, torn, none = Evidence(nn.Flatten()).scores(answers[:, :, None], torch.zeros(3, dtype=torch.int64))
    p = torch.sigmoid(torch.tensor(5.0)).item() ** 3  # yes, no and no
    assert sure == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    assert sure > torn > none


def test_orientation_speaks_for_the_claimed_class_the_right_way_up_alone():
    answers = torch.full((3, 2 * len(WAYS_UP) + 1), -5.0)
    answers[0, 0] = answers[1, 3] = answers[2, -1] = 5.0  # the first class as it is, half turned, and no class at all
    upright, turned, none = Orientation(nn.Flatten()).scores(answers[:, :, None], torch.zeros(3, dtype=torch.int64))
    assert upright == pytest.approx(10 - np.log(8), abs=1e-4)
    assert turned == pytest.approx(-10, abs=1e-2) and none == turned


@pytest.mark.parametrize("way", WAYS_UP[1:])
def test_digits_the_wrong_way_up_are_not_taken_for_others(way):
    """A 0, 1 or 8 stays one; twos and fives, and sixes and nines, become each other."""
    guard = Guard.load(metrics=("surprise",))
    images, labels = digits(), samples()["mnist_labels"]
    lost = torch.isin(labels, torch.tensor([4, 7]))
    table = guard.score_table(way(images)[lost])
    assert table["reliable"].mean() < 0.2
    assert guard.score_table(images[lost])["reliable"].mean() > 0.85


def test_excess_loss_forgives_greys_and_nothing_else(world):
    vae, images = world.contents.nets["vae"], digits()[::20]
    excess, loss = ExcessLoss(vae), VAELoss(vae)
    sharp = images.round()  # black and white cost nothing in themselves
    assert excess.scores(sharp, None) == pytest.approx(loss.scores(sharp), rel=1e-5)
    entropy = -(images.xlogy(images) + (1 - images).xlogy(1 - images)).sum((1, 2, 3))
    assert excess.scores(images, None) == pytest.approx(loss.scores(images) - entropy.numpy(), rel=1e-4)


def test_pseudo_outliers_are_repeatable_images_of_any_kind():
    def made(maker, images, seed):
        labels = torch.arange(len(images)) % 10
        return maker(images, labels, torch.Generator().manual_seed(seed))

    colour = torch.rand(24, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    for maker, images in ((spoilt_digits, digits()[::8]), (spoilt_images, colour)):
        found = made(maker, images, 3)
        assert found.shape == images.shape and found.min() >= 0 and found.max() <= 1
        assert torch.equal(found, made(maker, images, 3))
        assert not torch.equal(found, made(maker, images, 4))

"""The drift watch on real scores: silent on good images, quick when nonsense gets mixed in."""

import numpy as np
import pytest
import torch

from robust import DriftWatch, Guard, Unusable
from robust.data.examples import samples
from robust.metrics import VAELoss
from robust.serving.drift import COLLECTING, DRIFT, REFUSED, STEADY

WORLD = Guard.load()
ROWS = len(WORLD.reference["vae_loss"])
METRICS = ("delta_z", "vae_loss")


def split_guard(seed: int, rule: str = "any", count: int = 1200) -> tuple[Guard, list]:
    """A guard whose reference is a random half of the test set's scores, and reports on `count` images of the other half."""
    order = np.random.default_rng(seed).permutation(ROWS)
    halves = [{name: WORLD.reference[name][part] for name in METRICS} for part in np.split(order, 2)]
    known = Guard.load(metrics=METRICS)
    guard = Guard(known.classifier, list(known.metrics.values()), halves[0], rule=rule)
    return guard, reports(guard, {name: scores[:count] for name, scores in halves[1].items()})


def reports(guard: Guard, scores: dict[str, np.ndarray]) -> list:
    rows = zip(*(scores[name] for name in METRICS))
    return [guard.report(np.full(10, 0.1), dict(zip(METRICS, row)), torch.empty(0)) for row in rows]


def nonsense(guard: Guard, name: str, count: int, seed: int) -> list:
    places = np.random.default_rng(seed).choice(len(WORLD.scores[name]["vae_loss"]), count, replace=False)
    return reports(guard, {metric: WORLD.scores[name][metric][places] for metric in METRICS})


def test_false_alarms_are_no_more_than_promised():
    """With alpha = 0.1, at most one stretch of 100 good images in ten may raise an alarm."""
    windows = alarmed = 0
    for seed in range(4):
        guard, good = split_guard(seed, count=4000)
        watch = DriftWatch(guard, window=100, alpha=0.1)
        states = [watch.add(report).state for report in good]
        stretches = np.array(states[100:]).reshape(-1, 100)
        windows += len(stretches)
        alarmed += int((stretches == DRIFT).any(axis=1).sum())
    print(f"{alarmed} of {windows} stretches with a false alarm at alpha = 0.1")
    assert 0 < alarmed <= 0.1 * windows


@pytest.mark.parametrize(
    ("name", "share", "images"), [("fashion-mnist", 0.5, 60), ("fashion-mnist", 0.2, 200), ("omniglot", 0.3, 200)]
)
def test_an_alarm_soon_after_nonsense_gets_mixed_in(name, share, images):
    delays = []
    for seed in range(5):
        guard, good = split_guard(seed)
        watch = DriftWatch(guard)
        assert [watch.add(report).state for report in good[:400]][-1] == STEADY
        bad = iter(nonsense(guard, name, 500, seed))
        mixed = np.random.default_rng(seed).random(500) < share
        states = [watch.add(next(bad) if is_bad else good[400 + i]).state for i, is_bad in enumerate(mixed)]
        delays.append(states.index(DRIFT) + 1)
    print(f"{share:.0%} of {name}: alarm after {sorted(delays)} images")
    assert np.median(delays) <= images


def test_the_alarm_says_since_when_and_ends_when_the_images_are_good_again():
    guard, good = split_guard(0)
    watch = DriftWatch(guard, window=100)
    for report in good[:100]:
        watch.add(report)
    for report in nonsense(guard, "fashion-mnist", 100, 0):
        watch.add(report)
    alarm = watch.drift
    assert alarm.state == DRIFT and alarm.refused > 0.9 and 100 < alarm.since <= 140
    assert f"Drift since image {alarm.since}" in alarm.sentence
    assert "more are refused than expected and the scores of δz and VAE loss have moved" in alarm.sentence
    for report in good[100:250]:
        watch.add(report)
    assert watch.drift.state == STEADY and watch.drift.since is None


def test_scores_that_move_without_a_refusal_are_seen():
    """Digits all too easy: the refusals stay few, and only the distributions tell."""
    guard, good = split_guard(0)
    easy = sorted(good, key=lambda report: report.vae_loss)[200:400]
    watch = DriftWatch(guard)
    for report in easy:
        watch.add(report)
    assert watch.drift.state == DRIFT
    assert watch.drift.p_values[REFUSED] == 1 and watch.drift.p_values["vae_loss"] < 1e-6


def test_a_covered_lens_is_an_alarm():
    guard, good = split_guard(0)
    watch = DriftWatch(guard)
    for report in good[:200]:
        watch.add(report)
    for _ in range(200):
        watch.add(Unusable("The picture is empty."))
    assert watch.drift.state == DRIFT and watch.drift.refused == 1
    assert watch.scores("vae_loss").size == 0


def test_collects_first_and_keeps_no_more_than_its_window():
    guard, good = split_guard(0)
    watch = DriftWatch(guard, window=50)
    for report in good[:49]:
        assert watch.add(report).state == COLLECTING
    assert "49 of the 50 images" in watch.drift.sentence
    for report in good[49:300]:
        watch.add(report)
    assert watch.drift.seen == 300
    assert np.array_equal(watch.scores("delta_z"), [report.delta_z for report in good[250:300]])


def test_expects_the_share_that_the_rule_refuses_of_the_reference():
    guard, good = split_guard(0, rule="all")
    expected = np.mean(
        (guard.reference["delta_z"] < guard.thresholds["delta_z"])
        & (guard.reference["vae_loss"] > guard.thresholds["vae_loss"])
    )
    assert DriftWatch(guard).add(good[0]).expected == expected


@pytest.mark.parametrize(("argument", "message"), [({"window": 5}, "at least 20"), ({"alpha": 0}, "between 0 and 1")])
def test_impossible_watches_are_refused(argument, message):
    with pytest.raises(ValueError, match=message):
        DriftWatch(WORLD, **argument)


def test_on_the_verdicts_of_a_real_stream():
    guard = Guard(WORLD.contents.nets["lenet"], [VAELoss(WORLD.contents.nets["vae"])], WORLD.reference, rule="vae_loss")
    digits, clothes = (samples()[f"{name}_images"].float() / 255 for name in ("mnist", "fashion"))
    shuffled = digits[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    watch = DriftWatch(guard, window=100)
    states = [watch.add(verdict).state for verdict in guard.stream(torch.cat([shuffled, clothes]), prepared=True)]
    assert states[98:200] == [COLLECTING] + [STEADY] * 101
    assert 200 < states.index(DRIFT) + 1 <= 220

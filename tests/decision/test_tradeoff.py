import numpy as np
import pytest

from robust.decision.rule import Rule
from robust.decision.thresholds import threshold_at_fnr, threshold_at_fpr
from robust.decision.tradeoff import (
    auroc,
    expected_cost,
    guard_code,
    level_at_fnr,
    level_at_fpr,
    roc,
    trade,
)
from robust.models.store import DEFAULT_WORLD, SCORES, read_manifest, read_scores

SETS = read_scores(DEFAULT_WORLD / SCORES)
REFERENCE = SETS[read_manifest(DEFAULT_WORLD)["dataset"]]  # δz of the real world: many exact zeros and infinities
COMPARISON = SETS["fashion-mnist"]
SIDES = {"delta_z": "low", "vae_loss": "high"}
RULES = [*SIDES, "any", "all"]


def rates(rule, thresholds):
    return Rule(thresholds, SIDES, rule).rates(REFERENCE, COMPARISON)


@pytest.mark.parametrize("rule", RULES)
def test_rates_of_every_level_are_what_its_thresholds_give(rule):
    found = trade(Rule({}, SIDES, rule), REFERENCE, COMPARISON)
    for level in np.linspace(0, len(found.fpr) - 1, 25).astype(int):
        thresholds = found.thresholds_at(level)
        assert np.isfinite(list(thresholds.values())).all()
        assert (found.fpr[level], found.fnr[level]) == pytest.approx(rates(rule, thresholds), abs=1e-12)


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("goal", [0.0, 0.01, 0.05, 0.3])
def test_one_metric_finds_the_thresholds_of_the_library(name, goal):
    found = trade(Rule({}, SIDES, name), REFERENCE, COMPARISON)
    at_fpr = found.thresholds_at(level_at_fpr(found, goal))[name]
    assert rates(name, {name: at_fpr}) == rates(name, {name: threshold_at_fpr(REFERENCE[name], goal, SIDES[name])})
    level = level_at_fnr(found, goal)
    lenient = threshold_at_fnr(COMPARISON[name], goal, SIDES[name])
    if level is not None:
        assert found.fnr[level] <= goal
        assert found.fpr[level] == rates(name, {name: lenient})[0]  # no more good digits than needed


@pytest.mark.parametrize("rule", RULES)
def test_a_goal_is_kept_and_one_step_further_would_break_it(rule):
    found = trade(Rule({}, SIDES, rule), REFERENCE, COMPARISON)
    level = level_at_fpr(found, 0.1)
    assert found.fpr[level] <= 0.1
    assert level + 1 == len(found.fpr) or found.fpr[level + 1] > 0.1
    level = level_at_fnr(found, 0.5)
    assert level is None or (found.fnr[level] <= 0.5 and (level == 0 or found.fnr[level - 1] > 0.5))


def test_a_goal_out_of_reach_is_said_so():
    found = trade(Rule({}, {"a": "low"}, "a"), {"a": np.array([1.0, 2.0])}, {"a": np.array([0.0, np.inf])})
    assert level_at_fnr(found, 0.0) is None


def test_a_dearer_miss_makes_the_cheapest_threshold_stricter():
    found = trade(Rule({}, SIDES, "any"), REFERENCE, COMPARISON)
    best = [int(expected_cost(found.fpr, found.fnr, ratio, 0.5).argmin()) for ratio in (0.0, 1.0, 100.0)]
    assert best[0] == 0
    assert best == sorted(best)
    assert expected_cost(0.1, 0.2, 5, 0.25) == pytest.approx(0.75 * 0.1 + 0.25 * 5 * 0.2)


def test_auroc_counts_the_pairs():
    a, b = np.array([0.0, 0, 1, 3, np.inf]), np.array([0.0, 2, np.inf])
    low = np.mean([(y < x) + (y == x) / 2 for x in a for y in b])
    assert auroc(a, b, "low") == pytest.approx(low)
    assert auroc(a, b, "high") == pytest.approx(1 - low)


@pytest.mark.parametrize("name", SIDES)
def test_the_area_under_the_drawn_roc_is_the_auroc(name):
    x, y = roc(trade(Rule({}, SIDES, name), REFERENCE, COMPARISON))
    assert np.all(np.diff(x) >= 0) and np.all(np.diff(y) >= 0)
    assert np.trapezoid(y, x) == pytest.approx(auroc(REFERENCE[name], COMPARISON[name], SIDES[name]), abs=0.02)


@pytest.mark.parametrize("rule", RULES)
def test_the_downloaded_lines_build_the_same_guard(rule):
    thresholds = {"delta_z": 0.30999999999999994, "vae_loss": 132.4574432373047}
    names = {}
    exec(guard_code(thresholds, rule), names)
    assert names["guard"].thresholds.items() >= thresholds.items()
    assert names["guard"].rule.decides == rule

import numpy as np
import pytest

from robust.decision.rule import Rule, rule_name
from robust.decision.thresholds import (
    percentile,
    refused,
    threshold_at_fnr,
    threshold_at_fpr,
)

SCORES = np.random.default_rng(0).normal(size=10_000)
OTHERS = np.random.default_rng(1).normal(1.0, size=10_000)


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("fpr", [0.0, 0.001, 0.05, 0.5])
def test_threshold_at_fpr_refuses_exactly_that_share(side, fpr):
    assert refused(SCORES, threshold_at_fpr(SCORES, fpr, side), side).mean() == pytest.approx(fpr, abs=1e-9)


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("fnr", [0.0, 0.001, 0.05, 0.5])
def test_threshold_at_fnr_accepts_exactly_that_share(side, fnr):
    accepted = ~refused(OTHERS, threshold_at_fnr(OTHERS, fnr, side), side)
    assert accepted.mean() == pytest.approx(fnr, abs=1e-9)


def test_ties_never_cost_more_than_the_fpr_asked_for():
    scores = np.repeat([0.0, 1.0], [600, 9400])  # δz is exactly 0 for many
    assert refused(scores, threshold_at_fpr(scores, 0.05, "low"), "low").mean() == 0.0


def test_infinite_delta_z_is_accepted():
    assert not refused(np.inf, 1e9, "low")


def test_any_refuses_at_least_and_all_at_most_as_much_as_each_metric():
    scores, rule = {"a": SCORES, "b": OTHERS}, Rule({"a": -1.0, "b": 2.0}, {"a": "low", "b": "high"}, "any")
    share = {decides: rule.deciding(decides).refused(scores).mean() for decides in ("a", "b", "any", "all")}
    assert share["all"] < min(share["a"], share["b"]) < max(share["a"], share["b"]) < share["any"]
    assert share["any"] + share["all"] == pytest.approx(share["a"] + share["b"])


def test_rules_go_by_their_old_names_too():
    assert [rule_name(name, ["a"]) for name in ("either", "both", "any", "all", "a")] == [
        "any",
        "all",
        "any",
        "all",
        "a",
    ]
    with pytest.raises(ValueError, match='no rule named "sometimes"; there are a, any, all'):
        rule_name("sometimes", ["a"])


def test_percentile_counts_the_reference_at_or_below():
    assert percentile(2, np.array([1, 2, 3, 4])) == 50.0

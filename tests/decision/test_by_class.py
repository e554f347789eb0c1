import json

import numpy as np
import pytest
from populations import continuous, draws, tied, true_fpr

from robust.decision.by_class import ClassThresholds, class_thresholds
from robust.decision.promise import Promise, promised_threshold

POPULATIONS = {0: continuous(), 1: 3 * continuous() + 2, 2: tied()}  # class 1 looks more suspicious than the others
COUNTS = {0: 300, 1: 200, 2: 500}


def reference_sets(times):
    sets = {label: draws(POPULATIONS[label], COUNTS[label], times, seed=label) for label in POPULATIONS}
    return np.concatenate(list(sets.values()), axis=1), np.repeat(list(COUNTS), list(COUNTS.values()))


def test_each_class_keeps_its_promise_and_one_threshold_of_all_does_not():
    references, predictions = reference_sets(500)
    found = [class_thresholds(scores, predictions, Promise(0.05), "high") for scores in references]
    for label, population in POPULATIONS.items():
        assert np.mean([true_fpr(population, one.thresholds[label]) <= 0.05 for one in found]) >= 0.95
    assert np.mean([true_fpr(POPULATIONS[1], one.of_all) > 0.1 for one in found]) > 0.9


def test_a_class_of_too_few_gets_the_threshold_of_all_and_is_named():
    scores, predictions = np.arange(400.0), np.repeat([0, 7, 3], [300, 58, 42])
    found = class_thresholds(scores, predictions, Promise(0.05), "low", classes=[0, 3, 5, 7])
    assert found.too_few == (3, 5, 7) and list(found.thresholds) == [0]
    assert found.of_all == promised_threshold(scores, 0.05, 0.95, "low")
    below_own, below_all = found.thresholds[0] - 1, found.of_all - 1
    assert below_own < below_all
    asked = np.array([below_own, below_all, below_all, found.of_all, below_all])
    assert found.refused(asked, np.array([0, 0, 3, 3, 99])).tolist() == [True, False, True, False, True]


def test_too_few_images_in_all_are_an_error():
    with pytest.raises(ValueError, match="at least 59 good images; there are 40"):
        class_thresholds(np.arange(40.0), np.zeros(40, dtype=int), Promise(0.05), "high")


def test_scores_need_their_predictions():
    with pytest.raises(ValueError, match="needs its prediction"):
        class_thresholds(np.arange(100.0), np.zeros(99, dtype=int), Promise(0.05), "high")


@pytest.mark.parametrize("side", ["low", "high"])
def test_json_keeps_everything(side):
    scores, predictions = reference_sets(1)
    infinite = np.where(predictions == 0, np.inf, scores[0])
    found = class_thresholds(infinite, predictions, Promise(0.05, 0.9), side, classes=range(4))
    assert np.isinf(found.thresholds[0])
    assert ClassThresholds.from_json(json.loads(json.dumps(found.as_json(), allow_nan=False))) == found

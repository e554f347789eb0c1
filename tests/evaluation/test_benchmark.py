"""What the shipped measurements of the δz search say; `python -m robust benchmark search` makes them again."""

import json

import numpy as np

from robust.evaluation.search import ALGORITHM_2, FILE, OURS, summary, table
from robust.models.store import DEFAULT_WORLD

MEASURED = json.loads((DEFAULT_WORLD / FILE).read_text())


def test_ours_is_nearer_than_the_published_search_on_nearly_all_digits():
    published = np.array(MEASURED["searches"][ALGORITHM_2]["delta_z"])
    ours = np.array(MEASURED["searches"][OURS]["delta_z"][: len(published)])
    farther = ours > published * 1.0001
    assert farther.mean() < 0.1
    assert np.median(ours / published) < 0.75
    assert ["ours is larger", f"{farther.sum()} times"] in [row[:2] for row in summary(MEASURED)]


def test_the_table_compares_every_search_with_the_best_known():
    found = table(MEASURED)
    assert [row[0] for row in found.rows] == list(MEASURED["searches"])
    ours = dict(zip(found.header, next(row for row in found.rows if row[0] == OURS)))
    assert 1.0 <= float(ours["median"]) <= float(ours["95th pct."]) <= float(ours["worst"])

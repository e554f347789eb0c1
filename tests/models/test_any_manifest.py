"""Whatever stands in a manifest, loading the guard ends with a guard or with a sentence: nothing else is raised."""

import json
import shutil

import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pages.components.session import session
from robust import DamagedWorld, Guard
from robust.models.store import WEIGHTS, write_manifest

ANYTHING = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(10**12), 10**12)
    | some.floats(allow_nan=True)
    | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
MANIFEST = json.loads((WEIGHTS / "mnist" / "manifest.json").read_text())


def places(value, path=()) -> list[tuple]:
    """The paths of everything in a manifest."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    copy = tmp_path_factory.mktemp("world") / "mnist"
    shutil.copytree(WEIGHTS / "mnist", copy)
    return copy


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(place=some.sampled_from(places(MANIFEST)), value=ANYTHING)
def test_a_manifest_with_anything_anywhere(folder, place, value):
    changed = json.loads(json.dumps(MANIFEST))
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        (folder / "manifest.json").write_text(json.dumps(MANIFEST))
        write_manifest(folder, changed)  # signed anew, so that not the checksum alone is what refuses it
        guard = Guard.load(folder)
    except (DamagedWorld, ValueError) as error:
        assert str(error)
    else:
        assert guard.metrics


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=some.text(max_size=40) | some.floats().map(str) | some.integers().map(str))
def test_a_link_with_any_text_for_a_threshold(text):
    try:
        value = session._read_number("delta_z", text)
    except ValueError as mistake:
        assert "delta_z=" in str(mistake)
    else:
        assert abs(value) <= session.FARTHEST

"""The bench of digits on paper, on a folder of known pictures and on a few rendered sheets."""

import csv
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from robust import Guard
from robust.cli import main
from robust.data.datasets import data_root
from robust.data.examples import EXAMPLES
from robust.evaluation.inputs import contact_sheet, counted, labelled, measure


@pytest.fixture
def folder(tmp_path):
    rows = [("7.png", "Digit 7", "7", "mine"), ("3.png", "Digit 3", "8", "mine"), ("c.png", "Chicken", "none", "thing")]
    for file, example, _, _ in rows:
        EXAMPLES[example]().save(tmp_path / file)
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    rows.append(("blank.png", "", "1", "mine"))
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "kind"), *((f, label, kind) for f, _, label, kind in rows)])
    return tmp_path


def test_pictures_of_a_folder_are_counted_by_kind_and_failures_shown(folder):
    outcomes = measure(Guard.load(metrics=["surprise"]), labelled(folder))
    counts = counted(outcomes)
    assert counts["mine"]["pictures"] == 3
    assert counts["mine"]["read and accepted"] == 1
    assert counts["mine"]["misread and accepted"] == 1  # a 3 with a wrong label
    assert counts["mine"]["not read"] == 1
    assert counts["thing"] == {**dict.fromkeys(counts["thing"], 0), "pictures": 1}
    assert [outcome.is_good for outcome in outcomes] == [True, False, True, False]
    assert contact_sheet(outcomes).height > 100


def test_the_command_prints_the_table_and_writes_the_contact_sheet(folder, tmp_path, monkeypatch):
    if not (data_root() / "pendigits").exists():
        pytest.skip("the pen strokes are not on this machine")
    monkeypatch.setattr("robust.evaluation.inputs.FILE", str(tmp_path / "measured.json"))
    arguments = ["benchmark", "inputs", "--count", "1", "--folder", str(folder), "--failures", str(tmp_path / "f.png")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "hard shadow" in result.output and "thing" in result.output
    assert json.loads((tmp_path / "measured.json").read_text())["kinds"]["squared"]["pictures"] == 1
    assert Image.open(tmp_path / "f.png").width > 1000

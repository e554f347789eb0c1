"""The commands, run as a user runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from robust.cli import main
from robust.data.examples import EXAMPLES, samples
from robust.evaluation.model_card import model_card

REPOSITORY = Path(__file__).parents[1]

FIELDS = [
    "path",
    "prediction",
    "class",
    "probability",
    "delta_z",
    "vae_loss",
    "surprise",
    "delta_z_reliable",
    "vae_loss_reliable",
    "surprise_reliable",
    "reliable",
]


@pytest.fixture
def folder(tmp_path) -> Path:
    for i, image in enumerate(samples()["mnist_images"][::50]):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{i}.png")
    EXAMPLES["Chicken"]().save(tmp_path / "chicken.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("not meant to be scored")
    return tmp_path


def score(*arguments) -> tuple[int, list[dict]]:
    result = CliRunner().invoke(main, ["score", *map(str, arguments)])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_scores_files_and_folders_in_input_order(folder):
    status, rows = score(folder / "3.png", folder)
    assert status == 1
    names = [Path(row["path"]).name for row in rows]
    assert names == ["3.png", "0.png", "1.png", "2.png", "3.png", "broken.png", "chicken.png"]
    broken = rows[5]
    assert list(broken) == ["path", "error"]
    assert all(list(row) == FIELDS for row in rows if row is not broken)
    assert rows[0] == rows[4]
    assert not rows[6]["reliable"]


def test_exit_status_is_zero_when_every_file_was_scored(folder):
    status, rows = score(folder / "0.png", folder / "chicken.png")
    assert status == 0
    assert len(rows) == 2


def test_a_missing_file_is_one_line_and_the_others_are_scored(folder):
    status, rows = score(folder / "none.png", folder / "1.png")
    assert status == 1
    assert "error" in rows[0]
    assert rows[1]["prediction"] in range(10)


def test_the_default_rule_is_the_guards(folder):
    _, rows = score(folder)
    assert all(row["reliable"] == row["surprise_reliable"] for row in rows if "error" not in row)


def test_rule_decides_reliable(folder):
    _, rows = score(folder, "--rule", "vae_loss")
    assert all(row["reliable"] == row["vae_loss_reliable"] for row in rows if "error" not in row)
    result = CliRunner().invoke(main, ["score", str(folder), "--rule", "perhaps"])
    assert result.exit_code == 2
    assert "no rule named" in result.output


def test_missing_weights_are_one_sentence_not_a_traceback(folder):
    command = [sys.executable, "-m", "robust", "score", str(folder), "--world", "no-such-world"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert result.returncode == 2
    assert "There are no trained nets in no-such-world" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_stage_is_told_before_anything_is_trained(tmp_path):
    result = CliRunner().invoke(main, ["train", "--stage", "lenett", "--out", str(tmp_path / "world")])
    assert result.exit_code == 2
    assert "there is no lenett; there are lenet, verifier" in result.output
    assert not (tmp_path / "world").exists()


def test_report_prints_ours_beside_the_published_figures():
    text = CliRunner().invoke(main, ["report"]).stdout
    markdown = CliRunner().invoke(main, ["report", "--markdown"]).stdout
    for figure in ("34.40%", "3.55%", "0.25%", "121.60", "63.4%"):
        assert figure in text
        assert figure in markdown
    assert markdown.count("### ") == 6 + 6  # the nets and the self-test, and what two benchmarks found


def test_the_figures_in_the_readme_and_the_model_cards_are_todays(tmp_path):
    readme = (REPOSITORY / "README.md").read_text()
    (tmp_path / "README.md").write_text("<!-- report -->\n<!-- /report -->")
    CliRunner().invoke(main, ["report", "--update", str(tmp_path / "README.md")])
    assert (tmp_path / "README.md").read_text() in readme
    assert len(readme.splitlines()) <= 150
    for folder in (REPOSITORY / "weights").iterdir():
        assert (folder / "README.md").read_text() == model_card(folder)


def test_files_of_picture_formats_are_never_skipped_silently(folder):
    EXAMPLES["Digit 7"]().convert("RGB").save(folder / "digit.AVIF")
    (folder / "drawing.svg").write_text("<svg></svg>")
    (folder / "layers.psd").write_bytes(b"8BPS")
    result = CliRunner().invoke(main, ["score", "--metrics", "vae_loss", str(folder)])
    rows = {Path(row["path"]).name: row for row in map(json.loads, result.stdout.splitlines())}
    assert rows["digit.AVIF"]["prediction"] == 7
    assert "SVG" in rows["drawing.svg"]["error"] and "not a picture" in rows["layers.psd"]["error"]
    assert "notes.txt" not in rows and "not those of pictures: 1" in result.stderr

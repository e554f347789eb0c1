"""Scoring whole folders into Parquet, as a user runs it: killed, resumed, with damaged files among the good."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from robust import Guard
from robust.cli import main, print_scores
from robust.data.examples import EXAMPLES, samples
from robust.evaluation import throughput as benchmark
from robust.metrics import Metric
from robust.serving import batch
from robust.serving.source import GuardSource

ROOT = Path(__file__).parents[2]
SOURCE = GuardSource("mnist", metrics=("vae_loss",))


def write_pngs(folder: Path, count: int) -> Path:
    """`count` digits and clothes as PNG, with a damaged file in the middle and a folder in between."""
    folder.mkdir()
    images = torch.cat([samples()["mnist_images"], samples()["fashion_images"]])
    for i in range(count):
        Image.fromarray(images[i % len(images), 0].numpy()).save(folder / f"{i:06d}.png")
    (folder / f"{count // 2:06d}.png").write_bytes(b"not a picture")
    (folder / "000010").mkdir()
    shutil.copy(folder / "000003.png", folder / "000010" / "between.png")
    return folder


def command(folder: Path, out: Path, *more) -> list[str]:
    options = ["--out", out, "--metrics", "vae_loss", "--workers", 1, *more]
    return [sys.executable, "-m", "robust", "score", str(folder), *map(str, options)]


def run(folder: Path, out: Path, *more) -> subprocess.CompletedProcess:
    return subprocess.run(command(folder, out, *more), cwd=ROOT, capture_output=True, text=True)


def wait_for_parts(out: Path, count: int) -> None:
    parts = out.with_name(out.name + ".parts")
    while len(list(parts.glob("*.parquet"))) < count:
        assert not out.exists()
        time.sleep(0.005)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files for ten shards."""
    return write_pngs(tmp_path_factory.mktemp("batch") / "pngs", 20 * batch.SHARD)


@pytest.fixture(scope="module")
def scored(folder) -> tuple[Path, subprocess.CompletedProcess]:
    """The output of an uninterrupted run."""
    out = folder.parent / "scores.parquet"
    return out, run(folder, out)


def test_the_rows_are_those_of_the_json_lines_in_input_order(folder, scored):
    out, finished = scored
    assert finished.returncode == 1, finished.stderr
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 20 * batch.SHARD + 1
    names = [Path(row["path"]).name for row in rows[:13]]
    assert names == [f"{i:06d}.png" for i in range(10)] + ["between.png", "000010.png", "000011.png"]
    assert {**rows[10], "path": rows[3]["path"]} == rows[3]
    few = [row["path"] for row in rows[:12]]
    lines = CliRunner().invoke(main, ["score", *few, "--metrics", "vae_loss"]).stdout.splitlines()
    for row, line in zip(rows, map(json.loads, lines), strict=False):
        assert row.pop("error") is None
        assert list(row) == list(line)
        exact = {key for key, value in line.items() if not isinstance(value, float)}
        assert all(row[key] == (line[key] if key in exact else pytest.approx(line[key], rel=1e-5)) for key in row)
    assert not out.with_name(out.name + ".parts").exists()


def test_unreadable_files_are_rows_and_are_named_at_the_end(folder, scored):
    out, finished = scored
    bad = str(folder / f"{10 * batch.SHARD:06d}.png")
    assert list(batch.unreadable(out)) == [(bad, "This file is not a picture we can read: use PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000 or HEIC.")]  # fmt: skip
    row = next(row for row in pq.read_table(out).to_pylist() if row["path"] == bad)
    assert [key for key, value in row.items() if value is not None and value is not False] == ["path", "error"]
    reliable = pq.read_table(out, columns=["reliable"]).to_pandas() if find_spec("pandas") else None
    assert reliable is None or len(reliable[reliable.reliable]) <= len(reliable)  # no row is without a word
    assert f"{bad}: This file is not a picture" in finished.stderr
    assert "1 of 10,241 files could not be read" in finished.stderr


def test_a_killed_run_goes_on_and_ends_as_if_never_interrupted(folder, scored, tmp_path):
    out = tmp_path / "scores.parquet"
    first = start(folder, out)
    wait_for_parts(out, 1)
    for worker in children(first.pid):
        os.kill(worker, signal.SIGKILL)
    errors = " ".join(first.communicate()[1].split())
    assert first.returncode == 2
    assert "run the same command again" in errors and "Traceback" not in errors

    kept = times_of_parts(out)
    second = start(folder, out)
    wait_for_parts(out, len(kept) + 1)
    workers = children(second.pid)
    second.kill()
    second.communicate()
    assert workers and not out.exists()
    wait_until(lambda: not any(map(alive, workers)))  # a killed run leaves no process behind
    assert kept.items() < times_of_parts(out).items()  # nothing is scored twice

    third = start(folder, out)
    errors = third.communicate()[1]
    assert third.returncode == 1, errors
    assert out.read_bytes() == scored[0].read_bytes()


def test_a_worker_that_dies_while_it_starts_is_an_error_and_no_wait(tmp_path, monkeypatch):
    """As a process does that the kernel kills for its memory."""
    (tmp_path / "deadly.py").write_text(
        "import multiprocessing, os\nif multiprocessing.parent_process():\n    os._exit(9)\n"
    )
    source = GuardSource("mnist", "deadly:classifier")
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    with pytest.raises(batch.BatchError, match="A worker process died"):
        list(batch.in_processes(source, {0: ["a.png"], 1: ["b.png"]}, 2))
    assert time.monotonic() - began < 30


def few(tmp_path: Path, monkeypatch) -> tuple[list[str], Path]:
    """Files for three shards of four, and a run's output."""
    monkeypatch.setattr(batch, "SHARD", 4)
    files = [str(tmp_path / f"{i}.png") for i in range(12)]
    for i, file in enumerate(files):
        Image.fromarray(samples()["mnist_images"][i, 0].numpy()).save(file)
    return files, tmp_path / "scores.parquet"


def test_a_damaged_part_is_scored_again_and_a_users_own_file_stays(tmp_path, monkeypatch):
    files, out = few(tmp_path, monkeypatch)
    guard, parts = SOURCE.load(), tmp_path / "scores.parquet.parts"
    with pytest.raises(KeyboardInterrupt):
        batch.score_to_parquet(SOURCE, guard, files, out, only_one)
    part = next(parts.glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:200] + b"\xff" * 40)
    (parts / "notes.txt").write_text("mine")
    batch.score_to_parquet(SOURCE, guard, files, out, here)
    assert pq.read_table(out)["path"].to_pylist() == files
    assert [file.name for file in parts.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_damaged_description_of_a_run_is_one_sentence(tmp_path, monkeypatch, text):
    files, out = few(tmp_path, monkeypatch)
    (tmp_path / "scores.parquet.parts").mkdir()
    (tmp_path / "scores.parquet.parts" / "run.json").write_text(text)
    with pytest.raises(batch.BatchError, match="not the folder of an unfinished run, or is damaged: delete it"):
        batch.score_to_parquet(SOURCE, SOURCE.load(), files, out, here)


def start(folder: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen(command(folder, out), cwd=ROOT, stderr=subprocess.PIPE, text=True)


def times_of_parts(out: Path) -> dict[Path, int]:
    return {part: part.stat().st_mtime_ns for part in out.with_name(out.name + ".parts").glob("*.parquet")}


def children(process: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process)], capture_output=True, text=True
    ).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if "spawn_main" in line]


def alive(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", str(process)], capture_output=True, text=True).stdout
    return bool(state) and not state.startswith("Z")


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- In this process ---


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard.load(metrics=("vae_loss",))


def here(source, shards):
    guard = source.load()
    for number, files in shards.items():
        yield number, batch.score_files(guard, files)


def only_one(source, shards):
    yield next(here(source, shards))
    raise KeyboardInterrupt


def never(source, shards):
    raise AssertionError("there was nothing to score")


@pytest.fixture
def files(tmp_path) -> list[str]:
    return [str(file) for file in sorted(write_pngs(tmp_path / "pngs", batch.SHARD + 50).glob("*.png"))]


def test_only_the_same_run_goes_on(guard, files, tmp_path):
    out = tmp_path / "scores.parquet"
    with pytest.raises(KeyboardInterrupt):
        batch.score_to_parquet(SOURCE, guard, files, out, only_one)
    others = {"metrics": Guard.load(), "thresholds": guard.with_thresholds({"vae_loss": 1.0}, "any")}
    for word, other in others.items():
        with pytest.raises(batch.BatchError, match=f"scores.parquet.parts is of another run .*{word}"):
            batch.score_to_parquet(SOURCE, other, files, out, never)
    batch.score_to_parquet(SOURCE, guard, files, out, here)
    batch.score_to_parquet(SOURCE, guard, files, out, never)
    Image.fromarray(samples()["mnist_images"][0, 0].numpy()).save(files[7])
    before = out.read_bytes()
    with pytest.raises(batch.BatchError, match="scores.parquet is of another run .other files"):
        batch.score_to_parquet(SOURCE, guard, files, out, never)
    assert out.read_bytes() == before


def test_a_file_that_is_no_output_of_ours_is_left_alone(guard, files, tmp_path):
    out = tmp_path / "scores.parquet"
    out.write_text("my notes")
    with pytest.raises(batch.BatchError, match="another run"):
        batch.score_to_parquet(SOURCE, guard, files, out, never)
    assert out.read_text() == "my notes"


@pytest.mark.parametrize(
    "options, words",
    [
        (["--out", "no/such/folder/scores.parquet"], "a folder that exists"),
        (["--metrics", "loss"], "no metric named loss"),
        (["--metrics", "vae_loss", "--rule", "delta_z"], "no rule named"),
        (["--workers", "2"], "need --out"),
        (["--out", "scores.parquet", "--ray", str(ROOT)], "write --ray at the end"),
    ],
)
def test_wrong_options_are_one_sentence(options, words, files):
    result = CliRunner().invoke(main, ["score", *files[:2], *options])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_folder_without_pictures_is_said(tmp_path):
    result = CliRunner().invoke(main, ["score", str(tmp_path), "--out", str(tmp_path / "scores.parquet")])
    assert result.exit_code == 2 and "no pictures" in result.output


def test_memory_does_not_grow_with_the_number_of_files(files):
    code = """
import resource, sys
from robust import Guard
from robust.serving import batch
from robust.serving.source import GuardSource
guard, files = Guard.load(metrics=("vae_loss",)), sys.argv[1:] * 50
for count in (2, 20):
    for i in range(count):
        batch.score_files(guard, files[i * batch.SHARD : (i + 1) * batch.SHARD])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    result = subprocess.run([sys.executable, "-c", code, *files[:250]], cwd=ROOT, capture_output=True, text=True)
    few, many = map(int, result.stdout.split())  # KiB
    assert many - few < 8 * 1024


def test_the_table_says_what_the_reports_say():
    guard = Guard.load()
    images = torch.cat([samples()["mnist_images"][::40], samples()["fashion_images"][::40]]).float() / 255
    table = guard.score_table(images)
    for i, report in enumerate(guard.inspect_prepared(images)):
        row = {name: column[i] for name, column in table.items()}
        assert {k: None if v == np.inf else v for k, v in row.items()} == report.as_json()


def test_a_guard_of_chosen_metrics(guard):
    report = guard.inspect(EXAMPLES["Chicken"]())
    assert list(report.verdicts) == ["vae_loss"] and not report.reliable
    with pytest.raises(ValueError, match="no metric named loss"):
        Guard.load(metrics=("loss",))


class OutOfReach(Metric):
    name, title, refuses = "distance", "Distance", "low"

    def scores(self, images, predictions):
        return np.full(len(images), np.inf)


def test_json_has_no_infinity(files, capsys):
    guard = Guard(lambda images: torch.zeros(len(images), 10), [OutOfReach()], {"distance": np.ones(10)})
    assert print_scores(guard, iter(files[:1])) == 0
    assert json.loads(capsys.readouterr().out)["distance"] is None
    assert batch.score_files(guard, files[:1]).column("distance").to_pylist() == [np.inf]


def test_the_benchmark_shows_a_speed_for_every_way(monkeypatch):
    monkeypatch.setattr(benchmark, "in_processes", lambda source, shards, workers: here(source, shards))
    monkeypatch.setattr(benchmark, "STAGE_IMAGES", 20)
    speeds, stages = benchmark.tables(benchmark.measure(GuardSource("mnist"), 2 * batch.SHARD, searched=2, ray=False))
    assert {row[0] for row in speeds.rows} >= {"classifier + VAE loss, folder of PNGs", "classifier + VAE loss, arrays"}
    assert all(float(row[3].replace(",", "")) > 0 for row in speeds.rows)
    assert all(float(row[1]) > 0 for row in stages.rows)


# --- Ray ---


def test_without_ray_one_sentence_says_what_to_install(files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = CliRunner().invoke(main, ["score", *files[:2], "--out", str(tmp_path / "scores.parquet"), "--ray"])
    assert result.exit_code == 2
    assert 'pip install "ray[data]"' in " ".join(result.output.split())


def test_on_ray_a_killed_worker_loses_nothing(folder, scored, tmp_path):
    pytest.importorskip("ray")
    out, mark = tmp_path / "scores.parquet", str(tmp_path)
    environment = os.environ | {"ROBUST_TEST": mark}
    process = subprocess.Popen(
        command(folder, out, "--ray"), cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment
    )
    wait_for_parts(out, 1)
    workers = [pid for pid in ray_workers() if f"ROBUST_TEST={mark}" in Path(f"/proc/{pid}/environ").read_text()]
    os.kill(workers[0], signal.SIGKILL)
    errors = process.communicate()[1]
    assert process.returncode == 1, errors
    assert out.read_bytes() == scored[0].read_bytes()


def ray_workers() -> list[int]:
    listing = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if "ray::" in line and "ShardScorer" in line]

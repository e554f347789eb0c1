"""Scores of any number of files, in one Parquet file: in worker processes, and resumable.

The list of files is cut into shards. Each finished shard becomes a file in the folder `OUT.parts`, written under
another name and then renamed, so that it is whole or absent. At the end the shards are joined in input order, `OUT`
appears, and the folder goes. What the run is of (world, rule, thresholds, files) is written in the folder and then in
the metadata of `OUT`: an interrupted run is continued by the same one only.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from robust.guard import Guard
from robust.inputs.decode import UnusableImage
from robust.serving.source import GuardSource

SHARD = 512  # files: seconds of work to lose with δz, a tenth of a second without
JOINED = 64  # shards in one row group of the output
METADATA = b"robust"

Shards = dict[int, list[str]]
Compute = Callable[[GuardSource, Shards], Iterator[tuple[int, pa.Table]]]


class BatchError(RuntimeError):
    """The run cannot begin or go on; the text says why, and what to do."""


# --- One shard -----------------------------------------------------------------------------------------------------


def schema(guard: Guard) -> pa.Schema:
    """The columns of the output. `error` is null where a file could be read, scores where it could not; what could not be
    read is not reliable, either, so that no word of a metric or of the rule is ever missing."""
    scores = {name: pa.float64() for name in guard.metrics}
    words = {f"{name}_reliable": pa.bool_() for name in guard.metrics}
    first = {"path": pa.string(), "prediction": pa.int64(), "class": pa.string(), "probability": pa.float64()}
    return pa.schema(first | scores | words | {"reliable": pa.bool_(), "error": pa.string()})


def score_files(guard: Guard, files: Sequence[str]) -> pa.Table:
    """One row a file, in order, by `schema`: its scores, or the reason why it could not be read."""
    images, errors = [], []
    for file in files:
        try:
            images.append(guard.read(file))
            errors.append(None)
        except UnusableImage as error:
            errors.append(_text(str(error)))
    readable = np.array([error is None for error in errors], dtype=bool)
    scores = guard.score_table(torch.stack(images)) if images else {}
    positions = pa.array(np.cumsum(readable) - 1, mask=~readable)  # of each file among the readable ones

    def column(field: pa.Field) -> pa.Array:
        found = pa.array(scores.get(field.name, []), field.type).take(positions)
        return found.fill_null(False) if pa.types.is_boolean(field.type) else found

    path, *fields, error = schema(guard)
    columns = [pa.array(map(_text, files), path.type), *map(column, fields), pa.array(errors, error.type)]
    return pa.Table.from_arrays(columns, schema=schema(guard))


def _text(name: str) -> str:
    """File names need not be UTF-8, text in Parquet must be: odd bytes are shown as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


# --- Where shards are scored ---------------------------------------------------------------------------------------


def in_processes(source: GuardSource, shards: Shards, workers: int) -> Iterator[tuple[int, pa.Table]]:
    """Each shard's number and scores, as they are finished, from `workers` processes with one torch thread each.

    Each loads the guard from its folder: a guard that is sent to a process which dies while it starts would block the
    sender for ever. Raises BatchError when a process dies.
    """
    context = multiprocessing.get_context("spawn")  # the only safe way beside torch's threads
    pool = ProcessPoolExecutor(min(workers, len(shards)), context, _start_worker, (source,))
    try:
        for finished in as_completed(pool.submit(_score_shard, *shard) for shard in shards.items()):
            yield finished.result()
    except BrokenProcessPool:
        raise BatchError(
            "A worker process died, perhaps for lack of memory. What is finished is kept: run the same command again, "
            "if need be with fewer --workers."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(source: GuardSource) -> None:
    global _guard
    _guard = source.load()
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends workers at once, without a traceback each
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers, which would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _score_shard(number: int, files: list[str]) -> tuple[int, pa.Table]:
    return number, score_files(_guard, files)


# --- The whole run -------------------------------------------------------------------------------------------------


def score_to_parquet(source: GuardSource, guard: Guard, files: list[str], out: Path, compute: Compute) -> None:
    """Score `files` (at least one) into the Parquet file `out`, with a progress bar; go on where a run was interrupted.

    `guard` is the one that `source` loads. Nothing is done when `out` is complete already. Raises BatchError when `out` or `out`.parts is of another run.
    """
    run = describe(guard, files)
    folder = out.with_name(f"{out.name}.parts")
    if out.exists():
        _check_same(run, _run_of(out), out)
    else:
        description = folder / "run.json"
        if folder.is_dir() and any(folder.iterdir()):
            _check_same(run, _described(description), folder)
        folder.mkdir(exist_ok=True)
        _write(description, lambda file: file.write(json.dumps(run, indent=1).encode()))
        parts = [folder / f"{number:08d}.parquet" for number in range(-(-len(files) // SHARD))]
        _score_missing(source, files, parts, compute)
        _write(out, lambda file: _join(parts, file, schema(guard).with_metadata({METADATA: json.dumps(run)})))
    _clear(folder)


def _described(description: Path) -> dict:
    """What the folder of an unfinished run is of. Raises BatchError where it is none, or is damaged."""
    try:
        found = json.loads(description.read_bytes())
        if isinstance(found, dict):
            return found
    except (OSError, ValueError):
        pass
    raise BatchError(
        f"{description.parent} is not the folder of an unfinished run, or is damaged: delete it, or choose another --out."
    )


def _clear(folder: Path) -> None:
    """Remove what a run put into its folder, and the folder if nothing else is in it."""
    for file in [*folder.glob("????????.parquet"), *folder.glob("*.tmp"), folder / "run.json"]:
        file.unlink(missing_ok=True)
    with suppress(OSError):  # the user's own files stay
        folder.rmdir()


def _is_whole(part: Path, rows: int) -> bool:
    """Whether the scores of a shard are there, and can be read. One that was damaged is scored again."""
    try:
        return len(pq.ParquetFile(part).read()) == rows
    except (OSError, pa.ArrowException):
        return False


def _score_missing(source: GuardSource, files: list[str], parts: list[Path], compute: Compute) -> None:
    every = {i: files[i * SHARD : (i + 1) * SHARD] for i in range(len(parts))}
    shards = {i: shard for i, shard in every.items() if not _is_whole(parts[i], len(shard))}
    left = sum(map(len, shards.values()))
    with tqdm(total=len(files), initial=len(files) - left, unit=" images") as progress:
        for number, table in compute(source, shards) if shards else ():
            _write(parts[number], lambda file, table=table: pq.write_table(table, file))
            progress.update(len(table))


def _join(parts: list[Path], file: BinaryIO, columns: pa.Schema) -> None:
    with pq.ParquetWriter(file, columns) as writer:
        for start in range(0, len(parts), JOINED):
            # ParquetFile and not read_table, which would take a folder named a=b for a column
            tables = [pq.ParquetFile(part).read() for part in parts[start : start + JOINED]]
            writer.write_table(pa.concat_tables(tables).combine_chunks())


def _write(path: Path, content: Callable[[BinaryIO], object]) -> None:
    """A file that appears whole or not at all."""
    unfinished = path.with_name(f"{path.name}.tmp")
    with open(unfinished, "wb") as file:
        content(file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def describe(guard: Guard, files: list[str]) -> dict:
    """What decides the output of a run. A file counts by its name, size and date of change."""
    digest = hashlib.sha256()
    for file in files:
        try:
            found = os.stat(file)
            state = (found.st_size, found.st_mtime_ns)
        except OSError:
            state = None
        digest.update(os.fsencode(file) + f" {state}\n".encode())
    return {
        "guard": guard.identity,
        "metrics": list(guard.metrics),
        "thresholds": guard.thresholds,
        "rule": guard.rule.decides,
        "files": [len(files), digest.hexdigest()],
        "shard": SHARD,
    }


def _run_of(out: Path) -> dict:
    try:
        return json.loads(pq.read_schema(out).metadata[METADATA])
    except (pa.ArrowInvalid, TypeError, KeyError):  # not Parquet, no metadata, other metadata
        return {}


def _check_same(run: dict, found: dict, place: Path) -> None:
    differing = [name for name in run if run[name] != found.get(name)]
    if differing:
        raise BatchError(
            f"{place} is of another run (other {', '.join(differing)}): delete it, or choose another --out."
        )


def unreadable(out: Path) -> Iterator[tuple[str, str]]:
    """Path and reason of each file that could not be read, from the output of a run."""
    for batch in pq.ParquetFile(out).iter_batches(columns=["path", "error"]):
        unread = batch.filter(batch.column("error").is_valid())
        yield from zip(*(column.to_pylist() for column in unread.columns))

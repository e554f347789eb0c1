"""Where shards are scored, on Ray: on this machine, or on all machines of a cluster."""

import logging
import os
from collections.abc import Iterator

import pyarrow as pa
import torch

from robust.serving.batch import BatchError, Shards, score_files
from robust.serving.cluster import NoCluster, connect
from robust.serving.source import GuardSource


def on_ray(source: GuardSource, shards: Shards, address: str, workers: int | None) -> Iterator[tuple[int, pa.Table]]:
    """Each shard's number and scores, as they are finished, from Ray Data actors with one torch thread each.

    `address` is a cluster's, or "local" for a Ray of this run's own. Every machine must see the files, and the current
    folder, under the same paths, have this package's requirements, and can import the classifier where it is the
    owner's; the guard's nets and this package are sent along.
    `workers` defaults to the number of CPUs. A shard whose worker dies is scored again. Raises BatchError when there
    is no Ray, or none at that address.
    """
    try:
        ray = connect(address, "data")
    except NoCluster as error:
        raise BatchError(str(error)) from None
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # the run reports itself
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # the run has its own
        shared = ray.put(source.load())  # kept here, so that a worker that is started again finds it
        tasks = [{"number": number, "files": files} for number, files in shards.items()]
        scored = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map(
            ShardScorer,
            fn_constructor_args=(shared, os.getcwd()),
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers or int(ray.cluster_resources()["CPU"]), len(tasks))),
        )
        for row in scored.iter_rows():
            yield row["number"], pa.ipc.open_stream(row["table"]).read_all()
    finally:
        ray.shutdown()


class ShardScorer:
    """What one Ray worker does: rows {number, files} to rows {number, table as Arrow IPC bytes}."""

    def __init__(self, guard, folder: str):
        """`guard` is Ray's reference to a Guard."""
        import ray

        self.guard = ray.get(guard)
        os.chdir(folder)  # where paths are relative to
        torch.set_num_threads(1)

    def __call__(self, row: dict) -> dict:
        table = score_files(self.guard, list(row["files"]))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return {"number": row["number"], "table": sink.getvalue().to_pybytes()}

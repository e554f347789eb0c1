"""Rows shared out among threads, each of which has one core to itself.

For nets as small as these, images shared out beat rows shared out: torch's own threads wait for each other after every
layer, and busily, which costs many times as much once another program wants a core. And matrix products may round
otherwise on another number of cores, so that a search ends elsewhere; on one core each, its result is the same for any
number of them.

`torch.set_num_threads` counts for the thread that calls it, but torch also gives the number set last to every thread
that is new to it. So the threads here live as long as the process; all of them start at the first search, and each puts
that number back at once. Only a thread that meets torch for the first time in that very moment may compute on one core:
more slowly, with the same δz.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier, Lock, Thread
from typing import TypeVar

import torch
from torch import Tensor

Found = TypeVar("Found")

PART = 32  # rows at once on one core

_starting, _first = Lock(), Lock()


def _take_one_core() -> None:
    with _starting:
        usual = torch.get_num_threads()  # this thread is new to torch
        torch.set_num_threads(1)
        other = Thread(target=torch.set_num_threads, args=(usual,))
        other.start()
        other.join()


@cache
def _started() -> ThreadPoolExecutor:
    """All threads, running. A call uses as many as torch has cores; a few calls at once need not wait."""
    count = 4 * (os.cpu_count() or 1)
    threads, everybody = ThreadPoolExecutor(count, "one core", _take_one_core), Barrier(count)
    for started in [threads.submit(everybody.wait) for _ in range(count)]:
        started.result()
    return threads


def _threads() -> ThreadPoolExecutor:
    with _first:
        return _started()


def shared_out(work: Callable[..., Found], *columns: Tensor) -> list[Found]:
    """`work(*parts)` for every part, at most PART rows, of `columns` (N, ...), in order, each on one core.

    As many parts at once as the calling thread's `torch.get_num_threads()`. The caller's grad and inference modes do not
    reach `work`, which must not call this itself.
    """
    count, cores = len(columns[0]), torch.get_num_threads()
    share = max(1, -(-count // cores))

    def work_off(*columns: Tensor) -> list[Found]:
        return [work(*parts) for parts in zip(*(column.split(PART) for column in columns))]

    shares = [column.split(share) for column in columns]
    return [found for some in _threads().map(work_off, *shares) for found in some]

"""Whose turn it is: a few visitors' scripts run at a time, the others wait.

Python runs one thread at a time. Where the scripts of a hundred visitors all want to be the one, they spend more time on
taking it from each other than on running; and so does the judge, which must have it again for every step of a search.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

AT_ONCE = 2  # of which one may wait for a file or a lock

turn = Semaphore(AT_ONCE)  # a run begins when it is its turn: with turn: ...


@contextmanager
def pause() -> Iterator[None]:
    """Within a turn, while it waits for another thread: somebody else may run. Never under a lock that others wait for in
    their turn, since this one comes back only when one of them has ended."""
    turn.release()
    try:
        yield
    finally:
        turn.acquire()

"""How fast and how large: what a sender, and a room, may send."""

import threading
import time
from collections import OrderedDict

BODY = 64_000  # bytes; 4000 points take 40,000
SENDER = (1 / 3, 5)  # drawings a second, and at once
ROOM = (40.0, 120)
WAITING = 400  # drawings that may wait to be judged, in all rooms
REMEMBERED = 5000  # senders


class Limit:
    """A bucket of tokens for each name: `rate` come in a second, `burst` fit in."""

    def __init__(self, rate: float, burst: float):
        self.rate, self.burst = rate, burst
        self.lock, self.buckets = threading.Lock(), OrderedDict()

    def allows(self, name: str, now: float | None = None) -> bool:
        """Takes a token where there is one."""
        now = time.monotonic() if now is None else now
        with self.lock:
            tokens, last = self.buckets.pop(name, (self.burst, now))
            tokens = min(self.burst, tokens + (now - last) * self.rate)
            self.buckets[name] = (tokens - 1 if tokens >= 1 else tokens, now)
            while len(self.buckets) > REMEMBERED:
                self.buckets.popitem(last=False)
            return tokens >= 1

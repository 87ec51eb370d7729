"""Threads of the HTTP side: what must be answered has its own, whatever pages wait for.

Routes that are plain functions share some forty threads. Where a slow disk or database holds all of
them, health, log-ins and the audit trail still have theirs; what finds none free waits in line,
without holding the event loop.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")

HEALTH: Final = 4
METRICS: Final = 2  # of scrapes, which look at the disk and the job database
BULK: Final = 1  # of orders for many studies: the second waits for the first
PASSWORDS: Final = 4  # two are compared at a time (`identity.passwords`)
PROVIDER: Final = 4  # of OpenID Connect: slow ones hold up nobody who has a password
PIXELS: Final = 6  # of viewers: decoding holds up no page, and at most two decode at a time
PRIORS: Final = 4  # they wait for sources; what they show is decoded
VERDICTS: Final = 2  # each is synced to the disk, and waits for an erasure of its study
UPLOADS: Final = 4  # files that are written: a slow disk holds up no page
REMOTE: Final = 4  # of remote workers: hashes of images, and readings that are written
TRAIL: Final = 4  # a trail writes one line at a time


class Threads:
    """So many threads for one purpose; belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._limiter = CapacityLimiter(most)

    async def run(self, task: Callable[[], T]) -> T:
        """What `task` returns or raises, called in one of the threads."""
        return await to_thread.run_sync(task, limiter=self._limiter)

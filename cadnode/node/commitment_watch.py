"""The worker's look at what archives answered: a delivery whose answer has come goes on at once.

The listener keeps an answer (`node.commitments`), and this thread has the delivery that waits for
it tried now. A delivery of which the study was read again since need not wait for its answer. What
is lost with a process or a job database is found again: the answers are on the disk.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from cadnode.beside import kept_running
from cadnode.log import get_logger
from cadnode.node import commitments, delivery_record
from cadnode.node.commitments import Asked, Key, Transactions
from cadnode.node.delivery_tries import is_superseded
from cadnode.node.job_database import client_of
from cadnode.node.jobs import DeliveryStatus, JobLookup, JobsUnavailable
from cadnode.node.results import Results
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.settings import Settings

LOOK_EVERY_S: Final = 1.0
SLOW_LOOK_EVERY_S: Final = 60.0
_WOKEN_AGAIN_AFTER_S: Final = 60.0
_LOST_AFTER_S: Final = 15.0  # a try notes its successor before it starts it

log = get_logger("worker")

DeliverAgain = Callable[[str, str, str], None]


class CommitmentWatch:
    """Wakes the deliveries of one node that wait for a commitment. One thread uses it."""

    def __init__(self, settings: Settings, deliver_again: DeliverAgain) -> None:
        storage = settings.storage.folder
        self._transactions = Transactions(storage)
        self._results = Results.in_storage(storage)
        self._index = UndeliveredIndex(storage)
        self._deliver_again = deliver_again
        self._jobs = JobLookup(settings.database_url)
        self._client: Any = client_of(settings.database_url)
        self._woken: dict[Key, float] = {}
        commitments.prepare(storage)

    def look(self) -> None:
        """Wake what has its answer. Raises `JobsUnavailable`, `SQLAlchemyError` or `OSError`."""
        for name, at, asked in self._transactions.answered():
            if self._is_settled(asked):
                self._transactions.settle_named(name)
            elif (entry := self._index.find(*asked.key)) is not None:
                self._wake(entry, is_lost=time.time() - at > _LOST_AFTER_S)

    def look_slowly(self) -> None:
        """Wake what a newer result has superseded, and forget old transactions. As `look`."""
        before = time.monotonic() - _WOKEN_AGAIN_AFTER_S
        self._woken = {key: at for key, at in self._woken.items() if at > before}
        for entry in self._index.all():
            is_waiting = entry.status is DeliveryStatus.AWAITING_COMMITMENT
            if is_waiting and is_superseded(self._results, entry.study, entry.content):
                self._wake(entry, is_lost=False)
        self._transactions.forget_old(self._is_open)

    def close(self) -> None:
        """Let go of the database."""
        self._jobs.close()
        self._client.destroy()

    def _wake(self, entry: Undelivered, *, is_lost: bool) -> None:
        now = time.monotonic()
        if now - self._woken.get(entry.key, -_WOKEN_AGAIN_AFTER_S) < _WOKEN_AGAIN_AFTER_S:
            return
        job = self._jobs.find([entry.job] if entry.job else []).get(entry.job)
        if job is not None and job.status == "DELAYED":
            self._client.set_workflow_delay(entry.job, delay_seconds=0.0)
        elif (job is None or not job.is_open) and is_lost:
            self._deliver_again(*entry.key)
        else:
            return  # it is about to run, or to be started
        self._woken[entry.key] = now
        log.info("commitment_taken_up", study=entry.study, destination=entry.destination)

    def _is_settled(self, asked: Asked) -> bool:
        folder = self._results.of_content(asked.study, asked.content)
        last = delivery_record.last_tries(folder).get(asked.destination)
        return not folder.is_dir() or (last is not None and last.status.is_settled)

    def _is_open(self, asked: Asked) -> bool:
        return not self._is_settled(asked)


@contextmanager
def running(
    settings: Settings, deliver_again: DeliverAgain, is_usable: Callable[[], bool]
) -> Iterator[None]:
    """Within the block answers are taken up, in a thread, where any archive is asked."""
    if not any(destination.commit for destination in settings.destinations):
        yield
        return
    with kept_running(partial(_run, settings, deliver_again, is_usable), "commitments"):
        yield


def _run(
    settings: Settings,
    deliver_again: DeliverAgain,
    is_usable: Callable[[], bool],
    end: threading.Event,
) -> None:
    watch: CommitmentWatch | None = None
    slow_at = 0.0
    while not end.wait(LOOK_EVERY_S):
        if not is_usable():
            continue
        try:
            watch = watch or CommitmentWatch(settings, deliver_again)
            watch.look()
            if time.monotonic() >= slow_at:
                slow_at = time.monotonic() + SLOW_LOOK_EVERY_S
                watch.look_slowly()
        except (JobsUnavailable, SQLAlchemyError, OSError) as error:
            log.warning("commitments_not_looked_at", error=error)
        except Exception as error:
            # A thread's loop: the answers stay on the disk, the next look may succeed.
            log.error("commitments_not_looked_at", error=error)
    if watch is not None:
        watch.close()

"""Several workers on one job database: each holds a lease, and takes over from those that are gone.

| what happens                            | what follows                                          |
|-----------------------------------------|-------------------------------------------------------|
| a worker dies, or its machine           | its lease stands still; after `SILENT_S` another      |
|                                         | worker ends it, and has its jobs run                  |
| it is started again before              | its earlier life's lease ends, its jobs run at once   |
| it is stopped                           | its lease ends, or where a job runs on, stands still  |
|                                         | once the process has ended                            |
| it hangs (`node.heartbeat`)             | it does not prolong its lease: as if it had died      |
| it was paused, and goes on              | its lease is another's: it ends itself before it      |
|                                         | writes or sends anything                              |
| the database is away                    | nobody takes over; a step waits before it writes      |

A worker judges others by what it has seen itself, by its own clock, without a gap: clocks of
machines may differ, and a database that was away makes nobody look dead. What a worker does that
has lost its lease is worth nothing to the job database either: DBOS takes a checkpoint only from
the execution that owns the job. With SQLite there is one worker, and no lease.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from dbos import DBOS
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from cadnode.errors import CadnodeError
from cadnode.log import get_logger
from cadnode.node import job_database
from cadnode.node.heartbeat import Pulse
from cadnode.node.lease_table import Lease, LeaseHolder, LeaseTable, is_missing
from cadnode.node.poison import Casualties
from cadnode.node.workflow import JOBS_VERSION
from cadnode.settings import Settings

EVERY_S: Final = 2.0
SILENT_S: Final = 30.0
CONFIRMED_S: Final = 10.0  # for so long after it was prolonged, a lease is certainly held
_ROUND_WITHIN_S: Final = 20.0  # a round of the lease's thread, by the limits of its connection
EXIT_CODE: Final = 75  # EX_TEMPFAIL: to be started again
WITHOUT_LEASE: Final = "worker"  # the executor of a single worker, and of versions without leases

log = get_logger("worker")


class LeaseUnconfirmed(CadnodeError):
    """The job database does not say whether this worker still has its jobs: nothing is written."""


class Neighbours:
    """Which workers are silent, from one look after the other. Pure: the time is an argument."""

    def __init__(self, silent_s: float, longest_gap_s: float) -> None:
        self._silent_s = silent_s
        self._longest_gap_s = longest_gap_s
        self._looked_at: float | None = None
        self._seen: dict[str, tuple[int, float]] = {}  # executor: beats, and since when

    def look(self, leases: Sequence[Lease], now: float) -> list[Lease]:
        """Those of these leases that stood still all the time, looked at without a gap."""
        if self._looked_at is not None and now - self._looked_at > self._longest_gap_s:
            self._seen = {}  # the database was away, or this process did not run
        self._looked_at = now
        seen: dict[str, tuple[int, float]] = {}
        for lease in leases:
            beats, since = self._seen.get(lease.executor, (-1, now))
            seen[lease.executor] = (lease.beats, since if beats == lease.beats else now)
        self._seen = seen
        return [one for one in leases if now - seen[one.executor][1] > self._silent_s]


def _now() -> float:
    """Seconds that also pass while the machine sleeps, where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class WorkerLease:
    """The lease of this process's worker on a PostgreSQL job database. Threads share it.

    `casualties` gives the notes of the worker in a slot (`node.poison`).
    """

    def __init__(
        self,
        table: LeaseTable,
        slot: str,
        jobs_version: str,
        pulse: Pulse,
        casualties: Callable[[str], Casualties],
    ) -> None:
        self.executor = f"{slot}.{secrets.token_hex(4)}"
        self._table, self._slot, self._pulse = table, slot, pulse
        self._casualties = casualties
        pid = os.getpid()
        self._holder = LeaseHolder(self.executor, slot, socket.gethostname(), pid, jobs_version)
        self._neighbours = Neighbours(SILENT_S, SILENT_S / 2)
        self._held_at = float("-inf")
        self._is_first = False
        self._is_released = False
        self._takes_over = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_away = False

    def take(self) -> None:
        """Hold the lease from now on. Raises `SQLAlchemyError`; it may be tried again."""
        began = _now()
        self._table.make()
        self._table.take(self._holder)
        self._held_at = began
        self._is_first = self._table.all()[0].executor == self.executor
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
            self._thread.start()

    @property
    def is_first(self) -> bool:
        """Whether this worker came before all others that live: what one of them does is its."""
        return self._is_first and _now() - self._held_at < CONFIRMED_S

    def take_over(self) -> None:
        """From now on have jobs run that a worker left: the jobs run in this process."""
        self._takes_over.set()

    def confirm(self, within_s: float = float("inf")) -> None:
        """Return when the lease is held for certain; ends the process when it is not.

        Raises
        ------
        LeaseUnconfirmed
            The database did not answer within that time, or until this worker stopped.
        """
        deadline = time.monotonic() + within_s
        while _now() - self._held_at > CONFIRMED_S:
            try:
                self._prolong()
            except SQLAlchemyError as error:
                if self._stopping.is_set() or time.monotonic() > deadline:
                    raise LeaseUnconfirmed(type(error).__name__) from None
                time.sleep(0.5)

    def release(self) -> None:
        """Give the lease back; while a job of this process runs on, it is held until its end."""
        self._stopping.set()
        if self._thread is None:  # never taken
            return
        self._thread.join(_ROUND_WITHIN_S)
        try:
            self._is_released = self._table.release(self.executor)
        except SQLAlchemyError as error:
            log.warning("lease_not_released", role="worker", error=error)
        if self._is_released:
            self._held_at = float("-inf")
            self._table.close()
        else:
            threading.Thread(target=self._hold, name="lease-held", daemon=True).start()

    def _hold(self) -> None:
        while True:
            with suppress(SQLAlchemyError):
                self._prolong()
            time.sleep(EVERY_S)

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            try:
                self._prolong()
                if self._takes_over.is_set():
                    self._look_around()
                self._is_away = False
            except (SQLAlchemyError, dbos_error.DBOSException) as error:
                if not self._is_away:
                    log.warning("lease_not_prolonged", role="worker", error=error)
                self._is_away = True

    def _prolong(self) -> None:
        if self._is_released:
            self._end()
        began = _now()
        try:
            held = self._table.beat(self.executor, lives=not self._pulse.beat().stuck)
        except SQLAlchemyError as error:
            if not is_missing(error):
                raise
            held = False
        if not held and not self._is_released:
            log.error("lease_lost", role="worker")
            self._end()
        self._held_at = began

    def _end(self) -> None:
        """End this process at once: another worker does what it had in hand."""
        self._casualties(self._slot).let_go()
        os._exit(EXIT_CODE)

    def _look_around(self) -> None:
        # The jobs first: who has one took its lease before. So without a lease, its owner is gone.
        pending = DBOS.list_workflows(
            status="PENDING", app_version=self._holder.jobs_version, load_input=False,
            load_output=False,
        )  # fmt: skip
        leases = self._table.all()
        self._is_first = bool(leases) and leases[0].executor == self.executor
        for lease in self._neighbours.look(leases, _now()):
            if lease.executor != self.executor and self._table.end(lease):
                log.error("worker_silent", role="worker", reason=lease.slot)
                self._casualties(lease.slot).note_leftover()
                leases.remove(lease)
        living = {lease.executor for lease in leases} | {self.executor}
        left = {job.executor_id for job in pending if job.executor_id} - living
        for executor in sorted(left):
            if executor == WITHOUT_LEASE and self._slot != executor:
                continue  # of a version without leases: the slot's holder knows that it has ended
            # DBOS 3 has no public name for this; resuming a job would not ask whose it is now.
            DBOS._recover_pending_workflows([executor])
            log.warning("jobs_taken_over", role="worker", reason=executor)


class NoLease:
    """What stands for a lease where there is one worker: it has its jobs for certain."""

    executor: Final = WITHOUT_LEASE
    is_first: Final = True

    def take(self) -> None:
        """Nothing is to be taken."""

    def take_over(self) -> None:
        """There is nobody to take over from."""

    def confirm(self, within_s: float = float("inf")) -> None:
        """It is certain."""

    def release(self) -> None:
        """Nothing was taken."""


AnyLease = WorkerLease | NoLease


def lease_of(settings: Settings, slot: str, pulse: Pulse) -> AnyLease:
    """The lease of the worker in this slot, not taken yet."""
    if not job_database.is_shared(settings.database_url):
        return NoLease()

    def casualties(of_slot: str) -> Casualties:
        return Casualties(settings.storage.folder, of_slot)

    return WorkerLease(LeaseTable(settings.database_url), slot, JOBS_VERSION, pulse, casualties)

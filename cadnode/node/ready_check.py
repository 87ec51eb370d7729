"""Can the node take a study now, and read it: the checks of `GET /readyz`."""

import threading
import time
from collections.abc import Callable
from typing import Final

from cadnode.node import role_status, storage_overview, worker_state
from cadnode.node.health import is_at_work
from cadnode.node.jobs import JobLookup, JobsUnavailable
from cadnode.settings import Settings
from cadnode.web.node import ReadyChecks

GOOD_FOR_S: Final = 2.0  # it needs no token: frequent requests must not load the database


class ReadyCheck:
    """Called for the node's readiness; an answer is good for a moment. Threads may share it."""

    def __init__(
        self,
        settings: Settings,
        progress: JobLookup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, ReadyChecks] | None = None

    def __call__(self) -> ReadyChecks:
        """Which checks pass now."""
        with self._lock:
            now = self._clock()
            if self._last is None or now - self._last[0] > GOOD_FOR_S:
                self._last = (now, self._look())
            return self._last[1]

    def _look(self) -> ReadyChecks:
        storage = self._settings.storage.folder
        worker = role_status.look(storage, "worker")
        listener = role_status.look(storage, "listener")
        return ReadyChecks(
            models=is_at_work("worker", worker, worker_state.read(storage)),
            listener=is_at_work("listener", listener, None) and listener.works,
            jobs=self._jobs_answer(),
            disk=self._disk_has_room(),
        )

    def _jobs_answer(self) -> bool:
        try:
            self._progress.find(["readiness"])  # an identifier that no job has
        except JobsUnavailable:
            return False
        return True

    def _disk_has_room(self) -> bool:
        try:
            disk, _ = storage_overview.disk_now(self._settings)
        except OSError:
            return False
        return disk.has_room and disk.percent < self._settings.retention.high_mark_percent

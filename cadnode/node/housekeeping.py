"""The worker's housekeeping: when is what has had its time removed? A thread, round after round."""

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cadnode.beside import kept_running
from cadnode.log import get_logger
from cadnode.node import delivered, storage_overview
from cadnode.node.job_rows import JobRows
from cadnode.node.jobs import JobLookup, JobsUnavailable
from cadnode.node.listener import open_spool
from cadnode.node.retention import Due, Retention
from cadnode.node.retention_rules import KeptBecause
from cadnode.node.storage_overview import Amount, StorageOverview
from cadnode.node.waiting_outcomes import WaitingOutcomes
from cadnode.settings import Settings

DISK_EVERY_S: Final = 5.0
_RESERVE: Final = "retention.reserve"
_RESERVE_BYTES: Final = 4 << 20
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

log = get_logger("retention")


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Within the block the node keeps its storage folder in order, in a thread of its own."""
    with kept_running(Housekeeping(settings).run, "retention"):
        yield


class Housekeeping:
    """Rounds of removal on one storage folder. One thread uses it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs = JobLookup(settings.database_url)
        self._rows = JobRows(settings.database_url)
        self.retention = Retention(settings, open_spool(settings), self._jobs, self._rows)
        self._stopping = threading.Event()
        # Whatever is reported from now on is meant for the destinations of today.
        delivered.known_since(settings.storage.folder, [d.name for d in settings.destinations])

    def run(self, stopping: threading.Event) -> None:
        """Rounds until `stopping` is set: every `retention.every_s`, and when the disk fills."""
        self._stopping = stopping
        next_at, tried_at = 0.0, -self._settings.retention.every_s
        while not stopping.is_set():
            now = time.monotonic()
            is_filling = now - tried_at >= DISK_EVERY_S and self._is_filling()
            if now >= next_at or is_filling:
                removed = self._try_round()
                next_at = time.monotonic() + self._settings.retention.every_s
                # A full disk of which nothing may go is not searched again and again.
                tried_at = time.monotonic() if removed else next_at
            stopping.wait(0.5)
        self._jobs.close()
        self._rows.close()

    def round(self) -> int:
        """Look, remove what may go, and note what is left; returns how much was removed.

        Raises
        ------
        OSError
            The disk fails.
        """
        storage, kept, removed = self._settings.storage.folder, dict[KeptBecause, Amount](), 0
        with self.retention.alone():
            self.retention.account.refresh()
            is_away = False
            try:
                if self._settings.retention.enabled:
                    for due in self.retention.due(time.time(), may_go=self._remove):
                        if due.kept is not None:
                            kept[due.kept] = kept.get(due.kept, Amount()).plus(due.n_bytes)
                        else:
                            removed += 1
                        if self._stopping.is_set():
                            break
                    self.retention.tidy(time.time())
            except JobsUnavailable:
                is_away = True
            self._settle_outcomes()
            self._reserve()
            storage_overview.write(storage, self._overview(kept, is_away))
        return removed

    def _try_round(self) -> int:
        try:
            return self.round()
        except OSError as error:
            # The disk fails, or is full beyond the reserve: the next round may find it well.
            log.error("retention_failed", error=error)
        except Exception as error:
            # A thread's loop: the node goes on, and so does its housekeeping.
            log.error("retention_failed", error=error, reason="unexpected")
        return 0

    def _remove(self, due: Due) -> bool:
        """Whether it went. One that fails is left for the next round, the others go on."""
        for is_last in (False, True):
            try:
                return self.retention.remove(due)
            except OSError as error:
                if is_last or error.errno not in _FULL or not self._let_go_of_reserve():
                    log.error("removal_failed", study=due.study, error=error)
                    return False
        return False

    def _settle_outcomes(self) -> None:
        """Take over outcomes whose exam has come, and forget those that have waited too long."""
        settled = WaitingOutcomes(self._settings.storage.folder).settle(datetime.now(UTC))
        if settled.n_taken_over:
            log.info("outcomes_taken_over", count=settled.n_taken_over)
        if settled.n_expired:
            log.info("outcomes_expired", count=settled.n_expired)

    def _overview(self, kept: dict[KeptBecause, Amount], is_away: bool) -> StorageOverview:
        account = self.retention.account
        return StorageOverview(
            time.time(),
            Amount(len(account.images), account.images_bytes),
            Amount(len(account.results), account.results_bytes),
            account.jobs_bytes,
            kept,
            is_away,
            account.list_bytes,
            account.priors_bytes,
        )

    def _is_filling(self) -> bool:
        rules = self._settings.retention
        with suppress(OSError):
            return rules.enabled and self.retention.disk().percent >= rules.high_mark_percent
        return False

    @property
    def _reserve_file(self) -> Path:
        return self._settings.storage.folder / _RESERVE

    def _reserve(self) -> None:
        """Hold room for what a removal must note: a disk that is quite full can be cleaned."""
        with suppress(OSError):
            has_room = self.retention.disk().free > 4 * _RESERVE_BYTES
            if has_room and not self._reserve_file.exists():
                self._reserve_file.write_bytes(b"\0" * _RESERVE_BYTES)

    def _let_go_of_reserve(self) -> bool:
        with suppress(OSError):
            self._reserve_file.unlink()
            return True
        return False

"""The list of studies, kept up: what changed on the disk or among the jobs is looked at again.

A pass looks at the time of every study's folders, not at files in them, and then at the state of
those that changed, whose jobs ended, or that are not at their end. The rest have their turn,
a few a pass: whatever was missed is right after a while. A page is read from the list alone.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from cadnode.errors import CadnodeError
from cadnode.exam.patient import Patient
from cadnode.log import get_logger
from cadnode.node.jobs import JobLookup, JobsUnavailable
from cadnode.node.study_index import Studies
from cadnode.node.study_table import Look, StudyTable
from cadnode.phrases import N_
from cadnode.settings import Settings
from cadnode.web.node import Unavailable
from cadnode.web.operating_points import RecentScore
from cadnode.web.queue import StudyFilter, StudyPage, StudyRow
from cadnode.web.study import KEY

_BATCH: Final = 200  # studies, with one question to the job database
_UNSETTLED: Final = 200  # studies that are on their way, in one pass
_SETTLED: Final = 20
_OVERLAP_S: Final = 5.0  # a job's end is written after its time
_QUICK_S: Final = 0.2  # a pass that takes no longer is made before a page is shown
_AT_MOST_S: Final = 0.5
_PAUSE_S: Final = 1.0
_PAUSES: Final = 4.0  # as long as a pass took: the rest of the time is for those who read
RECENT: Final = 500  # studies that an operating point is tried on
_JOBS: Final = ("consider", "process", "answer", "deliver", "fetch")

log = get_logger("web")


class StudyQueue:
    """One node's list of studies. Threads may share it; processes too, each with its own."""

    def __init__(
        self,
        settings: Settings,
        studies: Studies,
        jobs: JobLookup,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._studies = studies
        self._jobs = jobs
        self._clock = clock
        self._table = StudyTable(settings.storage.folder)
        self._lock = threading.Lock()
        self._began_at = 0.0  # the last pass
        self._took_s = 0.0
        self._asked_at: float | None = None  # since then ended jobs are known
        self._is_complete = False
        self._is_behind = False
        self._not_listed: set[str] = set()

    def listed(self, wanted: StudyFilter) -> StudyPage:
        """The studies that a filter lets pass; a small node's as they are at this moment.

        Raises
        ------
        Unavailable
            The list cannot be read.
        """
        is_due = self._clock() - self._began_at >= _PAUSE_S or not self._is_complete
        if is_due and self._took_s <= _QUICK_S and self._lock.acquire(blocking=False):
            try:
                self._pass(_AT_MOST_S)
            finally:
                self._lock.release()
        return self.page(wanted)

    def page(self, wanted: StudyFilter) -> StudyPage:
        """The same from the list as it stands. Raises `Unavailable`."""
        try:
            found = self._table.page(wanted)
        except sqlite3.Error:
            raise Unavailable(
                N_("the list of studies cannot be read"),
                N_(
                    "is the disk full, or `studies.sqlite` in the storage folder somebody "
                    "else's file?"
                ),
            ) from None
        return replace(found, is_complete=self._is_complete)

    def recent_scores(self) -> list[RecentScore]:
        """Scores of the last `RECENT` studies, from the list alone; none while it is not there."""
        try:
            return self._table.recent_scores(RECENT)
        except sqlite3.Error:
            return []

    def refresh(self, within_s: float = float("inf")) -> bool:
        """Make one pass; whether every study has been looked at. What cannot be, waits."""
        with self._lock:
            return self._pass(within_s)

    def keep(self, stopping: threading.Event) -> None:
        """Make passes until told to stop."""
        pause_s = 0.0
        while not stopping.wait(pause_s):
            with self._lock:
                self._pass(float("inf"), stopping.is_set)
            pause_s = max(_PAUSE_S, _PAUSES * self._took_s)

    def _pass(self, within_s: float, stopping: Callable[[], bool] = lambda: False) -> bool:
        started = time.perf_counter()
        self._began_at = self._clock()
        try:
            for batch in self._batches():
                self._enter(batch)
                if stopping() or time.perf_counter() - started > within_s:
                    return self._is_complete
            self._is_complete, self._is_behind = True, False
        except (sqlite3.Error, OSError, CadnodeError, JobsUnavailable) as error:
            if not self._is_behind:
                log.warning("study_list_behind", error=error)
            self._is_behind = True
        finally:
            self._took_s = time.perf_counter() - started
        return self._is_complete

    def _batches(self) -> Iterator[list[str]]:
        """Keys of the studies to look at, the newest first; those that are gone are taken out."""
        changes, known = self._studies.changes(), self._table.seen()
        if gone := known.keys() - changes.keys():
            self._table.remove(gone)
        changed = [key for key, at in changes.items() if known.get(key) != at]
        changed.sort(key=lambda key: -changes[key])
        yield from _portions(changed)
        rest = dict.fromkeys(self._ended())
        rest |= dict.fromkeys(self._table.longest_ago(settled=False, limit=_UNSETTLED))
        rest |= dict.fromkeys(self._table.longest_ago(settled=True, limit=_SETTLED))
        done = {*changed}
        yield from _portions([key for key in rest if key in changes and key not in done])

    def _ended(self) -> list[str]:
        """Keys of the studies that a job was about which ended since the last pass."""
        now = self._clock()
        before, self._asked_at = self._asked_at, now
        if before is None:
            return []
        since = datetime.fromtimestamp(before - _OVERLAP_S, UTC)
        try:
            jobs = self._jobs.ended_since(since, *_JOBS) + self._jobs.failed_since(since, *_JOBS)
        except JobsUnavailable:
            self._asked_at = before
            raise
        return [found.group() for job in jobs if (found := KEY.search(job.identifier))]

    def _enter(self, keys: list[str]) -> None:
        """Enter these studies; one whose files make no sense keeps no other out of the list."""
        try:
            self._look(keys)
        except (LookupError, TypeError, ValueError) as error:
            if len(keys) > 1:
                for key in keys:
                    self._enter([key])
            elif keys[0] not in self._not_listed:
                log.warning("study_not_listed", study=keys[0], error=error)
                self._not_listed.add(keys[0])

    def _look(self, keys: list[str]) -> None:
        """Enter these studies as they are now."""
        seen = {key: self._studies.changed_at(key) for key in keys}
        known = self._table.patients(keys)
        now = self._clock()
        looks = [
            Look(StudyRow(study, self._patient(study.key, study.n_instances, seen, known)),
                 seen[study.key], now)
            for study in self._studies.states_of(keys)
        ]  # fmt: skip
        self._table.put(looks, self._studies.changed_at)

    def _patient(
        self,
        key: str,
        n_instances: int,
        seen: dict[str, float],
        known: dict[str, tuple[float, Patient]],
    ) -> Patient:
        """Whose study it is; its files are opened only after a change, and where there are any."""
        before = known.get(key)
        if before is not None and (before[0] == seen[key] or not n_instances):
            return before[1]
        return self._studies.patient_of(key)


def _portions(keys: Iterable[str]) -> Iterator[list[str]]:
    ordered = list(keys)
    for first in range(0, len(ordered), _BATCH):
        yield ordered[first : first + _BATCH]

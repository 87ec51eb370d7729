"""Studies whose reading failed for good: given up on request, with the reason.

    STORAGE/dropped/<study_key>.json   which content was given up, when, by whom and why

The images stay. The note holds for the attempts that had failed when it was made: with other images
the study is read as every other, and one that is tried again and fails again needs somebody again.
"""

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cadnode.files import write_whole
from cadnode.node import readiness, results
from cadnode.node.header_index import HeaderIndex
from cadnode.node.jobs import Job, JobLookup, JobsUnavailable, ProcessStatus, process_ids
from cadnode.node.poison import Casualties
from cadnode.node.results import Results
from cadnode.receive.spool import Spool
from cadnode.receive.way_log import Passed, WayEntry, WayLog
from cadnode.web.node import Unavailable, jobs_away

FOLDER: Final = "dropped"


@dataclass(frozen=True, slots=True)
class DroppedReading:
    """That a content of a study is not to be read; `at` in seconds since the epoch."""

    content: str
    at: float
    by: str
    why: str

    def holds_for(self, content: str, attempts: Sequence[Job]) -> bool:
        """Whether nothing has come, and nothing was tried, since it was given up."""
        return self.content == content and all(job.updated_at <= self.at for job in attempts)


class DroppedReadings:
    """The notes of one storage folder. Threads and processes may share them."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER

    def of_study(self, study: str) -> DroppedReading | None:
        """What was given up of a study last; None where nothing was."""
        with suppress(OSError, ValueError, TypeError):
            return DroppedReading(**json.loads(self._note_of(study).read_bytes()))
        return None

    def note(self, study: str, one: DroppedReading) -> None:
        """Note that it is given up. Raises `OSError`."""
        write_whole(self._note_of(study), json.dumps(asdict(one)).encode())

    def keep_only(self, studies: Iterable[str]) -> None:
        """Forget studies that are not in the spool any more."""
        known = set(studies)
        for path in self._folder.glob("*.json"):
            if path.stem not in known:
                path.unlink(missing_ok=True)

    def _note_of(self, study: str) -> Path:
        return self._folder / f"{study}.json"


class FailedReadings:
    """The failed readings of one storage folder. Threads and processes may share them."""

    def __init__(self, storage: Path, progress: JobLookup) -> None:
        self._spool = Spool(storage / "spool", min_free_bytes=0)
        self._headers = HeaderIndex(self._spool)
        self._results = Results.in_storage(storage)
        self._casualties = Casualties(storage)
        self._dropped = DroppedReadings(storage)
        self._way = WayLog(storage)
        self._progress = progress

    def drop(self, study: str, by: str, why: str) -> bool:
        """Whether the reading of the study's images had failed for good; now it is given up.

        Raises
        ------
        Unavailable
            The job database does not answer, or the disk is full; nothing was done.
        """
        content, attempts = self._tried(study)
        if not self._is_failed(study, content, attempts):
            return False
        known = self._dropped.of_study(study)
        if known is not None and known.holds_for(content, attempts):
            return False
        now = time.time()
        try:
            self._dropped.note(study, DroppedReading(content, now, by, why))
        except OSError as error:
            raise Unavailable("that could not be noted", "is the disk full?") from error
        self._casualties.forgive(study, content)
        self._way.record(study, WayEntry(now, Passed.DROPPED, by))
        return True

    def has_failed(self, study: str) -> bool:
        """Whether the reading of the study's images has failed for good, given up or not.

        Raises
        ------
        Unavailable
            The job database does not answer.
        """
        return self._is_failed(study, *self._tried(study))

    def _tried(self, study: str) -> tuple[str, list[Job]]:
        """The content that is here, and the attempts to read it."""
        content = readiness.content_of(self._headers.files(study), self._spool.removed(study))
        return content, self._attempts(study, content) if content else []

    def _attempts(self, study: str, content: str) -> list[Job]:
        identifiers = process_ids(study, content)
        try:
            jobs = self._progress.find(identifiers)
        except JobsUnavailable as error:
            raise jobs_away() from error
        return [jobs[one] for one in identifiers if one in jobs]

    def _is_failed(self, study: str, content: str, attempts: Sequence[Job]) -> bool:
        """Whether the last attempt failed, or what it had reported is gone: as `study_state` says.

        What was removed after its delivery, and came again, has not failed.
        """
        if not attempts or attempts[-1].is_open:
            return False
        last, removed = attempts[-1], self._spool.removed(study)
        if results.has_result(self._results.of_content(study, content)):
            return last.has_failed
        was_removed = removed is not None and removed.content == content
        return not was_removed and (last.has_failed or last.output == ProcessStatus.REPORTED)

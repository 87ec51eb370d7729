"""The worker's part in the journal of scores: a line of each exam that it read.

No reading fails for its line. A full disk is waited for, as for a result; any other trouble is
logged, and the line is missing.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cadnode.domain import ExamResult
from cadnode.exam.exam import Exam
from cadnode.log import get_logger
from cadnode.node import results
from cadnode.node.job_database import is_full
from cadnode.quality.entry import ReadingFacts, entry_of
from cadnode.quality.journal import Journal

log = get_logger("worker")


class ScoreJournal:
    """Writes the journal of one storage folder. Threads may share it."""

    def __init__(self, storage: Path) -> None:
        self._journal = Journal(storage)

    def note(
        self,
        exam: Exam,
        result: ExamResult,
        reading: ReadingFacts,
        *,
        is_kept: bool,
    ) -> None:
        """Add the line of an exam.

        With `is_kept` its result is new; otherwise the step was done before, and its line may be
        there. Raises `OSError` where the disk is full.
        """
        try:
            self._journal.add(entry_of(exam, result, reading), unless_there=not is_kept)
        except OSError as error:
            if is_full(error):
                raise
            log.error("score_not_kept", study=reading.study, error=error)


def facts_of(
    study: str, content: str, patient: int, read_s: float, images: Sequence[Path], is_again: bool
) -> ReadingFacts:
    """Of a reading that has just ended: when, and how long it took."""
    arrived_at = max((results.changed_at(path) for path in images), default=None)
    waited = None if arrived_at is None or is_again else max(0.0, time.time() - arrived_at)
    return ReadingFacts(
        study=study,
        content=content,
        patient=patient,
        read_at=datetime.now(UTC),
        read_s=round(read_s, 2),
        received_to_read_s=None if waited is None else round(waited, 1),
        is_again=is_again,
    )

"""Outcomes of exams that have not come yet: kept apart for 90 days, and taken over when one comes.

    STORAGE/quality/waiting.jsonl    lines as those of `outcomes.jsonl`

A line names a study by its key alone. Nothing waits of a study that was erased here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cadnode.node.study_gate import StudyGate
from cadnode.quality.outcomes import BreastOutcome, KeptOutcomes, OutcomeBook

NAME: Final = "waiting.jsonl"
WAITS: Final = timedelta(days=90)
"""An exam that is sent later than its outcome comes from an archive that is being moved."""


@dataclass(frozen=True, slots=True)
class SettledOutcomes:
    """Breasts whose exam has come, and those that have waited for too long."""

    n_taken_over: int = 0
    n_expired: int = 0


class WaitingOutcomes:
    """The outcomes of one storage folder that wait. Threads and processes may share it."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._book = OutcomeBook(storage, NAME)
        self._gate = StudyGate(storage)

    def n_exams(self) -> int:
        """How many exams' outcomes wait. Raises `OSError`."""
        return len({study for study, _ in self._book.all()})

    def may_wait(self, study: str) -> bool:
        """Whether an outcome of a study that is not here may wait: it was not erased."""
        return not self._gate.is_study_erased(study)

    def weigh(self, found: Sequence[BreastOutcome]) -> KeptOutcomes:
        """What `add` would come to. Raises `OSError`."""
        return self._book.weigh(found)[0]

    def add(self, found: Iterable[BreastOutcome]) -> KeptOutcomes:
        """Have outcomes wait; what waits already does not wait longer. Raises `OSError`."""
        return self._book.add([one for one in found if self.may_wait(one.study)])

    def settle(self, now: datetime) -> SettledOutcomes:
        """Take over what has come, and forget what has waited for too long. Raises `OSError`.

        What an import has stated since of the same breast stands.
        """
        waiting = self._book.all()
        by_study: dict[str, list[BreastOutcome]] = {}
        for (study, _), one in waiting.items():
            by_study.setdefault(study, []).append(one)
        n_taken = n_expired = 0
        for study, found in by_study.items():
            if self._has_come(study):
                n_taken += self._take_over(study, found)
            elif all(now - one.imported_at > WAITS for one in found):
                self._book.remove(study)
                n_expired += len(found)
        return SettledOutcomes(n_taken, n_expired)

    def _has_come(self, study: str) -> bool:
        places = ("spool/studies", "results")
        return any((self._storage / place / study).is_dir() for place in places)

    def _take_over(self, study: str, found: Sequence[BreastOutcome]) -> int:
        book = OutcomeBook(self._storage)
        with self._gate.passing(study):  # no erasure takes its lines out meanwhile
            if not self._has_come(study):
                return 0
            standing = book.all()
            newer = [
                one
                for one in found
                if one.key not in standing or standing[one.key].imported_at < one.imported_at
            ]
            book.add(newer)
            self._book.remove(study)
        return len(newer)

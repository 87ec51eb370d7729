"""What became of the women whose exams were read: outcomes of breasts, kept on the disk.

    STORAGE/quality/outcomes.jsonl   lines of `BreastOutcome`
    STORAGE/quality/outcomes.lock    held while lines are added or removed

Lines name studies by their keys, and no patient; of the day on which the outcome was known only the
month is kept. They are added and never changed: of several lines of one breast the last one stands.
An erasure takes them out. A line that a crash cut is passed over.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from cadnode.domain import Laterality
from cadnode.files import locked, make_folder
from cadnode.quality import lines
from cadnode.quality.journal import FOLDER

NAME: Final = "outcomes.jsonl"
_LOCK: Final = "outcomes.lock"


class KnownOutcome(StrEnum):
    """What became of a breast, by pathology or follow-up."""

    MALIGNANT = "malignant"
    BENIGN = "benign"
    NORMAL = "normal"


class OutcomeBasis(StrEnum):
    """What an outcome rests on."""

    PATHOLOGY = "pathology"
    """Also follow-up: what the hospital states as the truth."""
    ASSESSMENT = "assessment"
    """A BI-RADS category alone: what a radiologist thought, not what was found."""


@dataclass(frozen=True, slots=True)
class BreastOutcome:
    """What became of one breast after one exam.

    Parameters
    ----------
    study
        The study's key.
    known_in
        Month in which it was known, `YYYY-MM`.
    birads
        The category of the exam's report, such as "4A"; "" where it is not stated.
    source
        Whence it came: `csv`, `hl7` or `fhir`.
    """

    study: str
    laterality: Laterality
    outcome: KnownOutcome
    basis: OutcomeBasis
    known_in: str
    imported_at: datetime = field(compare=False)
    birads: str = ""
    source: str = field(default="csv", compare=False)
    schema_version: int = 1

    @property
    def key(self) -> tuple[str, Laterality]:
        """The study and the breast."""
        return self.study, self.laterality

    def months_after(self, read: datetime | date) -> int:
        """Whole months from the month of a reading to that of the outcome."""
        year, month = map(int, self.known_in.split("-"))
        return 12 * (year - read.year) + month - read.month


@dataclass(frozen=True, slots=True)
class KeptOutcomes:
    """How many breasts' outcomes an import added, corrected, and found as they were."""

    new: int
    corrected: int
    unchanged: int


_LINE: Final = TypeAdapter(BreastOutcome)


class OutcomeBook:
    """The outcomes in one file of a storage folder. Threads and processes may share it."""

    def __init__(self, storage: Path, name: str = NAME) -> None:
        self.folder = storage / FOLDER
        self._path = self.folder / name

    def all(self) -> dict[tuple[str, Laterality], BreastOutcome]:
        """What stands of each breast. Raises `OSError` where the file cannot be read."""
        return {one.key: one for one in lines.read(self._path, _LINE)}

    def of_study(self, study: str) -> tuple[BreastOutcome, ...]:
        """What stands of a study's breasts."""
        return tuple(one for (of, _), one in self.all().items() if of == study)

    def weigh(self, found: Iterable[BreastOutcome]) -> tuple[KeptOutcomes, list[BreastOutcome]]:
        """What an import would come to, and the lines that it would add."""
        standing, added = self.all(), dict[tuple[str, Laterality], BreastOutcome]()
        last = {one.key: one for one in found}
        n_new = n_corrected = 0
        for key, one in last.items():
            if standing.get(key) == one:
                continue
            n_new += key not in standing
            n_corrected += key in standing
            added[key] = one
        return KeptOutcomes(n_new, n_corrected, len(last) - len(added)), list(added.values())

    def add(self, found: Sequence[BreastOutcome]) -> KeptOutcomes:
        """Keep outcomes, durably; what stands already is not written again. Raises `OSError`."""
        make_folder(self.folder)
        with self._locked():
            kept, added = self.weigh(found)
            if not added:
                return kept
            lines.add(self._path, b"".join(_LINE.dump_json(one) + b"\n" for one in added))
        return kept

    def has(self, study: str) -> bool:
        """Whether there is a line of that study, damaged or not. Raises `OSError`."""
        return self._path.exists() and study.encode() in self._path.read_bytes()

    def remove(self, study: str) -> int:
        """Number of lines of a study that were taken out. Raises `OSError`."""
        if not self.has(study):
            return 0
        with self._locked():
            held = self._path.read_bytes().splitlines(keepends=True)
            left = [line for line in held if study.encode() not in line]
            lines.keep(self._path, left)
        return len(held) - len(left)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.folder / _LOCK, mode=0o640):
            yield

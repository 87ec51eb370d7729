"""The journal's exams in rows: one row a scanner and system, as long as the same models read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cadnode.domain import Outcome, ViewPosition
from cadnode.exam.scanner import Scanner
from cadnode.log import hashed
from cadnode.quality.entry import JournalEntry, JournalSystem
from cadnode.quality.exam_column import ExamColumn, ExamScores

MOST_SCANNERS: Final = 32
"""Of more, those are followed that were seen last: labels of metrics stay few."""


@dataclass(slots=True)
class ScoreRow:
    """The exams of one scanner by one system since its models are the same, in order.

    A new version of a model or another operating point begins a row, and so does an accepted
    change (`restart`). A version that brings calibrations of single scanners, and is the same
    otherwise, begins the rows of those scanners alone. Where one version reads some exams with and
    some without, as after an update of the scanner's software, the row goes on and shows what that
    changed.
    """

    system: str
    exams: ExamColumn = field(default_factory=ExamColumn)
    versions: dict[str, str] = field(default_factory=dict)
    threshold: float | None = None
    specificity: float | None = None
    patients: set[tuple[str, int]] = field(default_factory=set)
    _scores_as: dict[str, str] = field(default_factory=dict)
    _calibration: str = ""
    _thresholds: dict[tuple[tuple[str, ...], str], float] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """`name@version` of all that took part."""
        return tuple(f"{name}@{version}" for name, version in sorted(self.versions.items()))

    def restart(self) -> None:
        """Begin again with the next exam."""
        self.exams.clear()
        self.patients.clear()
        self.versions.clear()
        self._scores_as.clear()
        self._thresholds.clear()
        self.threshold = self.specificity = None

    def add(
        self, entry: JournalEntry, scored: JournalSystem | None, whose: tuple[str, int]
    ) -> None:
        """One more exam; `scored` None: the system took part and found nothing to score.

        `whose` are its study and patient, as one object for all rows: there are many.

        One that the same models read again, as after a late image, is no further woman: it counts
        once, as it was read first.
        """
        if self._changes(entry, scored):
            self.restart()
        if whose in self.patients:
            return
        self.patients.add(whose)
        if scored is None:
            self.exams.append(ExamScores(entry.read_at, None, False))
            return
        self.versions |= dict(_name_and_version(model) for model in scored.models)
        self._scores_as |= _by_name(scored)
        self._calibration = entry.calibration
        if scored.threshold is not None:
            self.threshold, self.specificity = scored.threshold, scored.specificity
            self._thresholds[scored.models, entry.calibration] = scored.threshold
        self.exams.append(
            ExamScores(entry.read_at, scored.score, scored.is_called, _by_position(scored))
        )

    def _changes(self, entry: JournalEntry, scored: JournalSystem | None) -> bool:
        if scored is None:
            return False
        read_by = dict(_name_and_version(model) for model in scored.models)
        now = _by_name(scored)
        changed = [name for name, one in read_by.items() if self.versions.get(name, one) != one]
        scores_alike = all(
            now.get(name) and now[name] == self._scores_as.get(name) for name in changed
        )
        is_new = bool(changed) and not (scores_alike and entry.calibration == self._calibration)
        before = self._thresholds.get((scored.models, entry.calibration))
        return is_new or (None not in (before, scored.threshold) and before != scored.threshold)


@dataclass(slots=True)
class ScannerRows:
    """What one scanner acquired.

    `software` has (since when, version) of each change, the first first; `n_exams` counts readings.
    """

    scanner: Scanner
    first_seen: datetime
    last_seen: datetime
    n_exams: int = 0
    n_not_read: int = 0
    software: list[tuple[datetime, str]] = field(default_factory=list)
    rows: dict[str, ScoreRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A change of a scanner's scores that somebody accepted: from then on a new baseline counts."""

    scanner: str
    at: datetime
    by: str
    why: str = ""


def key_of(scanner: Scanner) -> str:
    """16 hex digits that stand for a machine, whatever its software."""
    parts = (scanner.manufacturer, scanner.model, scanner.station, scanner.serial)
    return hashed("\0".join(parts))


class RowBook:
    """The rows of each scanner, to which readings and accepted changes are added."""

    def __init__(self) -> None:
        self._found: dict[str, ScannerRows] = {}
        self.newest = datetime.min.replace(tzinfo=UTC)
        """When the newest of its readings was made."""

    def add(self, entries: Iterable[JournalEntry], accepted: Iterable[Accepted] = ()) -> None:
        """Further readings, in their order, and changes that were accepted meanwhile."""
        waiting = sorted(accepted, key=lambda one: one.at, reverse=True)
        for entry in entries:
            while waiting and waiting[-1].at <= entry.read_at:
                _restart(self._found, waiting.pop().scanner)
            _add(self._found, entry)
            self.newest = max(self.newest, entry.read_at)
        for one in reversed(waiting):
            _restart(self._found, one.scanner)

    def rows(self) -> dict[str, ScannerRows]:
        """The rows of the scanners that are followed, by their keys."""
        followed = sorted(self._found.items(), key=lambda item: item[1].last_seen)
        return dict(followed[-MOST_SCANNERS:])


def rows_of(
    entries: Iterable[JournalEntry], accepted: Iterable[Accepted] = ()
) -> dict[str, ScannerRows]:
    """The rows of each scanner, by its key; entries are in the order of reading."""
    book = RowBook()
    book.add(entries, accepted)
    return book.rows()


def _add(found: dict[str, ScannerRows], entry: JournalEntry) -> None:
    key = key_of(entry.scanner)
    rows = found.get(key)
    if rows is None:
        rows = found[key] = ScannerRows(entry.scanner, entry.read_at, entry.read_at)
    rows.scanner, rows.last_seen = entry.scanner, entry.read_at
    rows.n_exams += 1
    if not rows.software or rows.software[-1][1] != entry.scanner.software:
        rows.software.append((entry.read_at, entry.scanner.software))
    if entry.outcome is Outcome.NOT_READ:
        rows.n_not_read += 1
        return
    scored = {one.system: one for one in entry.systems}
    whose = (entry.study, entry.patient)
    for system in dict.fromkeys((*scored, *entry.active)):
        row = rows.rows.setdefault(system, ScoreRow(system))
        row.add(entry, scored.get(system), whose)


def _restart(found: dict[str, ScannerRows], scanner: str) -> None:
    if (rows := found.get(scanner)) is not None:
        for row in rows.rows.values():
            row.restart()


def _by_position(scored: JournalSystem) -> tuple[tuple[ViewPosition, float], ...]:
    by_view: dict[ViewPosition, list[float]] = {}
    for one in scored.views:
        by_view.setdefault(one.view, []).append(one.score)
    return tuple((view, sum(found) / len(found)) for view, found in by_view.items())


def _by_name(scored: JournalSystem) -> dict[str, str]:
    """What each model scores as, where the line has it."""
    names = (_name_and_version(model)[0] for model in scored.models)
    return dict(zip(names, scored.scores_as, strict=False))


def _name_and_version(model: str) -> tuple[str, str]:
    name, _, version = model.partition("@")
    return name, version

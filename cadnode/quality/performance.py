"""How the readings of a node compare with what became of the women: figures with intervals.

A case is an exam: the last reading of a study. It is positive where an outcome of one of its
breasts is malignant, negative where each breast that was scored, by whatever system, has an outcome
and none is malignant. The recall rate is of all readings, whether or not their outcome is known.

What pathology knows is not what there is: women who were not recalled have none, unless they are
followed up. Sensitivity is then too high and specificity too low (verification bias; Begg and
Greenes 1983, Biometrics 39:207). PPV suffers, too, where readers decide about recall: of the exams
that were called here, those that readers let pass have no outcome.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cadnode.domain import Laterality, Outcome
from cadnode.exam.scanner import Scanner
from cadnode.quality.entry import JournalEntry
from cadnode.quality.grouping import Grouping
from cadnode.quality.outcomes import BreastOutcome, KnownOutcome, OutcomeBasis

if TYPE_CHECKING:
    from cadnode.statistics.auc import Auc
    from cadnode.statistics.binary import Share

FEWEST: Final = 10
"""Cases below which no share or AUC is shown: the 95 % interval of 9 of 10 is 0.60 to 0.98."""
FOLLOWED_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class ReadExam:
    """The last reading of one exam by one system, and what became of the woman.

    Parameters
    ----------
    month
        Of the reading, `YYYY-MM` (UTC).
    score, is_called
        The exam's score in [0, 1], and whether it reached the operating point of that day.
    has_cancer
        None where that is not known.
    months_followed
        Between the first reading and the earliest outcome of a breast.
    by_assessment
        Whether an outcome rests on a BI-RADS category alone.
    """

    study: str
    scanner: Scanner
    month: str
    models: tuple[str, ...]
    score: float
    is_called: bool
    has_cancer: bool | None
    months_followed: int = 0
    by_assessment: bool = False

    def value(self, grouping: Grouping) -> str:
        """Which group it is in."""
        if grouping is Grouping.MONTH:
            return self.month
        if grouping is Grouping.VENDOR:
            return self.scanner.vendor or "not stated"
        return named(self.scanner)


@dataclass(frozen=True, slots=True)
class Performance:
    """The figures of one group of readings.

    Parameters
    ----------
    group
        Such as a month; "" of all readings.
    n_read, recall
        Exams read, and the share of them that was called.
    n_pos, n_neg
        Exams with and without cancer, as far as that is known.
    auc, sensitivity, specificity, ppv
        None where there are fewer than `FEWEST` cases; `suppressed` names them. PPV is the share
        with cancer of the called exams whose outcome is known.
    n_followed, n_by_assessment
        Negatives that were followed for a year at least; outcomes by a BI-RADS category alone.
    """

    group: str
    n_read: int
    recall: "Share | None"
    n_pos: int
    n_neg: int
    auc: "Auc | None"
    sensitivity: "Share | None"
    specificity: "Share | None"
    ppv: "Share | None"
    n_followed: int
    n_by_assessment: int

    @property
    def suppressed(self) -> tuple[str, ...]:
        """Figures that are not shown, as there are too few cases."""
        shares = (self.recall, self.auc, self.sensitivity, self.specificity, self.ppv)
        names = ("recall", "auc", "sensitivity", "specificity", "ppv")
        return tuple(name for name, found in zip(names, shares, strict=True) if found is None)

    def as_dict(self) -> dict[str, Any]:
        """As written into JSON."""
        shares = {
            "recall": self.recall,
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "ppv": self.ppv,
        }
        return {
            "group": self.group,
            "n_read": self.n_read,
            "n_pos": self.n_pos,
            "n_neg": self.n_neg,
            "auc": None if self.auc is None else self.auc.as_dict() | {"method": self.auc.method},
            **{name: None if s is None else s.as_dict() for name, s in shares.items()},
            "negatives_followed_12_months": self.n_followed,
            "by_birads_alone": self.n_by_assessment,
            "suppressed": list(self.suppressed),
        }


@dataclass(frozen=True, slots=True)
class SystemPerformance:
    """The figures of one system: of all its readings, and stratified."""

    system: str
    whole: Performance
    by: Mapping[Grouping, tuple[Performance, ...]]

    def as_dict(self) -> dict[str, Any]:
        """As written into JSON."""
        strata = {f"by_{key.value}": [one.as_dict() for one in self.by[key]] for key in self.by}
        return {"system": self.system, "all": self.whole.as_dict()} | strata


def named(scanner: Scanner) -> str:
    """Such as "hologic SELENIA DIMENSIONS, MG2, AWS:1.11"; "not stated" of one without a name."""
    model = " ".join(filter(None, (scanner.vendor, scanner.model)))
    return ", ".join(filter(None, (model, scanner.station, scanner.software))) or "not stated"


def read_exams(
    entries: Iterable[JournalEntry],
    outcomes: Mapping[tuple[str, Laterality], BreastOutcome],
    system: str,
) -> list[ReadExam]:
    """The readings by a system, each study once, with what is known of them."""
    return by_system(entries, outcomes).get(system, [])


def by_system(
    entries: Iterable[JournalEntry],
    outcomes: Mapping[tuple[str, Laterality], BreastOutcome],
) -> dict[str, list[ReadExam]]:
    """The same of every system that took part in a reading, in the order in which they appear.

    Entries are in the order of reading, and none is held.
    """
    book = ReadBook(outcomes)
    for entry in entries:
        book.add(entry)
    return book.exams()


class ReadBook:
    """The last reading of each study by each system; readings are added in their order.

    A study that holds exams of several patients is left out: an outcome does not say whose it is.
    """

    def __init__(self, outcomes: Mapping[tuple[str, Laterality], BreastOutcome]) -> None:
        self._outcomes = outcomes
        self._found: dict[str, dict[str, ReadExam]] = {}
        self._first: dict[str, datetime] = {}
        self._several: set[str] = set()

    def add(self, entry: JournalEntry) -> None:
        """One more reading."""
        study = entry.study
        begun = self._first.setdefault(study, entry.read_at)
        if entry.patient > 1:
            self._several.add(study)
        for exams in self._found.values():  # the last reading stands, by whichever systems
            exams.pop(study, None)
        sides = ((study, side) for side in Laterality)
        known = [one for side in sides if (one := self._outcomes.get(side)) is not None]
        for system in _took_part(entry):
            self._found.setdefault(system, {})[study] = _joined(entry, known, system, begun)

    def exams(self) -> dict[str, list[ReadExam]]:
        """The exams of every system, in the order in which systems appeared."""
        return {
            system: [exam for study, exam in exams.items() if study not in self._several]
            for system, exams in self._found.items()
        }

    def performances(self) -> tuple[SystemPerformance, ...]:
        """The figures of every system that read an exam."""
        return tuple(
            SystemPerformance(
                system,
                performance(exams),
                {grouping: tuple(grouped(exams, grouping)) for grouping in Grouping},
            )
            for system, exams in self.exams().items()
            if exams
        )


def _took_part(entry: JournalEntry) -> Iterable[str]:
    """The systems with a score, and those that looked and found nothing to score."""
    active = () if entry.outcome is Outcome.NOT_READ else entry.active
    return dict.fromkeys((*(one.system for one in entry.systems), *active))


def _joined(
    entry: JournalEntry, known: Sequence[BreastOutcome], system: str, first_read: datetime
) -> ReadExam:
    """What a system came to: score 0, and not called, where it found nothing to score."""
    read = entry.of(system)
    cancer = any(one.outcome is KnownOutcome.MALIGNANT for one in known)
    scored = {breast.laterality for one in entry.systems for breast in one.breasts}
    is_whole = (scored or {*Laterality}) <= {one.laterality for one in known}
    return ReadExam(
        study=entry.study,
        scanner=entry.scanner,
        month=f"{entry.read_at:%Y-%m}",
        models=read.models if read is not None else (),
        score=read.score if read is not None else 0.0,
        is_called=read is not None and read.is_called,
        has_cancer=True if cancer else (False if is_whole else None),
        months_followed=min((one.months_after(first_read) for one in known), default=0),
        by_assessment=any(one.basis is OutcomeBasis.ASSESSMENT for one in known),
    )


def performance(exams: Sequence[ReadExam], group: str = "") -> Performance:
    """The figures of some readings."""
    from cadnode.statistics import (
        auc,  # SciPy takes a second, and those who only show start without
    )

    known = [exam for exam in exams if exam.has_cancer is not None]
    pos = [exam for exam in known if exam.has_cancer]
    neg = [exam for exam in known if not exam.has_cancer]
    called = [exam for exam in known if exam.is_called]
    enough = min(len(pos), len(neg)) >= FEWEST
    return Performance(
        group=group,
        n_read=len(exams),
        recall=_share(sum(exam.is_called for exam in exams), len(exams)),
        n_pos=len(pos),
        n_neg=len(neg),
        auc=auc.delong([bool(e.has_cancer) for e in known], [e.score for e in known])
        if enough
        else None,
        sensitivity=_share(sum(exam.is_called for exam in pos), len(pos)),
        specificity=_share(sum(not exam.is_called for exam in neg), len(neg)),
        ppv=_share(sum(bool(exam.has_cancer) for exam in called), len(called)),
        n_followed=sum(exam.months_followed >= FOLLOWED_MONTHS for exam in neg),
        n_by_assessment=sum(exam.by_assessment for exam in known),
    )


def grouped(exams: Sequence[ReadExam], grouping: Grouping) -> list[Performance]:
    """The figures of each group, in the order of their names."""
    groups: dict[str, list[ReadExam]] = defaultdict(list)
    for exam in exams:
        groups[exam.value(grouping)].append(exam)
    return [performance(groups[name], name) for name in sorted(groups)]


def performances(
    entries: Iterable[JournalEntry],
    outcomes: Mapping[tuple[str, Laterality], BreastOutcome],
) -> tuple[SystemPerformance, ...]:
    """The figures of every system that read an exam, in the order in which they appear."""
    book = ReadBook(outcomes)
    for entry in entries:
        book.add(entry)
    return book.performances()


def _share(hits: int, n: int) -> "Share | None":
    from cadnode.statistics import binary

    return binary.wilson(hits, n) if n >= FEWEST else None

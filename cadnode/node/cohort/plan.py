"""Which exams a cohort is made of: those that lie within the window before an outcome."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from typing import Final

from cadnode.exam.attributes import text
from cadnode.exam.partition import stated_by
from cadnode.exam.patient import patient_of
from cadnode.node.cohort.cases import Case, NotCollected
from cadnode.receive.fetch.studies import ListedStudy
from cadnode.receive.identity import is_valid_uid

WINDOW_DAYS: Final = 365

Asked = Callable[[str, str], Sequence[ListedStudy]]
"""The studies that a source lists under a value of a keyword."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which exams are taken: at most `window_days` before the outcome, of these dates of exam."""

    window_days: int = WINDOW_DAYS
    since: date | None = None
    until: date | None = None

    def holds(self, exam: date, case: Case) -> bool:
        """Whether an exam of that date is one of the case's."""
        days = self.window_days if case.window_days is None else case.window_days
        return (
            0 <= case.days_before(exam) <= days
            and (self.since is None or self.since <= exam)
            and (self.until is None or exam <= self.until)
        )


@dataclass(slots=True)
class PlannedExam:
    """An exam to be collected, and the cases that speak of it. `n_images`: None where unknown."""

    study_instance_uid: str = field(repr=False)
    source_id: str = field(repr=False)
    n_images: int | None
    cases: list[Case] = field(default_factory=list)


@dataclass(slots=True)
class CohortPlan:
    """The exams in the order of the file, and the lines that lead to none.

    `beyond` are the Study Instance UIDs of exams beyond the limit that was asked for.
    """

    exams: list[PlannedExam] = field(default_factory=list)
    left_out: list[tuple[int, NotCollected]] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list, repr=False)

    @property
    def n_beyond(self) -> int:
        """How many exams lie beyond the limit."""
        return len(self.beyond)


def plan(
    cases: Iterable[Case],
    asked: Asked,
    period: Period,
    limit: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> CohortPlan:
    """The exams of the cases by what a source lists; `tick` after each case.

    What `asked` raises passes through.
    """
    known: dict[tuple[str, str], Sequence[ListedStudy]] = {}
    exams: dict[str, PlannedExam] = {}
    made = CohortPlan()
    for case in cases:
        key = (case.keyword, case.value)
        if key not in known:
            known[key] = asked(*key)
        listed = [one for one in known[key] if _may_be_the_cases(one, case)]
        found = [one for one in listed if _is_her(one, case)]
        reason = _enter(case, found, period, exams)
        if listed and not found and case.keyword != "PatientID":
            reason = NotCollected.ANOTHER_PATIENT
        if reason is not None:
            made.left_out.append((case.line, reason))
        tick()
    made.exams = list(exams.values())
    if limit is not None:
        made.beyond = [one.study_instance_uid for one in made.exams[limit:]]
        made.exams = made.exams[:limit]
    return made


def _enter(
    case: Case, studies: Sequence[ListedStudy], period: Period, exams: dict[str, PlannedExam]
) -> NotCollected | None:
    """Note a case's exams; the reason why it has none."""
    if not studies:
        return NotCollected.UNKNOWN_PATIENT
    dated = [(patient_of(one.header).study_date, one) for one in studies]
    by_date: dict[date, list[ListedStudy]] = defaultdict(list)
    for day, one in dated:
        if day is not None and period.holds(day, case):
            by_date[day].append(one)
    if _are_of_several(one for studies_of_day in by_date.values() for one in studies_of_day):
        return NotCollected.AMBIGUOUS
    for day in sorted(by_date):
        for one in sorted(by_date[day], key=lambda one: one.study_instance_uid):
            uid = one.study_instance_uid
            planned = exams.setdefault(uid, PlannedExam(uid, one.source_id, one.n_images))
            planned.cases.append(case)
    if by_date:
        return None
    undated = all(day is None for day, _ in dated)
    return NotCollected.EXAM_WITHOUT_DATE if undated else NotCollected.NO_EXAM_IN_WINDOW


def _are_of_several(studies: Iterable[ListedStudy]) -> bool:
    """Whether what is listed under one identifier cannot be one woman's: it was given out twice."""
    stated = {stated_by(one.header) for one in studies}
    return any(one.contradicts(other) for one, other in combinations(stated, 2))


def _may_be_the_cases(study: ListedStudy, case: Case) -> bool:
    """Whether a listed study may be meant: sources find more than was asked for."""
    uid = study.study_instance_uid
    if not is_valid_uid(uid) or not study.may_be_mammography:
        return False
    return case.keyword != "StudyInstanceUID" or uid == case.value


def _is_her(study: ListedStudy, case: Case) -> bool:
    """Whether nothing that is listed says that the study is another woman's."""
    stated = text(study.header, "PatientID")
    return not (stated and case.patient_id) or is_same_id(stated, case.patient_id)


def is_same_id(one: str, other: str) -> bool:
    """Whether two Patient IDs are one: without regard to outer and double spaces, and to case."""
    return " ".join(one.split()).upper() == " ".join(other.split()).upper()

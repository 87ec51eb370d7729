"""The outcomes that a cohort is collected by: a line for a woman or exam, a breast, an outcome."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode.quality.outcomes import KnownOutcome

KEYS: Final[Mapping[str, str]] = {
    "study_instance_uid": "StudyInstanceUID",
    "accession_number": "AccessionNumber",
    "patient_id": "PatientID",
}
"""Columns that say whose or which exam, the most specific first, and their DICOM keywords."""

REQUIRED: Final = ("laterality", "outcome", "outcome_date")
_WINDOW: Final = "window_days"
# Archives' wildcards and list separator: a value with one would find other women's exams.
_WILD: Final = re.compile(r"[*?\\]")
_SIDES: Final[Mapping[str, tuple[Laterality, ...]]] = {
    "L": (Laterality.LEFT,),
    "R": (Laterality.RIGHT,),
    "B": (Laterality.LEFT, Laterality.RIGHT),
}
_SYNONYMS: Final = {"negative": KnownOutcome.NORMAL}
_DATES: Final = ("%Y-%m-%d", "%Y%m%d")


class NotCollected(StrEnum):
    """Why a line or an image of the cohort was left out; other codes are those of the reading."""

    NO_KEY = "no_identifier"
    WILDCARD = "identifier_with_wildcard"
    NO_OUTCOME = "no_outcome"
    OUTCOME_UNKNOWN = "outcome_not_understood"
    NO_LATERALITY = "no_laterality"
    LATERALITY_UNKNOWN = "laterality_not_understood"
    NO_DATE = "no_outcome_date"
    DATE_UNKNOWN = "outcome_date_not_understood"
    WINDOW_UNKNOWN = "window_not_understood"
    UNKNOWN_PATIENT = "nothing_under_this_identifier"
    NO_EXAM_IN_WINDOW = "no_exam_in_window"
    EXAM_WITHOUT_DATE = "exam_without_date"
    ANOTHER_PATIENT = "another_patient"
    AMBIGUOUS = "identifier_of_several_patients"
    SEVERAL_PATIENTS = "several_patients_in_one_study"
    OTHER_BREAST = "breast_without_outcome"
    NO_IMAGE = "no_image_of_the_breast"


@dataclass(frozen=True, slots=True)
class Case:
    """A line of the file: whose breasts, what became of them, and when that was known.

    `keyword` and `value` say which exam or woman the source is asked for; `patient_id` is "" where
    the line does not state it. `window_days` is None where the general window holds.
    """

    line: int
    keyword: str
    value: str = field(repr=False)
    patient_id: str = field(repr=False)
    sides: tuple[Laterality, ...]
    outcome: KnownOutcome
    known_on: date = field(repr=False)
    window_days: int | None = None

    def days_before(self, exam: date) -> int:
        """Days from an exam to the outcome; below 0 where the exam came later."""
        return (self.known_on - exam).days


def read_cases(
    rows: Iterable[Mapping[str, str]], name: str
) -> tuple[list[Case], list[tuple[int, NotCollected]]]:
    """The cases of a table's rows, and the lines that are none, each with the reason.

    The first row is line 2. Columns beyond those known are not looked at.

    Raises
    ------
    DataError
        There is no column that identifies an exam or a woman; `name` is the file's.
    """
    cases: list[Case] = []
    left_out: list[tuple[int, NotCollected]] = []
    for line, row in enumerate(rows, 2):
        if not KEYS.keys() & row.keys():
            raise DataError(f"{name} needs one of the columns {', '.join(KEYS)}")
        found = _case(line, {column: text.strip() for column, text in row.items()})
        if isinstance(found, Case):
            cases.append(found)
        else:
            left_out.append((line, found))
    return cases, left_out


def _case(line: int, row: Mapping[str, str]) -> Case | NotCollected:
    column = next((one for one in KEYS if row.get(one)), None)
    if column is None:
        return NotCollected.NO_KEY
    if any(_WILD.search(row.get(one, "")) for one in KEYS):
        return NotCollected.WILDCARD
    outcome = _outcome(row.get("outcome", ""))
    if isinstance(outcome, NotCollected):
        return outcome
    sides = _sides(row.get("laterality", ""), outcome)
    if isinstance(sides, NotCollected):
        return sides
    known_on = _date(row.get("outcome_date", ""))
    if isinstance(known_on, NotCollected):
        return known_on
    days = row.get(_WINDOW, "")
    if days and not (days.isascii() and days.isdigit()):
        return NotCollected.WINDOW_UNKNOWN
    return Case(
        line, KEYS[column], row[column], row.get("patient_id", ""), sides, outcome, known_on,
        int(days) if days else None,
    )  # fmt: skip


def _outcome(text: str) -> KnownOutcome | NotCollected:
    if not text:
        return NotCollected.NO_OUTCOME
    if text.lower() in _SYNONYMS:
        return _SYNONYMS[text.lower()]
    return (
        KnownOutcome(text.lower())
        if text.lower() in tuple(KnownOutcome)
        else NotCollected.OUTCOME_UNKNOWN
    )


def _sides(text: str, outcome: KnownOutcome) -> tuple[Laterality, ...] | NotCollected:
    """A normal outcome without a side is of both breasts; a lesion has a side."""
    if not text:
        return _SIDES["B"] if outcome is KnownOutcome.NORMAL else NotCollected.NO_LATERALITY
    return _SIDES.get(text.upper(), NotCollected.LATERALITY_UNKNOWN)


def _date(text: str) -> date | NotCollected:
    if not text:
        return NotCollected.NO_DATE
    for form in _DATES:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return NotCollected.DATE_UNKNOWN

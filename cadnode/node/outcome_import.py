"""Outcomes as hospitals export them become those that a node keeps (`cadnode outcomes import`).

A line names the exam by its Study Instance UID, or by an accession number that the list of studies
knows. The lines themselves are read as those of a cohort are (`node.cohort.cases`), so that one
file serves both.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cadnode.log import hashed
from cadnode.node import study_table
from cadnode.node.cohort.cases import KEYS, Case, read_cases
from cadnode.node.study_table import StudyTable
from cadnode.quality.outcomes import BreastOutcome, KnownOutcome, OutcomeBasis
from cadnode.receive.identity import is_valid_uid
from cadnode.web.queue import StudyFilter

REQUIRED: Final = ("laterality", "outcome_date")
BIRADS: Final = "birads"
_CATEGORIES: Final = ("0", "1", "2", "3", "4", "4A", "4B", "4C", "5", "6")
_WORST: Final = (KnownOutcome.MALIGNANT, KnownOutcome.BENIGN, KnownOutcome.NORMAL)

StudiesOf = Callable[[str], Sequence["NumberedStudy"]]
"""The studies that have an accession number."""


@dataclass(frozen=True, slots=True)
class NumberedStudy:
    """A study that an accession number was given to: its key, and its PatientID or ""."""

    key: str
    patient_id: str = field(default="", repr=False)


class NotImported(StrEnum):
    """Why a line gives no outcome, beside the reasons of `NotCollected`."""

    NOT_READABLE = "message_or_resource_not_readable"
    STUDY_UNKNOWN = "study_not_known_here"
    PATIENT_ALONE = "patient_id_alone"
    UID_UNKNOWN = "study_uid_not_valid"
    ACCESSION_UNKNOWN = "accession_number_not_found"
    ACCESSION_SHARED = "accession_number_of_several_studies"
    ACCESSION_OF_ANOTHER = "accession_number_of_another_patient"
    ACCESSION_ALONE = "accession_number_without_patient_id"
    CATEGORY_UNKNOWN = "birads_not_understood"
    CATEGORY_IS_NO_OUTCOME = "birads_is_no_outcome"


MEANINGS: Final[Mapping[str, str]] = {
    NotImported.NOT_READABLE: "it cannot be read: odd delimiters, an unknown character set, or a "
    "damaged part",
    NotImported.STUDY_UNKNOWN: "this node has no such study: it never came, or was erased, and "
    "nothing is kept of it",
    NotImported.PATIENT_ALONE: "a woman has many exams: give the Study Instance UID or the "
    "accession number",
    NotImported.UID_UNKNOWN: "the Study Instance UID is none",
    NotImported.ACCESSION_UNKNOWN: "no study in this node's list has this accession number: give "
    "the Study Instance UID",
    NotImported.ACCESSION_SHARED: "several studies have this accession number: give the Study "
    "Instance UID",
    NotImported.ACCESSION_OF_ANOTHER: "the study with this accession number is another woman's: "
    "give the Study Instance UID",
    NotImported.ACCESSION_ALONE: "a laboratory has accession numbers of its own: the subject must "
    "be there with the PatientID, or the Study Instance UID",
    NotImported.CATEGORY_UNKNOWN: "the BI-RADS category is none of 0 to 6",
    NotImported.CATEGORY_IS_NO_OUTCOME: "BI-RADS 0, 3, 4 and 5 are no outcome: give pathology or "
    "follow-up",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WrongLine:
    """A line that gives no outcome: its number in the file, and why, as a code."""

    line: int
    code: str

    @property
    def meaning(self) -> str:
        """The reason for people."""
        return MEANINGS.get(self.code, self.code.replace("_", " "))


def outcomes_of(
    rows: Iterable[Mapping[str, str]],
    name: str,
    studies_of: StudiesOf,
    at: datetime,
    source: str = "csv",
    *,
    needs_patient: bool = False,
    is_known: Callable[[str], bool] = lambda _study: True,
) -> tuple[list[BreastOutcome], list[WrongLine]]:
    """The outcomes of a table's rows, and the lines that give none. The first row is line 2.

    Of a study (by its key) that is not known nothing is kept: its patient may have been erased.

    A PatientID that a line states has to be that of the study with its accession number. With
    `needs_patient` an accession number alone names no exam.

    Of several lines on one breast the worst outcome counts: a benign biopsy does not take back a
    cancer that another found.

    Raises
    ------
    DataError
        No column names an exam; `name` is the file's.
    """
    facts: dict[int, tuple[OutcomeBasis, str]] = {}
    wrong: list[WrongLine] = []
    kept: list[Mapping[str, str]] = []
    for line, row in enumerate(rows, 2):
        filled, code, basis, category = _with_outcome(row)
        facts[line] = basis, category
        if code is not None:
            wrong.append(WrongLine(line, code.value))
        kept.append(filled)
    known_wrong = {one.line for one in wrong}
    cases, left_out = read_cases(kept, name)
    wrong += [WrongLine(n, why.value) for n, why in left_out if n not in known_wrong]
    found: dict[tuple[str, str], BreastOutcome] = {}
    for case in cases:
        study = None if case.line in known_wrong else _study(case, studies_of, needs_patient)
        if isinstance(study, NotImported):
            wrong.append(WrongLine(case.line, study.value))
        elif study is not None and not is_known(study):
            wrong.append(WrongLine(case.line, NotImported.STUDY_UNKNOWN.value))
        elif study is not None:
            for one in _of_case(case, study, facts[case.line], at, source):
                _keep_worst(found, one)
    return list(found.values()), sorted(wrong, key=lambda one: one.line)


def accession_numbers(storage: Path) -> StudiesOf:
    """Asks the list of studies, which is there while the node has them; () of what it lacks."""
    has_list = (storage / study_table.FILE).is_file()

    def studies_of(accession: str) -> Sequence[NumberedStudy]:
        if not has_list:
            return ()
        try:
            page = StudyTable(storage).page(StudyFilter(text=accession, limit=200))
        except sqlite3.Error:
            return ()
        wanted = accession.strip().casefold()
        return [
            NumberedStudy(row.study.key, row.patient.patient_id)
            for row in page.rows
            if row.patient.accession_number.strip().casefold() == wanted
        ]

    return studies_of


def studies_known(storage: Path, read: Collection[str]) -> Callable[[str], bool]:
    """Says of a study's key whether the node has it: among those that were read, or received."""
    spool = storage / "spool" / "studies"
    return lambda study: study in read or (spool / study).is_dir()


def _with_outcome(
    row: Mapping[str, str],
) -> tuple[Mapping[str, str], NotImported | None, OutcomeBasis, str]:
    """The row with an outcome from its BI-RADS category where it states no other."""
    stated = row.get(BIRADS, "").strip()
    category = stated.upper().removeprefix("BI-RADS").removeprefix("BIRADS").strip(" :")
    if category and category not in _CATEGORIES:
        return row, NotImported.CATEGORY_UNKNOWN, OutcomeBasis.PATHOLOGY, ""
    if row.get("outcome", "").strip() or not category:
        return row, None, OutcomeBasis.PATHOLOGY, category
    if category == "6":  # known, biopsy-proven malignancy
        return {**row, "outcome": "malignant"}, None, OutcomeBasis.PATHOLOGY, category
    if category in ("1", "2"):
        return {**row, "outcome": "normal"}, None, OutcomeBasis.ASSESSMENT, category
    return row, NotImported.CATEGORY_IS_NO_OUTCOME, OutcomeBasis.ASSESSMENT, category


def _study(case: Case, studies_of: StudiesOf, needs_patient: bool) -> str | NotImported:
    """The key of the study that a line is about."""
    if case.keyword == KEYS["study_instance_uid"]:
        return hashed(case.value) if is_valid_uid(case.value) else NotImported.UID_UNKNOWN
    if case.keyword == KEYS["patient_id"]:
        return NotImported.PATIENT_ALONE
    if needs_patient and not case.patient_id:
        return NotImported.ACCESSION_ALONE
    numbered = studies_of(case.value)
    if not numbered:
        return NotImported.ACCESSION_UNKNOWN
    hers = [one for one in numbered if case.patient_id in ("", one.patient_id.strip())]
    if not hers:
        return NotImported.ACCESSION_OF_ANOTHER
    return hers[0].key if len(hers) == 1 else NotImported.ACCESSION_SHARED


def _of_case(
    case: Case, study: str, facts: tuple[OutcomeBasis, str], at: datetime, source: str
) -> list[BreastOutcome]:
    basis, category = facts
    return [
        BreastOutcome(
            study, side, case.outcome, basis, f"{case.known_on:%Y-%m}", at, category, source
        )
        for side in case.sides
    ]


def _keep_worst(found: dict[tuple[str, str], BreastOutcome], one: BreastOutcome) -> None:
    had = found.get(one.key)
    if had is None or _WORST.index(one.outcome) < _WORST.index(had.outcome):
        found[one.key] = one

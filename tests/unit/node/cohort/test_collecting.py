"""One study that cannot be had does not end the collecting of the others."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cadnode.domain import Laterality
from cadnode.errors import CadnodeError
from cadnode.node.cohort import collecting
from cadnode.node.cohort.cases import Case, KnownOutcome
from cadnode.node.cohort.exams import CollectedExam, CollectedImage, remove_others
from cadnode.node.cohort.plan import CohortPlan, PlannedExam
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.receive.fetch.requests import FetchCode
from cadnode.report.pseudonyms.key import PseudonymKey

UIDS = ("1.2.3", "1.2.4", "1.2.5", "1.2.6")


class Failing:
    """An intake, and a source, that fail with a code."""

    def __init__(self, code: FetchCode) -> None:
        self.code, self.discarded = code, list[str]()

    def fetched(self, study_instance_uid: str, source_id: str) -> list[Path]:
        raise FetchFailure(self.code, "an instance is not what it should be", retryable=False)

    def studies(self, keyword: str, value: str) -> Any:
        return self.fetched(value, "")

    def discard(self, study_instance_uid: str) -> None:
        self.discarded.append(study_instance_uid)


def collected(intake: Any, out: Path, n_exams: int = 2) -> collecting.Cohort:
    case = Case(
        2, "PatientID", "P1", "P1", (Laterality.LEFT,), KnownOutcome.BENIGN, date(2020, 5, 1)
    )  # fmt: skip
    exams = [PlannedExam(uid, "", None, [case]) for uid in UIDS[:n_exams]]
    return collecting.collect(CohortPlan(exams), intake, PseudonymKey(b"k" * 32), out)


def test_a_study_with_a_damaged_instance_is_left_out_and_the_next_is_tried(tmp_path: Path) -> None:
    intake = Failing(FetchCode.SOURCE_NOT_UNDERSTOOD)

    cohort = collected(intake, tmp_path / "cohort")

    assert cohort.lines == [(2, "source_not_understood")] * 2
    assert intake.discarded == ["1.2.3", "1.2.4"]


def test_a_source_that_gives_nothing_of_study_after_study_ends_the_run(tmp_path: Path) -> None:
    intake = Failing(FetchCode.SOURCE_NOT_UNDERSTOOD)

    with pytest.raises(CadnodeError, match="run it again"):
        collected(intake, tmp_path / "cohort", 4)
    assert len(intake.discarded) == 3


def test_a_source_that_refuses_us_or_cannot_be_asked_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(CadnodeError, match="run it again"):
        collected(Failing(FetchCode.SOURCE_REFUSED), tmp_path / "cohort")
    ask = collecting.asked(Failing(FetchCode.SOURCE_NOT_UNDERSTOOD))  # type: ignore[arg-type]
    with pytest.raises(CadnodeError, match="run it again"):
        ask("PatientID", "P1")


def test_exams_beyond_the_limit_of_a_run_stay_and_those_of_no_line_go(tmp_path: Path) -> None:
    for exam in ("kept", "beyond", "gone"):
        (tmp_path / "images" / "woman" / exam).mkdir(parents=True)
        (tmp_path / "exams").mkdir(exist_ok=True)
        (tmp_path / "exams" / f"{exam}.json").write_text("{}")
    image = CollectedImage("images/woman/kept/LCC.dcm", "", "L", "CC", None, "", None)
    kept = CollectedExam("kept", "woman", "2020-01-01", ("L",), (image,))

    assert remove_others([kept], tmp_path, ["beyond"]) == 1

    assert {p.stem for p in (tmp_path / "exams").iterdir()} == {"kept", "beyond"}
    assert {p.name for p in (tmp_path / "images/woman").iterdir()} == {"kept", "beyond"}

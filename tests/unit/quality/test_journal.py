"""The journal of scores: one line a reading, whatever a crash leaves, and nothing of a patient."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cadnode.domain import Laterality, Outcome, SkipReason, System, ViewPosition
from cadnode.exam.scanner import Scanner, scanner_of
from cadnode.quality.entry import ReadingFacts, entry_of
from cadnode.quality.journal import Journal
from tests.report_cases import digital_exam, digital_header, result_of

AT = datetime(2026, 11, 30, 23, 59, 30, tzinfo=UTC)
STUDY, OTHER = "a" * 16, "b" * 16
FACTS = ReadingFacts(STUDY, "content", 1, AT, read_s=9.5, received_to_read_s=61.0)
MACHINE = {
    "Manufacturer": "HOLOGIC, Inc.",
    "ManufacturerModelName": "Selenia Dimensions",
    "StationName": "MG2",
    "DeviceSerialNumber": "81414",
    "SoftwareVersions": ["AWS:1.11", "PXCM:1.10"],
}


def test_an_entry_has_what_a_reading_came_to_and_nothing_of_whom() -> None:
    exam = digital_exam(**MACHINE)
    result = result_of(exam, "systems")

    entry = entry_of(exam, result, FACTS)

    assert entry.scanner == Scanner(
        "hologic", "HOLOGIC, INC.", "SELENIA DIMENSIONS", "MG2", "81414", "AWS:1.11; PXCM:1.10"
    )
    assert entry.models == tuple(f"{m.name}@{m.version}" for m in result.models)
    kim = entry.of("kim2018")
    assert kim is not None
    assert kim.score == result.exam_score
    assert [(v.view, v.laterality, v.score) for v in kim.views] == [
        (v.view, v.laterality, v.score) for v in result.views
    ]
    assert {b.laterality: b.score for b in kim.breasts} == {
        b.laterality: b.score for b in result.breasts
    }
    point = result.operating_point
    assert point is not None
    assert [b.is_called for b in kim.breasts] == [b.score >= point for b in result.breasts]
    kang = entry.of(System.KANG2021)
    assert kang is not None
    said = [a for f in result.findings for a in f.assessments if a.system is System.KANG2021]
    assert kang.score == max(one.probability for one in said)
    assert kang.is_called == any(one.suspicious for one in said)
    assert set(entry.active) == {status.system.value for status in result.systems if status.active}
    assert (entry.read_s, entry.received_to_read_s) == (9.5, 61.0)


def test_an_exam_that_was_not_read_is_kept_with_its_reasons() -> None:
    exam = digital_exam()
    entry = entry_of(exam, result_of(exam, "failed"), FACTS)
    assert entry.outcome is Outcome.NOT_READ
    assert entry.systems == ()
    assert sum(n for _, n in entry.skipped) == len(result_of(exam, "failed").skipped)
    assert all(SkipReason(reason) for reason, _ in entry.skipped)


def test_a_line_names_no_patient_and_no_date_of_hers(tmp_path: Path) -> None:
    exam = digital_exam(StudyDate="20240229", AccessionNumber="ACC-9", PatientID="PID-9")
    Journal(tmp_path).add(entry_of(exam, result_of(exam, "findings"), FACTS))
    (path,) = (tmp_path / "quality").glob("scores-*")
    text = path.read_text()
    for secret in (
        "Müller",
        "Änne",
        "M\\u",
        "ACC-9",
        "PID-9",
        "20240229",
        "2024-02",
        *exam.headers,
    ):
        assert secret not in text
    assert exam.study_instance_uid not in text
    assert set(json.loads(text)) == {
        "read_at", "study", "content", "patient", "outcome", "scanner", "models", "systems",
        "skipped", "calibration", "read_s", "received_to_read_s", "is_again", "active",
        "schema_version",
    }  # fmt: skip


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    exam = digital_exam(**MACHINE)
    entry = entry_of(exam, result_of(exam, "systems"), FACTS)
    Journal(tmp_path).add(entry)
    assert Journal(tmp_path).entries() == [entry]
    view = Journal(tmp_path).entries()[0].systems[0].views[0]
    assert isinstance(view.laterality, Laterality)
    assert isinstance(view.view, ViewPosition)


def test_a_step_that_is_repeated_adds_no_second_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    exam = digital_exam()
    entry = entry_of(exam, result_of(exam, "findings"), FACTS)
    assert journal.add(entry)
    assert not journal.add(replace(entry, read_s=1.0), unless_there=True)
    assert journal.add(replace(entry, patient=2), unless_there=True)
    assert len(list(journal.lines())) == 2


def test_of_several_lines_of_a_reading_the_last_one_stands(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    exam = digital_exam()
    first = entry_of(exam, result_of(exam, "findings"), FACTS)
    later = replace(first, read_at=AT.replace(year=2027, month=1), calibration="site")
    journal.add(first)
    journal.add(later)
    assert journal.entries() == [later]
    assert journal.entries(until=date(2026, 12, 1)) == [first]
    assert journal.entries(since=date(2026, 12, 1)) == [later]
    assert journal.entries(since=date(2027, 1, 31)) == []


def test_a_line_that_a_crash_cut_is_passed_over_and_spoils_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    exam = digital_exam()
    entry = entry_of(exam, result_of(exam, "findings"), FACTS)
    journal.add(entry)
    (path,) = journal.folder.glob("scores-*")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert journal.entries() == [entry]
    journal.add(replace(entry, study=OTHER))
    assert [found.study for found in journal.entries()] == [STUDY, OTHER]


def test_lines_of_an_erased_study_go_also_where_one_was_cut(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    exam = digital_exam()
    entry = entry_of(exam, result_of(exam, "findings"), FACTS)
    for one in (entry, replace(entry, study=OTHER), replace(entry, patient=2)):
        journal.add(one)
    (path,) = journal.folder.glob("scores-*")
    path.write_bytes(path.read_bytes() + b'{"study": "' + STUDY.encode())
    assert journal.has(STUDY)
    assert journal.remove(STUDY, keep={("content", 2)}) == 2
    assert [(e.study, e.patient) for e in journal.entries()] == [(OTHER, 1), (STUDY, 2)]
    assert journal.remove(STUDY) == 1
    assert not journal.has(STUDY)
    assert path.stat().st_mode & 0o777 == 0o640
    assert journal.remove(OTHER) == 1
    assert not path.exists()


def test_nothing_is_made_where_nothing_is_removed(tmp_path: Path) -> None:
    assert Journal(tmp_path).remove(STUDY) == 0
    assert Journal(tmp_path).entries() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("value", ["", None, "x" * 200, "a\x1b[2Jb"])
def test_a_machine_is_named_by_short_plain_text(value: str | None) -> None:
    header = digital_header(Laterality.RIGHT, ViewPosition.CC)
    header.add_new(0x00081010, "LO", value)
    found = scanner_of(header).station
    assert len(found) <= 64
    assert found.isprintable()


def test_every_part_of_a_software_version_counts() -> None:
    header = digital_header(Laterality.RIGHT, ViewPosition.CC)
    parts = ["AWS:MAMMODROC_3_4_1_8", "PXCM:1.4.0.7", "ARR:1.7.3.10", "CALIB:1.2.3", "IP:4.9.6"]
    header.SoftwareVersions = parts
    before = scanner_of(header)
    header.SoftwareVersions = [*parts[:-1], "IP:4.9.7"]
    assert before.software == "; ".join(parts)
    assert scanner_of(header) != before


def test_without_a_header_the_machine_is_unknown() -> None:
    assert scanner_of(None) == Scanner()

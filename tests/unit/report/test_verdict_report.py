"""report/sr/verdict_report.py: what readers said of a report's findings, as an SR of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from cadnode.errors import ReportError
from cadnode.exam.kind import is_own_output
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.identity import zone_of
from cadnode.report.profiles import VERDICTS
from cadnode.report.sr.ai_results import ai_results_sr
from cadnode.report.sr.measurement_report import measurement_sr
from cadnode.report.sr.region_report import region_sr
from cadnode.report.sr.verdict_report import NOBODY_KNOWN, SaidOfFinding, evidence_of, named_before
from cadnode.report.verdicts import write_verdicts
from tests.report_cases import MADE_AT, digital_exam, result_of, with_marker
from tests.unit.report.test_region_answer import items
from tests.validators import dciodvfy, dsrdump

AT = 1_772_600_000.0
LATER = MADE_AT + timedelta(hours=1)
VERA = SaidOfFinding(1, codes.ACCEPTED, AT, "vera")
OTTO = SaidOfFinding(2, codes.REJECTED, AT + 5, "otto")


@pytest.fixture(scope="module")
def edition() -> Edition:
    exam = with_marker(digital_exam())
    return Edition(exam, result_of(exam, "marked"), MADE_AT)


@pytest.fixture(scope="module")
def report(edition: Edition, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "sr.dcm"
    measurement_sr(edition).save_as(path, enforce_file_format=True)
    return path


def written(
    report: Path, folder: Path, *said: SaidOfFinding, before: Dataset | None = None
) -> Dataset:
    path = write_verdicts(
        report, said, folder, made_at=LATER, disclaimer="For research",
        before=before,
    )  # fmt: skip
    return pydicom.dcmread(path)


def text(ds: Dataset, code: str) -> list[str]:
    return [str(item.get("TextValue") or item.PersonName) for item in items(ds, code)]


def uid_of(group: Dataset) -> str:
    (item,) = items(group, "112040")
    return str(item.UID)


def test_each_finding_is_the_reports_by_uid_and_region_and_has_no_score(
    report: Path, tmp_path: Path
) -> None:
    theirs = {text(group, "112039")[0]: group for group in items(pydicom.dcmread(report), "125007")}

    groups = items(written(report, tmp_path / "a", VERA, OTTO), "125007")

    assert [text(group, "112039") for group in groups] == [["finding 1"], ["finding 2"]]
    for group in groups:
        (name,) = text(group, "112039")
        assert uid_of(group) == uid_of(theirs[name])
        (here,), (there,) = items(group, "111030"), items(theirs[name], "111030")
        assert list(here.GraphicData) == list(there.GraphicData)
        assert here.ContentSequence == there.ContentSequence
        assert not [item for item in group.ContentSequence if item.ValueType == "NUM"]
        assert not items(group, "111001"), "no algorithm says it"


def test_it_says_who_judged_what_and_when(report: Path, tmp_path: Path) -> None:
    ds = written(report, tmp_path / "a", VERA, OTTO)

    first, second = items(ds, "125007")
    for group, reader, word in ((first, "vera", "ACCEPTED"), (second, "otto", "REJECTED")):
        (verdict,) = items(group, "READER_VERDICT")
        assert verdict.ConceptCodeSequence[0].CodeValue == word
        assert text(group, "128774") == [reader]
    (verdict,) = items(first, "READER_VERDICT")
    said = datetime.fromtimestamp(AT, zone_of(ds) or UTC)
    assert str(verdict.ObservationDateTime) == said.strftime("%Y%m%d%H%M%S")
    root = [item for item in ds.ContentSequence if item.RelationshipType == "HAS OBS CONTEXT"]
    assert "128774" not in [item.ConceptNameCodeSequence[0].CodeValue for item in root]
    assert text(ds, "121013") == ["cadnode"], "the device stands for the whole"


def test_one_reader_of_all_is_the_observer_of_the_whole_document(
    report: Path, tmp_path: Path
) -> None:
    ds = written(report, tmp_path / "a", VERA, replace(OTTO, reader="vera"))
    named = [i for i in ds.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "128774"]
    assert [item.TextValue for item in named] == text(ds, "128774") == ["vera"]
    assert text(ds, "121008") == ["vera^"]


def test_whoever_did_not_log_in_is_given_no_name(report: Path, tmp_path: Path) -> None:
    ds = written(report, tmp_path / "a", replace(VERA, reader=""))
    assert not items(ds, "128774") + items(ds, "121008")
    assert NOBODY_KNOWN in text(ds, "121106")
    both = written(report, tmp_path / "b", replace(VERA, reader=""), OTTO)
    first, second = items(both, "125007")
    assert not items(first, "128774")
    assert text(second, "128774") == ["otto"]


def test_the_report_and_the_images_are_its_evidence_and_nothing_else(
    report: Path, edition: Edition, tmp_path: Path
) -> None:
    ds = written(report, tmp_path / "a", VERA)

    image = edition.result.findings[0].sop_instance_uid
    known = pydicom.dcmread(report)
    assert evidence_of(ds) >= {image, str(known.SOPInstanceUID)}
    referred = {
        str(one.ReferencedSOPInstanceUID)
        for item in ds.iterall()
        if item.keyword == "ReferencedSOPSequence"
        for one in item.value
    }
    assert referred == evidence_of(ds)
    assert (ds.PatientID, ds.StudyInstanceUID) == (known.PatientID, known.StudyInstanceUID)
    assert is_own_output(ds)


def test_a_later_document_names_the_one_before_and_tells_what_is_withdrawn(
    report: Path, tmp_path: Path
) -> None:
    first = written(report, tmp_path / "a", VERA)
    taken_back = replace(VERA, verdict=codes.WITHDRAWN, at=AT + 60)

    second = written(report, tmp_path / "b", taken_back, before=first)

    (verdict,) = items(second, "READER_VERDICT")
    assert verdict.ConceptCodeSequence[0].CodeValue == "WITHDRAWN"
    assert named_before(second) == {first.SOPInstanceUID}
    assert not named_before(first)
    assert second.SeriesInstanceUID == first.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert second.SOPInstanceUID != first.SOPInstanceUID


def test_it_is_written_once(report: Path, tmp_path: Path) -> None:
    first = written(report, tmp_path / "a", VERA)
    assert written(report, tmp_path / "a", OTTO) == first
    assert [path.name for path in (tmp_path / "a").iterdir()] == [VERDICTS]


def test_a_finding_that_the_report_does_not_have_makes_none(report: Path, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="does not have"):
        written(report, tmp_path / "a", replace(VERA, number=99))
    assert not (tmp_path / "a" / VERDICTS).exists()


@pytest.mark.parametrize("make", [measurement_sr, region_sr, ai_results_sr])
def test_every_report_that_it_may_be_of_gives_a_document_without_complaint(
    edition: Edition, tmp_path: Path, make: object
) -> None:
    assert callable(make)
    path = tmp_path / "sr.dcm"
    make(edition).save_as(path, enforce_file_format=True)
    odd = replace(OTTO, reader="anna.weber=x^\\@söder.org")
    for number, said in enumerate([(VERA,), (VERA, odd), (replace(VERA, reader=""),)]):
        written(path, tmp_path / str(number), *said)
        file = tmp_path / str(number) / VERDICTS
        assert dciodvfy(file) == []
        assert dsrdump(file) == []

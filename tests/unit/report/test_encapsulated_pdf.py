"""The report on paper as an object: what it says of itself, and what is done without paper."""

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from cadnode.errors import ReportError
from cadnode.report.objects import write_objects
from cadnode.report.profiles import ObjectKind
from tests.report_cases import OUTCOMES, digital_exam, film_exam, objects_of

PAPER = b"%PDF-1.7\nnothing on it\n%%EOF\n."
ONLY = {"kinds": {ObjectKind.PDF}}


def paper() -> bytes:
    return PAPER


def no_paper() -> bytes:
    raise ReportError("WeasyPrint cannot be used: pip install 'cadnode[pdf]'")


def pdf_of_exam(outcome: str = "findings", **options: object) -> Dataset:
    (ds,) = objects_of(digital_exam(), outcome, pdf=paper, **ONLY, **options)
    return ds


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_its_paper_and_the_bytes_are_kept(tmp_path: Path, outcome: str) -> None:
    (path,) = write_objects([pdf_of_exam(outcome)], tmp_path)

    ds = dcmread(path)

    assert path.name == "report-pdf.dcm"
    assert ds.EncapsulatedDocument == PAPER
    assert ds.EncapsulatedDocumentLength == len(PAPER)
    assert (ds.SOPClassUID, ds.Modality) == ("1.2.840.10008.5.1.4.1.1.104.1", "DOC")


def test_it_says_what_it_is_and_of_which_images() -> None:
    ds = pdf_of_exam()

    assert ds.ConceptNameCodeSequence[0].CodeValue == "111036"
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert ds.BurnedInAnnotation == "YES"
    sources = [item.ReferencedSOPInstanceUID for item in ds.SourceInstanceSequence]
    assert sources == [m.sop_instance_uid for m in digital_exam().mammograms]


def test_it_is_the_patients_in_a_series_of_its_own() -> None:
    exam = film_exam()
    (ds,) = objects_of(exam, "findings", pdf=paper, **ONLY)

    assert exam.reference is not None
    assert ds.PatientID == exam.reference.PatientID
    assert ds.StudyInstanceUID == exam.reference.StudyInstanceUID
    assert ds.SeriesInstanceUID not in {m.header.SeriesInstanceUID for m in exam.mammograms}


def test_its_uid_depends_on_what_was_read_and_how_it_ended() -> None:
    one, again, other = pdf_of_exam(), pdf_of_exam(), pdf_of_exam("one_view")

    assert one.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID


def test_without_a_renderer_the_other_objects_are_made_and_the_reason_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = {ObjectKind.MEASUREMENT_SR, ObjectKind.PDF}

    made = objects_of(digital_exam(), "none", pdf=no_paper, kinds=kinds)

    assert [ds.Modality for ds in made] == ["SR"]
    told = capsys.readouterr()
    assert "object_not_made" in told.out + told.err
    assert "pip install 'cadnode[pdf]'" in told.out + told.err


def test_a_pdf_that_is_all_that_is_wanted_is_never_missing_in_silence() -> None:
    with pytest.raises(ReportError, match="the PDF, could not be made"):
        objects_of(digital_exam(), "none", pdf=no_paper, **ONLY)


@pytest.mark.parametrize("data", [b"<html>", PAPER[:-1]])
def test_what_dicom_could_not_give_back_bit_for_bit_is_refused(data: bytes) -> None:
    with pytest.raises(ReportError):
        objects_of(digital_exam(), "none", pdf=lambda: data, **ONLY)

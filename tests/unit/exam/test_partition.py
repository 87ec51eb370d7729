"""exam/partition.py, exam/rejection.py and exam/read.py: whose images, and which are out of use."""

import random
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import JPEGLSLossless

from cadnode.domain import SkipReason
from cadnode.exam.exam import Exam
from cadnode.exam.mammogram import inspect
from cadnode.exam.read import exam_of, read_exams, read_study
from cadnode.exam.rejection import rejected_by
from cadnode.imaging.pixels import CHECKS
from tests.rejection import note
from tests.synthetic import code, encode, set_pixels, stored_values, uid, view_dataset, write

SMALL = {"rows": 64, "columns": 48}
ANN = {"PatientID": "A-111", "PatientName": "Alfa^Ann", "PatientBirthDate": "19500101"}
BEA = {"PatientID": "B-222", "PatientName": "Beta^Bea", "PatientBirthDate": "19600202"}


def view(side: str, position: str, **values: object) -> Dataset:
    return view_dataset(side, position, **{**SMALL, **values})


def exams_of(folder: Path, *images: Dataset) -> tuple[Exam, ...]:
    for number, ds in enumerate(images):
        write(ds, folder / f"{number}.dcm")
    return read_exams([folder], checks=CHECKS)


def uids_in(exam: Exam) -> set[str]:
    """Every instance that the exam knows of, in whatever way."""
    return {
        *exam.headers, *exam.evidence, *(m.sop_instance_uid for m in exam.mammograms),
        *(s.sop_instance_uid for s in exam.skipped),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ANN, BEA),
        ({"PatientID": "A-111"}, {"PatientID": "a-111"}),
        ({"PatientID": "1"}, {"PatientID": "01"}),
        (
            {"PatientID": "7", "IssuerOfPatientID": "NORTH"},
            {"PatientID": "7", "IssuerOfPatientID": "SOUTH"},
        ),
        (
            {"PatientID": "0000", "PatientName": "A^A", "PatientBirthDate": "19500101"},
            {"PatientID": "0000", "PatientName": "B^B", "PatientBirthDate": "19600101"},
        ),
        ({**ANN, "PatientID": ""}, {**BEA, "PatientID": ""}),
        ({**ANN, "PatientID": None}, {**BEA, "PatientID": None}),
    ],
)
def test_images_of_two_patients_are_two_exams_that_know_nothing_of_each_other(
    tmp_path: Path, one: dict[str, object], other: dict[str, object]
) -> None:
    theirs = [view("R", "CC", **one), view("R", "MLO", **one)]
    hers = [view("L", "CC", **other), view("L", "MLO", **other)]
    exams = exams_of(tmp_path, *theirs, *hers)
    assert len(exams) == 2
    assert sorted(map(sorted, map(uids_in, exams))) == sorted(
        sorted(str(ds.SOPInstanceUID) for ds in images) for images in (theirs, hers)
    )
    for exam in exams:
        assert exam.reference is exam.mammograms[0].header
        assert len(exam.mammograms) == 2
        assert exam.study_instance_uid == uid("study", 0)
        says = {e.says for found in exam.evidence.values() for e in found if e.about == "patient"}
        assert says == {"one of the study's 2 patients"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"PatientID": "A-111"}, {"PatientID": "A-111 "}),
        ({"PatientID": "A-111"}, {"PatientID": "  A-111"}),
        (ANN, {**ANN, "PatientName": "ALFA^ANN^^"}),
        (ANN, {**ANN, "PatientName": "Married^Ann"}),  # she married between two images
        (ANN, {**ANN, "PatientBirthDate": "19500102"}),  # a typing error was corrected
        (ANN, {"PatientID": "A-111", "PatientName": "", "PatientBirthDate": ""}),
        ({**ANN, "IssuerOfPatientID": "NORTH"}, ANN),
        (ANN, {**ANN, "PatientID": ""}),
        (ANN, {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}),
        ({**ANN, "PatientID": ""}, {**ANN, "PatientID": "", "PatientBirthDate": ""}),
        ({"PatientID": None}, {"PatientID": None}),
    ],
)
def test_one_patient_however_written_is_one_exam(
    tmp_path: Path, one: dict[str, object], other: dict[str, object]
) -> None:
    (exam,) = exams_of(tmp_path, view("R", "CC", **one), view("L", "CC", **other))
    assert len(exam.mammograms) == 2
    says = {e.says for found in exam.evidence.values() for e in found if e.about == "patient"}
    assert says == {"the study's only patient"}


@pytest.mark.parametrize(
    "unclear",
    [
        {"PatientID": "", "PatientName": "", "PatientBirthDate": ""},
        {"PatientID": "", "PatientName": "Gamma^Gil", "PatientBirthDate": "19700101"},
        {"PatientID": "", "PatientName": "Alfa^Ann", "PatientBirthDate": ""},
    ],
)
def test_an_image_of_an_unclear_patient_is_in_nobody_s_exam(
    tmp_path: Path, unclear: dict[str, object]
) -> None:
    lost = view("R", "MLO", **unclear)
    exams = exams_of(tmp_path, view("R", "CC", **ANN), view("L", "CC", **BEA), lost)
    known = [e for e in exams if e.reference is not None]
    (nobody,) = [e for e in exams if e.reference is None]
    assert len(known) == 2
    assert not any(str(lost.SOPInstanceUID) in uids_in(e) for e in known)
    assert [s.reason for s in nobody.skipped] == [SkipReason.PATIENT_UNKNOWN]


def test_a_stranger_without_id_is_not_given_to_the_study_s_only_patient(tmp_path: Path) -> None:
    stranger = {**BEA, "PatientID": ""}
    exams = exams_of(tmp_path, view("R", "CC", **ANN), view("L", "CC", **stranger))
    assert [len(e.mammograms) for e in exams if e.reference is not None] == [1]


def test_the_parting_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    images = [view("R", "CC", **ANN), view("L", "CC", **BEA), view("L", "MLO", **BEA)]
    paths = [write(ds, tmp_path / f"{n}.dcm") for n, ds in enumerate(images)]
    wanted = [sorted(uids_in(e)) for e in read_study(paths)]
    for seed in range(6):
        random.Random(seed).shuffle(paths)
        assert [sorted(uids_in(e)) for e in read_study(paths)] == wanted


@pytest.mark.parametrize("value", ["113001", "113037", "113038", "113039"])
@pytest.mark.parametrize("where", ["content", "evidence", "both"])
def test_a_rejected_image_is_not_used_and_the_older_good_one_is(
    tmp_path: Path, value: str, where: str
) -> None:
    good = view("R", "CC")
    bad = view("R", "CC", SOPInstanceUID=uid("bad"), AcquisitionTime="235959")
    exams = exams_of(tmp_path, good, bad, note([bad], value, where=where))
    (exam,) = exams
    assert [m.sop_instance_uid for m in exam.mammograms] == [good.SOPInstanceUID]
    assert [(s.sop_instance_uid, s.reason) for s in exam.skipped] == [
        (bad.SOPInstanceUID, SkipReason.REJECTED)
    ]


def test_when_everything_is_rejected_the_exam_is_there_and_empty(tmp_path: Path) -> None:
    images = [view("R", "CC"), view("L", "CC")]
    (exam,) = exams_of(tmp_path, *images, note(images, "113037"))
    assert not exam.mammograms
    assert exam.reference is not None
    assert {s.reason for s in exam.skipped} == {SkipReason.REJECTED}


@pytest.mark.parametrize(
    "changed",
    [
        {"value": "113000"},  # Of Interest
        {"value": "113004"},  # For Teaching
        {"scheme": "99LOCAL"},
        {"Manufacturer": "cadnode"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"},
        {"PatientID": "B-222", "PatientName": "Beta^Bea", "PatientBirthDate": "19600202"},
    ],
)
def test_what_is_no_rejection_note_of_this_patient_rejects_nothing(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    image = view("R", "CC")
    options = {k: changed[k] for k in ("value", "scheme") if k in changed}
    ds = note([image], **options)
    for keyword in changed.keys() - options.keys():
        setattr(ds, keyword, changed[keyword])
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    assert any(len(e.mammograms) == 1 for e in exams_of(tmp_path, image, ds))


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("LongCodeValue", "113001"),
        ("URNCodeValue", "urn:oid:1.2.3:113001"),
        ("URNCodeValue", "urn:oid:1.2.840.10008.2.16.4.113001"),
        ("URNCodeValue", "http://dicom.nema.org/resources/ontology/DCM#113001"),
        ("URNCodeValue", "http://dicom.nema.org/DCM/113001"),
    ],
)
def test_a_note_s_title_may_be_coded_in_any_form(form: str, value: str) -> None:
    ds = note([view("R", "CC")], "113001")
    title = ds.ConceptNameCodeSequence[0]
    del title.CodeValue
    setattr(title, form, value)
    assert rejected_by(ds)


def test_a_note_with_a_local_title_is_known_by_its_equivalent_code() -> None:
    ds = note([view("R", "CC")], "REJ", scheme="99LOCAL")
    ds.ConceptNameCodeSequence[0].EquivalentCodeSequence = [code("113001", "DCM", "Rejected")]
    assert rejected_by(ds)


def test_a_note_of_a_report_rejects_no_image(tmp_path: Path) -> None:
    image, report = view("R", "CC"), view("R", "CC", SOPInstanceUID=uid("report"))
    (exam,) = exams_of(tmp_path, image, note([report], "113001"))
    assert len(exam.mammograms) == 1


def test_a_note_without_references_rejects_nothing() -> None:
    ds = note([], "113001")
    assert rejected_by(ds) == frozenset()
    del ds.ContentSequence, ds.CurrentRequestedProcedureEvidenceSequence
    assert rejected_by(ds) == frozenset()


@pytest.mark.parametrize(
    "overrides",
    [{"SeriesInstanceUID": uid("other series")}, {}, {"ViewPosition": "CC"}],
)
def test_of_two_images_under_one_uid_neither_is_used(
    tmp_path: Path, overrides: dict[str, str]
) -> None:
    first = view("R", "CC")
    second = view("R", "MLO", seed=5, study_uid=uid("study", 0), **overrides)
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
    third = view("L", "CC")
    (exam,) = exams_of(tmp_path, first, second, third)
    assert [m.sop_instance_uid for m in exam.mammograms] == [third.SOPInstanceUID]
    assert [(s.sop_instance_uid, s.reason) for s in exam.skipped] == [
        (first.SOPInstanceUID, SkipReason.UID_CONFLICT)
    ] * 2


def test_the_earlier_file_of_a_uid_that_came_with_another_image_is_seen(tmp_path: Path) -> None:
    first = write(view("R", "CC"), tmp_path / "first.old")
    other = view("R", "CC", seed=7, study_uid=uid("study", 0), SOPInstanceUID=uid("x"))
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = inspect(
        first
    ).header.SOPInstanceUID
    (exam,) = read_study([write(other, tmp_path / "now.dcm")], replaced=[first])
    assert not exam.mammograms
    assert [s.reason for s in exam.skipped] == [SkipReason.UID_CONFLICT] * 2


@pytest.mark.parametrize(
    "corrected",
    [BEA, {"AccessionNumber": "NEW"}, {"PatientName": "Right^Rita"}, {"ImageLaterality": "L"}],
)
def test_a_corrected_header_is_no_conflict_and_the_newer_counts(
    tmp_path: Path, corrected: dict[str, str]
) -> None:
    old = write(view("R", "CC"), tmp_path / "a.old")
    new = write(view("R", "CC", **corrected), tmp_path / "a.dcm")
    (exam,) = read_study([new], replaced=[old])
    assert exam.skipped == () or exam.skipped[0].reason is SkipReason.LATERALITY_UNKNOWN
    assert len(exam.mammograms) + len(exam.skipped) == 1
    for keyword, value in corrected.items():
        assert str(exam.reference[keyword].value) == value


def test_an_image_that_comes_again_in_another_lossless_syntax_is_no_conflict(
    tmp_path: Path,
) -> None:
    ds = view("R", "CC")
    old = write(ds, tmp_path / "a.old")
    new = write(encode(view("R", "CC"), JPEGLSLossless), tmp_path / "a.dcm")
    (exam,) = read_study([new], replaced=[old], checks=CHECKS)
    assert len(exam.mammograms) == 1
    (strict,) = read_study([new], replaced=[old])  # by bytes alone nobody could know
    assert strict.skipped[0].reason is SkipReason.UID_CONFLICT


def test_copies_of_one_image_that_name_two_sides_are_not_used(tmp_path: Path) -> None:
    (exam,) = exams_of(tmp_path, view("R", "CC"), view("R", "CC", ImageLaterality="L"))
    assert not exam.mammograms
    assert {s.reason for s in exam.skipped} == {SkipReason.UID_CONFLICT}


def test_no_report_can_refer_to_a_uid_that_names_several_images(tmp_path: Path) -> None:
    first = view("R", "CC", **ANN)
    second = view("L", "CC", **BEA)
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
    exams = exams_of(tmp_path, first, second, view("R", "MLO", **ANN), view("L", "MLO", **BEA))
    assert len(exams) == 2
    for exam in exams:
        assert first.SOPInstanceUID not in exam.headers
        assert [s.reason for s in exam.skipped] == [SkipReason.UID_CONFLICT]


def test_an_image_that_came_damaged_and_again_whole_is_used(tmp_path: Path) -> None:
    whole = encode(view("R", "CC"), JPEGLSLossless)
    damaged = encode(view("R", "CC"), JPEGLSLossless)
    damaged.PixelData = damaged.PixelData[:60] + bytes(len(damaged.PixelData) - 60)
    damaged["PixelData"].is_undefined_length = True
    old, new = write(damaged, tmp_path / "a.old"), write(whole, tmp_path / "a.dcm")
    (exam,) = read_study([new], replaced=[old], checks=CHECKS)
    assert len(exam.mammograms) == 1


def test_a_file_that_was_cut_in_the_patient_s_id_makes_no_second_patient(tmp_path: Path) -> None:
    image = write(view("R", "CC", **ANN), tmp_path / "a.dcm")
    cut = write(view("L", "CC", **ANN), tmp_path / "b.dcm")
    data = cut.read_bytes()
    cut.write_bytes(data[: data.index(b"A-111") + 3])
    (exam,) = read_study([image, cut])
    assert len(exam.mammograms) == 1
    assert [s.reason for s in exam.skipped] == [SkipReason.TRUNCATED]


def test_one_pixel_more_is_another_image(tmp_path: Path) -> None:
    ds = view("R", "CC")
    old = write(ds, tmp_path / "a.old")
    cells = np.array(stored_values(ds))
    cells[3, 4] += 1
    set_pixels(ds, cells.astype(np.uint16), 12)
    (exam,) = read_study([write(ds, tmp_path / "a.dcm")], replaced=[old])
    assert [s.reason for s in exam.skipped] == [SkipReason.UID_CONFLICT] * 2


def test_a_whole_image_in_place_of_a_cut_one_is_used(tmp_path: Path) -> None:
    whole = write(view("R", "CC"), tmp_path / "a.dcm")
    cut = tmp_path / "a.old"
    cut.write_bytes(whole.read_bytes()[:-500])
    (exam,) = read_study([whole], replaced=[cut])
    assert len(exam.mammograms) == 1


def test_copies_of_one_image_that_name_two_patients_are_not_used(tmp_path: Path) -> None:
    exams = exams_of(tmp_path, view("R", "CC", **ANN), view("R", "CC", **BEA))
    assert not any(exam.mammograms for exam in exams)
    reasons = [s.reason for exam in exams for s in exam.skipped]
    assert reasons == [SkipReason.UID_CONFLICT] * 2


def test_the_same_file_twice_is_a_duplicate(tmp_path: Path) -> None:
    (exam,) = exams_of(tmp_path, view("R", "CC"), view("R", "CC"))
    assert len(exam.mammograms) == 1
    assert [s.reason for s in exam.skipped] == [SkipReason.DUPLICATE]


def test_an_exam_of_one_patient_is_read_by_itself(tmp_path: Path) -> None:
    write(view("R", "CC", **ANN), tmp_path / "a.dcm")
    write(view("L", "CC", **BEA), tmp_path / "b.dcm")
    assert len(exam_of([tmp_path]).mammograms) == 1

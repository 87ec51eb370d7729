"""A hospital's own images: a folder with a pathology CSV."""

from pathlib import Path

import pytest

from cadnode.domain import Box
from cadnode.errors import DataError
from cadnode_training.data.manifest_file import read_manifest, write_manifest
from cadnode_training.data.pathology import pseudonym
from cadnode_training.data.sets import dicom_csv
from tests.synthetic import MARK
from tests.training import layouts
from tests.training.layouts import FIRST, SECOND, two_exams, write_csv


def test_a_line_on_a_breast_labels_its_views_and_the_headers_give_the_rest(tmp_path: Path) -> None:
    two_exams(tmp_path / "dicom")
    write_csv(
        tmp_path,
        "accession_number,laterality,label,pathology,lesion_kind,birads\n"
        f'{FIRST},L,Malignant,"DCIS, grade 3",calcification,4C\n'
        f"{SECOND},,normal,,,1\n",
    )

    found = dicom_csv.read(tmp_path)

    assert [(r.image.name, r.label, r.laterality, r.birads) for r in found.rows] == [
        ("1L.dcm", "malignant", "L", "4C"), ("2L.dcm", "normal", "L", "1"),
        ("2R.dcm", "normal", "R", "1"),
    ]  # fmt: skip
    first = found.rows[0]
    assert (first.pathology, first.lesion_kind) == ("DCIS, grade 3", "calcification")
    assert (first.view, first.exam_date, first.age, first.vendor, first.spacing_mm) == (
        "CC", "2017-03-01", 61, "hologic", 0.4,
    )  # fmt: skip
    assert dict(found.left_out) == {"no statement on this breast": 1}


def test_women_and_exams_go_by_hashes_and_no_identifier_is_written(tmp_path: Path) -> None:
    two_exams(tmp_path / "dicom")
    write_csv(tmp_path, f"patient_id,label\n{MARK}-1,benign\n{MARK}-2,normal\n")

    rows = dicom_csv.read(tmp_path).rows
    write_manifest(tmp_path / "m.csv", rows)

    assert {row.woman for row in rows} == {
        pseudonym("local", f"{MARK}-1"), pseudonym("local", f"{MARK}-2"),
    }  # fmt: skip
    assert len({row.exam for row in rows}) == 2
    assert MARK not in (tmp_path / "m.csv").read_text()
    assert read_manifest(tmp_path / "m.csv").rows == rows


def test_the_most_specific_statement_counts(tmp_path: Path) -> None:
    two_exams(tmp_path / "dicom")
    write_csv(
        tmp_path,
        "image,study_instance_uid,patient_id,label,lesion,row0,col0,row1,col1\n"
        "dicom/1L.dcm,,,malignant,1,3,4,20,30\n"
        "dicom/1L.dcm,,,benign,2,40,4,60,30\n"
        f",1.2.3.1,,normal,,,,,\n,,{MARK}-1,unknown,,,,,\n",
    )

    found = dicom_csv.read(tmp_path)

    assert [(row.image.name, row.label, row.box) for row in found.rows] == [
        ("1L.dcm", "malignant", Box(3, 4, 20, 30)), ("1L.dcm", "benign", Box(40, 4, 60, 30)),
        ("1R.dcm", "normal", None),
    ]  # fmt: skip
    assert dict(found.left_out) == {
        "no statement on this breast": 2, "statement without an image": 1,
    }  # fmt: skip


def test_a_date_tells_a_womans_exams_apart(tmp_path: Path) -> None:
    two_exams(tmp_path)
    write_csv(tmp_path, f"patient_id,exam_date,label\n{MARK}-1,2017-03,benign\n"
                        f"{MARK}-2,2018-03,benign\n")  # fmt: skip

    assert {row.image.name for row in dicom_csv.read(tmp_path).rows} == {"1L.dcm", "1R.dcm"}


def test_views_that_cbis_ddsm_calls_patients_are_one_woman(tmp_path: Path) -> None:
    for number, (side, name) in enumerate((("L", "LEFT"), ("R", "RIGHT"))):
        layouts.mammogram(
            tmp_path / f"{side}.dcm", side, "CC", study_uid=f"1.2.3.{number}",
            PatientID=f"Mass-Test_P_00173_{name}_CC",
        )  # fmt: skip
    write_csv(tmp_path, "image,label\nL.dcm,benign\nR.dcm,normal\n")

    rows = dicom_csv.read(tmp_path).rows

    assert [row.label for row in rows] == ["benign", "normal"]
    assert len({(row.woman, row.exam) for row in rows}) == 1


def test_what_is_no_mammogram_is_counted_by_its_reason(tmp_path: Path) -> None:
    two_exams(tmp_path)
    (tmp_path / "report.dcm").write_bytes(b"no DICOM")
    layouts.mammogram(tmp_path / "x.dcm", "L", "CC", Modality="CT", SOPClassUID="1.2.3")
    write_csv(tmp_path, f"patient_id,label\n{MARK}-1,benign\n{MARK}-2,normal\n")

    reasons = dict(dicom_csv.read(tmp_path).left_out)

    assert reasons == {"not_dicom": 1, "not_mammography": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [("label\nbenign\n", "needs one of the columns image"),
     ("patient_id\nx\n", "lacks the columns label"),
     ("patient_id,label,name\nx,benign,y\n", "no such column: name"),
     ("patient_id,label\nx,benign\n,benign\n", "line 3: fill one of"),
     ("patient_id,label,row0\nx,benign,3\n", "line 2: a box or mask needs image"),
     (f"patient_id,label\n{MARK}-1,cancer\n", "line 2, column label"),
     ("patient_id,label\nnobody,benign\n", "leading zeros")],
)  # fmt: skip
def test_what_is_wrong_with_a_pathology_file_is_said(
    tmp_path: Path, text: str, message: str
) -> None:
    two_exams(tmp_path)
    write_csv(tmp_path, text)

    with pytest.raises(DataError, match=message) as caught:
        dicom_csv.read(tmp_path)

    assert MARK not in str(caught.value)

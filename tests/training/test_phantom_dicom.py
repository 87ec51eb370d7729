"""Phantom exams as files: valid, deterministic, and read by the node like any other."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cadnode.domain import Acquisition, Laterality
from cadnode.exam.read import exam_of
from cadnode.imaging import pixels
from cadnode_training.data.sources import open_manifest
from cadnode_training.phantom import (
    LesionPrior,
    PhantomExam,
    PhantomSpec,
    exam,
    write_dicom,
    write_exams,
)
from cadnode_training.phantom.dicom import truth_path
from tests import validators

SPEC = PhantomSpec(0.4, 400, 310)
# Mammographs write CC and MLO here; the validator knows the terms of general radiography only.
VIEW_POSITION = re.compile(
    r"Warning - Unrecognized defined term <(CC|MLO)> for value 1 of attribute <View Position>"
)


@pytest.fixture(scope="module")
def phantom() -> PhantomExam:
    return exam(21, SPEC, lesions=LesionPrior(one=1, two=0))


@pytest.mark.parametrize("compressed", [False, True])
def test_dciodvfy_has_nothing_to_say(
    phantom: PhantomExam, tmp_path: Path, compressed: bool
) -> None:
    for path in write_dicom(phantom, tmp_path / "exam", compressed=compressed):
        found = [line for line in validators.dciodvfy(path) if not VIEW_POSITION.match(line)]
        assert found == [], path.name


def test_the_node_reads_four_eligible_views_and_the_very_pixels(
    phantom: PhantomExam, tmp_path: Path
) -> None:
    write_dicom(phantom, tmp_path / "exam")

    found = exam_of([tmp_path / "exam"])

    assert found.skipped == ()
    assert {f"{m.laterality}{m.view}" for m in found.mammograms} == {"RCC", "LCC", "RMLO", "LMLO"}
    images = {(view.laterality, view.view): view.image for view in phantom.views}
    for mammogram in found.mammograms:
        assert mammogram.acquisition == Acquisition.DIGITAL
        loaded = pixels.load(mammogram)
        planted = images[mammogram.laterality, mammogram.view]
        np.testing.assert_allclose(loaded, planted, atol=0.6 / 4095)


def test_film_is_read_as_film(tmp_path: Path) -> None:
    film = exam(3, PhantomSpec(0.4, 400, 310, Acquisition.FILM))
    write_dicom(film, tmp_path / "exam")

    found = exam_of([tmp_path / "exam"])

    assert {m.acquisition for m in found.mammograms} == {Acquisition.FILM}
    assert len(found.mammograms) == 4


def test_every_byte_is_decided_by_the_seed(phantom: PhantomExam, tmp_path: Path) -> None:
    again = exam(21, SPEC, lesions=LesionPrior(one=1, two=0))

    first, second = (write_dicom(e, tmp_path / name) for e, name in ((phantom, "a"), (again, "b")))

    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_another_exam_has_other_uids(phantom: PhantomExam, tmp_path: Path) -> None:
    others = (exam(22, SPEC, lesions=LesionPrior(1, 0)), exam(21, SPEC, lesions=LesionPrior(0, 1)))
    exams = (phantom, *others)

    studies, instances = set(), set()
    for number, each in enumerate(exams):
        for path in write_dicom(each, tmp_path / str(number)):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            studies.add(header.StudyInstanceUID)
            instances.add(header.SOPInstanceUID)

    assert len(studies) == 3
    assert len(instances) == 12


def test_the_header_says_what_a_reader_needs(phantom: PhantomExam, tmp_path: Path) -> None:
    header = pydicom.dcmread(write_dicom(phantom, tmp_path / "exam")[0])

    assert header.PatientName == "Phantom^21"
    assert header.Manufacturer == "Phantom"
    assert header.ImagerPixelSpacing == [0.4, 0.4]
    assert (header.ImageLaterality, header.ViewPosition) == ("R", "CC")
    assert header.PatientOrientation == ["P", "L"]
    assert (header.BitsStored, header.WindowCenter, header.WindowWidth) == (12, 2048, 4096)


def test_the_truth_names_every_planted_lesion(phantom: PhantomExam, tmp_path: Path) -> None:
    write_dicom(phantom, tmp_path / "exam")

    truth = json.loads(truth_path(tmp_path / "exam").read_text())

    assert truth["seed"] == 21
    assert truth["malignant"] == {side.value: phantom.malignant[side] for side in Laterality}
    for stated, view in zip(truth["views"], phantom.views, strict=True):
        assert [lesion["box"] for lesion in stated["lesions"]] == [
            list(lesion.box) for lesion in view.lesions
        ]


def test_many_exams_are_written_with_one_table(tmp_path: Path) -> None:
    steps = []

    truth = write_exams(
        tmp_path, 2, 40, SPEC, lambda: steps.append("exam"), lesions=LesionPrior(1, 0)
    )

    assert steps == ["exam", "exam"]
    for name in ("phantom-000040", "phantom-000041"):
        assert len(list((tmp_path / name).glob("*.dcm"))) == 4
    with truth.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8  # a lesion in each breast, each in two views
    assert {row["exam"] for row in rows} == {"phantom-000040", "phantom-000041"}
    assert all(0 < float(row["p_malignant"]) < 1 for row in rows)


def test_written_exams_are_data_of_the_kind_dicom_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_exams(tmp_path / "drawn", 1, 40, SPEC, lesions=LesionPrior(1, 0))
    with (tmp_path / "drawn" / "truth.csv").open(newline="") as stream:
        planted = list(csv.DictReader(stream))
    monkeypatch.chdir(tmp_path)

    rows = open_manifest("dicom-csv:drawn").rows

    assert len(rows) == 4
    assert all(row.image.is_file() for row in rows)
    assert {(r.laterality, r.view, r.box.row0, r.label == "malignant") for r in rows if r.box} == {
        (p["laterality"], p["view"], int(p["row0"]), p["malignant"] == "1") for p in planted
    }
    assert {row.lesion_kind for row in rows} == {"calcification"}
    assert len({row.woman for row in rows}) == 1


def test_an_exam_without_lesions_has_a_line_too(tmp_path: Path) -> None:
    write_exams(tmp_path, 1, 7, SPEC, lesions=LesionPrior(0, 0))

    with (tmp_path / "truth.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    assert [(row["exam"], row["kind"]) for row in rows] == [("phantom-000007", "")]

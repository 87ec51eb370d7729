"""exam/markings/sr.py: every SCOORD that a person selected from a mammogram."""

import re
import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset

from cadnode.domain import RoiReference, SkipReason
from tests.synthetic import code, uid, write
from tests.unit.region_cases import (
    COMPREHENSIVE_SR,
    boxes,
    by_reference,
    exam_with,
    image_item,
    item,
    mammogram,
    report_of,
    scoord,
    tid1500,
    view_of,
)

SQUARE = [(10, 20), (30, 20), (30, 50), (10, 50), (10, 20)]  # columns 10 to 30, rows 20 to 50


def observed_by(value: str) -> Dataset:
    ds = item("CODE", "121005", "HAS OBS CONTEXT")
    ds.ConceptCodeSequence = [code(value, "DCM", "kind of observer")]
    return ds


BY_PERSON, BY_DEVICE = observed_by("121006"), observed_by("121007")


def square(*children: Dataset) -> Dataset:
    return scoord("POLYLINE", [v for point in SQUARE for v in point], *children)


def test_a_planar_roi_of_tid_1500_is_a_region_of_its_image(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, tid1500([("POLYLINE", SQUARE)]))
    (region,) = exam.regions
    assert tuple(region.box) == (20, 10, 50, 30)
    assert region.outline == ((20, 10), (20, 30), (50, 30), (50, 10))
    assert region.sop_instance_uid == view_of(exam).sop_instance_uid
    assert region.reference == RoiReference(COMPREHENSIVE_SR, uid("report"))
    assert exam.skipped == ()
    assert uid("report") in exam.headers


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("CIRCLE", [(40, 40), (43, 44)], (35, 35, 45, 45)),  # radius 5
        ("ELLIPSE", [(10, 40), (50, 40), (30, 30), (30, 50)], (30, 10, 50, 50)),
        # Half axes (8, 8) and (-4, 4): the box reaches √(8² + 4²) = 8.94 from (40, 40).
        ("ELLIPSE", [(32, 32), (48, 48), (44, 36), (36, 44)], (31, 31, 49, 49)),
        ("POINT", [(40, 48)], (35, 27, 61, 53)),  # 10 mm are 25 pixels of 0.4 mm
        ("POLYLINE", [(10, 20), (30, 20), (30, 50), (12, 50)], (20, 10, 50, 30)),  # open
        ("POLYLINE", [(30, 40), (50, 40)], (30, 30, 50, 50)),  # a diameter of 20
    ],
)
def test_every_graphic_type_has_its_box(
    tmp_path: Path, kind: str, points: list[tuple[float, float]], box: tuple[int, ...]
) -> None:
    assert boxes(exam_with(tmp_path, tid1500([(kind, points)]))) == [box]


def test_positions_count_from_the_corner_of_the_first_pixel_not_its_centre(tmp_path: Path) -> None:
    one_pixel = [(7, 5), (8, 5), (8, 6), (7, 6), (7, 5)]  # PS3.3 C.18.6: corner to corner
    between_centres = [(7.5, 5.5), (9.5, 5.5), (9.5, 7.5), (7.5, 7.5), (7.5, 5.5)]
    shapes = [("POLYLINE", one_pixel), ("POLYLINE", between_centres)]
    assert boxes(exam_with(tmp_path, tid1500(shapes))) == [(5, 7, 6, 8), (5, 7, 8, 10)]


def test_dcmtk_reads_the_same_coordinates(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, tid1500([("POLYLINE", SQUARE)]))
    printed = subprocess.run(
        ["dsrdump", "+Pl", "-q", str(tmp_path / "object0.dcm")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (data,) = re.findall(r"POLYLINE,([\d./,]+)\)", printed)
    told = [tuple(float(v) for v in point.split("/")) for point in data.split(",")]
    assert [(column, row) for row, column in exam.regions[0].outline] == told[:-1]


def test_a_scoord_under_a_measurement_is_found_as_viewers_write_it(tmp_path: Path) -> None:
    """OHIF: NUM inferred from SCOORD selected from IMAGE, with Cornerstone's tracking id."""
    tracking = item("TEXT", "112039", "HAS OBS CONTEXT")
    tracking.TextValue = "Cornerstone3DTools@^0.1.0:RectangleROI"
    area = item("NUM", "42798000", "CONTAINS", square(image_item(mammogram())))
    perimeter = item("NUM", "131191004", "CONTAINS", square(image_item(mammogram())))
    group = item("CONTAINER", "125007", "CONTAINS", tracking, area, perimeter)
    exam = exam_with(tmp_path, report_of(item("CONTAINER", "126010", "CONTAINS", group)))
    assert boxes(exam) == [(20, 10, 50, 30)]  # once, though two measurements hold it


def test_the_two_diameters_of_one_group_are_one_region(tmp_path: Path) -> None:
    image = image_item(mammogram())
    long_axis = item("NUM", "103339001", "CONTAINS", scoord("POLYLINE", [20, 30, 60, 30], image))
    short_axis = item("NUM", "103340004", "CONTAINS", scoord("POLYLINE", [40, 20, 40, 38], image))
    group = item("CONTAINER", "125007", "CONTAINS", long_axis, short_axis)
    alone = item("NUM", "410668003", "CONTAINS", scoord("POLYLINE", [10, 70, 10, 80], image))
    exam = exam_with(tmp_path, report_of(group, alone))
    assert boxes(exam) == [(20, 20, 38, 60), (70, 5, 80, 15)]


def test_a_diameter_beside_an_outline_adds_no_region(tmp_path: Path) -> None:
    image = image_item(mammogram())
    diameter = item("NUM", "103339001", "CONTAINS", scoord("POLYLINE", [10, 20, 30, 50], image))
    group = item("CONTAINER", "125007", "CONTAINS", square(image), diameter)
    assert boxes(exam_with(tmp_path, report_of(group))) == [(20, 10, 50, 30)]


def test_an_image_selected_by_reference_is_followed(tmp_path: Path) -> None:
    library = item("CONTAINER", "111028", "CONTAINS", image_item(mammogram()))
    found = item("NUM", "42798000", "CONTAINS", square(by_reference(1, 1, 1)))
    assert boxes(exam_with(tmp_path, report_of(library, found))) == [(20, 10, 50, 30)]


def test_a_reference_to_nowhere_is_told(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, report_of(square(by_reference(1, 7))))
    (skipped,) = exam.skipped
    assert (skipped.sop_instance_uid, skipped.reason) == (uid("report"), SkipReason.ROI_UNUSABLE)
    assert skipped.detail == "it names no single image"


def test_a_report_by_a_device_is_no_persons(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, tid1500([("POLYLINE", SQUARE)], by="device"))
    assert exam.regions == ()
    assert [s.reason for s in exam.skipped] == [SkipReason.NOT_AN_IMAGE]


def test_a_person_who_works_with_a_device_counts(tmp_path: Path) -> None:
    found = square(image_item(mammogram()))
    both = exam_with(tmp_path / "a", report_of(BY_PERSON, BY_DEVICE, found))
    device = exam_with(tmp_path / "b", report_of(BY_DEVICE, found))
    assert [len(e.regions) for e in (both, device)] == [1, 0]


def test_several_points_are_one_region_with_a_margin_around_all(tmp_path: Path) -> None:
    found = scoord("MULTIPOINT", [30, 40, 40, 48], image_item(mammogram()))
    # 10 mm are 25 pixels of 0.4 mm: 12.5 beyond rows 40 to 48 and columns 30 to 40.
    assert boxes(exam_with(tmp_path, report_of(found))) == [(27, 17, 61, 53)]


def test_without_an_observer_it_is_a_persons_unless_an_algorithm_is_named(tmp_path: Path) -> None:
    found = square(image_item(mammogram()))
    algorithm = item("TEXT", "111001", "HAS CONCEPT MOD")
    algorithm.TextValue = "Other CAD"
    unsigned = exam_with(tmp_path / "a", report_of(found))
    by_algorithm = exam_with(tmp_path / "b", report_of(found, algorithm))
    author = Dataset()
    author.ObserverType, author.PersonName = "PSN", "ZZQREADER"
    signed = exam_with(tmp_path / "c", report_of(found, algorithm, AuthorObserverSequence=[author]))
    assert [len(e.regions) for e in (unsigned, by_algorithm, signed)] == [1, 0, 1]


@pytest.mark.parametrize("source", ["nobody", "observer", "author", "verifier", "name"])
def test_a_report_is_a_persons_only_where_it_names_one(tmp_path: Path, source: str) -> None:
    author, verifier = Dataset(), Dataset()
    author.ObserverType, author.PersonName = "PSN", "ZZQREADER"
    verifier.VerifyingObserverName = "ZZQREADER"
    named = item("PNAME", "121008", "HAS OBS CONTEXT")
    named.PersonName = "ZZQREADER"
    context = {"observer": [BY_PERSON], "name": [named]}.get(source, [])
    header = {
        "author": {"AuthorObserverSequence": [author]},
        "verifier": {"VerifyingObserverSequence": [verifier]},
    }.get(source, {})

    report = report_of(*context, square(image_item(mammogram())), **header)
    (region,) = exam_with(tmp_path, report).regions

    assert region.reference.by_person is (source != "nobody")


def test_a_mammography_cad_sr_is_never_a_persons(tmp_path: Path) -> None:
    report = report_of(square(image_item(mammogram())))
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.50"
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    assert exam_with(tmp_path, report).regions == ()


def test_our_own_report_is_never_read_back(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, report_of(square(image_item(mammogram())), Manufacturer="cadnode"))
    assert exam.regions == ()
    assert [s.reason for s in exam.skipped] == [SkipReason.OWN_OUTPUT]


def test_a_report_that_a_newer_one_replaces_does_not_count(tmp_path: Path) -> None:
    old = tid1500([("POLYLINE", SQUARE)], sop="old")
    new = tid1500([("CIRCLE", [(40, 40), (43, 44)])], sop="new")
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = COMPREHENSIVE_SR
    instance.ReferencedSOPInstanceUID = old.SOPInstanceUID
    series.ReferencedSOPSequence, series.SeriesInstanceUID = [instance], old.SeriesInstanceUID
    study.ReferencedSeriesSequence, study.StudyInstanceUID = [series], old.StudyInstanceUID
    new.PredecessorDocumentsSequence = [study]
    assert boxes(exam_with(tmp_path, old, new)) == [(35, 35, 45, 45)]


def test_a_report_without_a_drawing_stays_no_image(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, report_of(item("TEXT", "121071")))
    assert exam.regions == ()
    assert [s.reason for s in exam.skipped] == [SkipReason.NOT_AN_IMAGE]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ([1.0], "POINT"),
        ([1, 2, 3, 4], "CIRCLE HALF"),
        ([5, 5, 5, 5], "CIRCLE"),
        ([1, 2, 3], "POLYLINE"),
        ([float("nan"), 1, 2, 3], "CIRCLE"),
        ([1, 2], "ELLIPSE"),
    ],
)
def test_damaged_shapes_are_told_and_harm_nothing(
    tmp_path: Path, data: list[float], kind: str
) -> None:
    exam = exam_with(tmp_path, report_of(scoord(kind, data, image_item(mammogram()))))
    assert exam.regions == ()
    assert [s.reason for s in exam.skipped] == [SkipReason.ROI_UNUSABLE]
    assert len(exam.mammograms) == 1


def test_a_truncated_report_gives_what_there_is_of_it(tmp_path: Path) -> None:
    image = image_item(mammogram())
    path = write(report_of(square(image), square(image)), tmp_path / "whole.dcm")
    whole = path.read_bytes()
    path.unlink()
    write(mammogram(), tmp_path / "image.dcm")
    for size in range(200, len(whole), 97):
        (tmp_path / "cut.dcm").write_bytes(whole[:size])
        assert len(exam_with(tmp_path).mammograms) == 1


@pytest.mark.parametrize("number", ["22", "33", "34", "35"])
def test_every_report_class_that_can_hold_a_scoord_is_read(tmp_path: Path, number: str) -> None:
    report = report_of(square(image_item(mammogram())))
    report.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.88.{number}"
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    assert boxes(exam_with(tmp_path, report)) == [(20, 10, 50, 30)]


def test_the_outermost_points_of_a_tilted_ellipse_are_in_its_outline(tmp_path: Path) -> None:
    tilted = [(32, 32), (48, 48), (44, 36), (36, 44)]  # half axes (8, 8) and (-4, 4)
    (region,) = exam_with(tmp_path, tid1500([("ELLIPSE", tilted)])).regions
    for position in (0, 1):
        reached = [point[position] for point in region.outline]
        assert max(reached) == pytest.approx(40 + 80**0.5, abs=1e-9)
        assert min(reached) == pytest.approx(40 - 80**0.5, abs=1e-9)

"""report/images/segmentation.py: calcifications as discs over their view."""

import io
from dataclasses import replace
from math import pi

import numpy as np
import pytest
from highdicom.seg import segread
from pydicom import Dataset

from cadnode.domain import Calcification
from cadnode.exam.exam import Exam
from cadnode.imaging.spacing import Spacing
from cadnode.report.edition import Edition
from cadnode.report.images.segmentation import calcification_mask, segmentations
from tests.report_cases import MADE_AT, digital_exam, film_exam, result_of

SQUARE = Spacing(0.1, 0.1, estimated=False)


def at(row: float, col: float, area_mm2: float = pi * 0.4**2) -> Calcification:
    return Calcification(row, col, area_mm2, 0.8, 0.3)


def edition_of(exam: Exam, *calcifications: Calcification) -> Edition:
    """The first finding of the exam has these calcifications."""
    result = result_of(exam, "systems")
    first = replace(result.findings[0], calcifications=calcifications)
    return Edition(exam, replace(result, findings=(first, *result.findings[1:])), MADE_AT)


def made(exam: Exam, *calcifications: Calcification) -> Dataset:
    (ds,) = segmentations(edition_of(exam, *calcifications))
    return ds


def written(ds: Dataset) -> bytes:
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_a_disc_has_the_area_that_was_measured() -> None:
    # 1.6 mm in radius at 0.1 mm a pixel: π 16² = 804.2 pixels
    mask = calcification_mask([at(50, 60, pi * 1.6**2)], (100, 120), SQUARE)

    assert abs(mask.sum() - 804.2) < 8
    rows, cols = np.nonzero(mask)
    assert (rows.min(), rows.max() + 1) == (34, 66)
    assert (cols.min(), cols.max() + 1) == (44, 76)


def test_oblong_pixels_make_an_ellipse_of_pixels() -> None:
    mask = calcification_mask([at(50, 50, pi)], (100, 100), Spacing(0.1, 0.2, estimated=False))

    assert (mask.any(axis=1).sum(), mask.any(axis=0).sum()) == (20, 10)


def test_the_smallest_calcification_is_one_pixel() -> None:
    mask = calcification_mask([at(7.9, 3.1, 1e-6)], (10, 10), SQUARE)

    assert np.argwhere(mask).tolist() == [[7, 3]]


def test_at_the_edge_a_disc_is_cut() -> None:
    mask = calcification_mask([at(0, 10)], (10, 10), SQUARE)

    assert np.argwhere(mask).max(axis=0).tolist() == [3, 9]
    assert mask[0, 9]


def test_the_pixels_written_are_the_mask() -> None:
    exam = digital_exam()
    view = exam.mammograms[0]
    found = [at(30, 40), at(50, 20)]

    ds = made(exam, *found)

    expected = calcification_mask(found, (view.rows, view.columns), Spacing(0.4, 0.4, False))
    np.testing.assert_array_equal(ds.pixel_array.astype(bool), expected)
    (source,) = ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert source.ReferencedSOPInstanceUID == view.sop_instance_uid


def test_views_without_clusters_have_none() -> None:
    assert segmentations(edition_of(digital_exam())) == []


def test_each_finding_has_a_segmentation_that_names_it() -> None:
    exam = digital_exam()
    edition = edition_of(exam, at(30, 40))
    findings = edition.result.findings
    both = (findings[0], findings[1], replace(findings[2], calcifications=(at(50, 20),)))

    edition = replace(edition, result=replace(edition.result, findings=both))
    made = segmentations(edition)

    segments = [segment for ds in made for segment in ds.SegmentSequence]
    assert [s.SegmentLabel for s in segments] == [f"calcifications of finding {n}" for n in (1, 3)]
    uids = [edition.uid("tracking-region", index) for index in (0, 2)]
    assert [s.TrackingUID for s in segments] == uids  # those of the findings' groups
    assert len({ds.SeriesInstanceUID for ds in made}) == 2
    segment = segments[0]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "129769006"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert len(segment.RecommendedDisplayCIELabValue) == 3


@pytest.mark.parametrize(("exam", "stated"), [(digital_exam(), True), (film_exam(), False)])
def test_a_spacing_that_is_a_guess_is_not_stated(exam: Exam, stated: bool) -> None:
    (shared,) = made(exam, at(30, 40)).SharedFunctionalGroupsSequence

    assert ("PixelMeasuresSequence" in shared) is stated


@pytest.mark.parametrize("exam", [digital_exam(), film_exam()], ids=["digital", "film"])
def test_highdicom_reads_it_again(exam: Exam) -> None:
    # It refuses a pixel spacing without a slice thickness, which a projection has not.
    ds = made(exam, at(30, 40))

    again = segread(io.BytesIO(written(ds)))

    np.testing.assert_array_equal(again.pixel_array, ds.pixel_array)


def test_one_reading_makes_the_same_object_twice() -> None:
    exam = digital_exam()

    first, second = made(exam, at(30, 40)), made(exam, at(30, 40))

    assert written(first) == written(second)
    assert str(first.PatientName) == "Müller^Änne"

"""exam/markings/seg.py: areas that a person segmented."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from scipy import ndimage
from skimage.draw import polygon2mask

from cadnode.domain import RoiReference, SkipReason
from cadnode.exam.markings.seg import MOST_REGIONS, outlines_of
from cadnode.exam.read import exam_of
from tests.encoding import labelled
from tests.synthetic import uid, write
from tests.unit.region_cases import COLUMNS, ROWS, boxes, exam_with, mammogram, segmentation


def mask(*areas: tuple[int, int, int, int]) -> np.ndarray:
    """`(ROWS, COLUMNS) uint8`: ones in these boxes."""
    made = np.zeros((ROWS, COLUMNS), np.uint8)
    for row0, col0, row1, col1 in areas:
        made[row0:row1, col0:col1] = 1
    return made


def test_each_connected_area_is_a_region_the_largest_first(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, segmentation(mask((50, 60, 51, 61), (10, 30, 20, 45))))
    assert boxes(exam) == [(10, 30, 20, 45), (50, 60, 51, 61)]
    assert set(exam.regions[0].outline) == {(10, 30), (10, 45), (20, 45), (20, 30)}
    assert exam.regions[0].reference == RoiReference("1.2.840.10008.5.1.4.1.1.66.4", uid("seg"))
    assert exam.skipped == ()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_fractions_of_a_half_and_more_count(tmp_path: Path, syntax: str) -> None:
    fractions = mask((10, 30, 20, 45)) * 0.9
    fractions[40:60, 10:20] = 0.4
    made = segmentation(fractions, kind="FRACTIONAL", transfer_syntax_uid=syntax)
    assert boxes(exam_with(tmp_path, made)) == [(10, 30, 20, 45)]


@pytest.mark.parametrize("written", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_a_segmentation_is_read_as_it_is_written(tmp_path: Path, kind: str, written: str) -> None:
    made = segmentation(mask((10, 30, 20, 45), (50, 60, 51, 61)), kind=kind)
    made["PixelData"].VR = "OW"
    write(mammogram(), tmp_path / "image.dcm")
    (tmp_path / "object.dcm").write_bytes(labelled(made, ExplicitVRLittleEndian, written))
    assert boxes(exam_of([tmp_path])) == [(10, 30, 20, 45), (50, 60, 51, 61)]


def test_segments_are_kept_apart_also_where_they_touch(tmp_path: Path) -> None:
    both = np.stack([mask((10, 30, 20, 45)), mask((20, 30, 30, 45))], axis=-1)
    assert boxes(exam_with(tmp_path, segmentation(both))) == [(10, 30, 20, 45), (20, 30, 30, 45)]


@pytest.mark.parametrize(
    ("algorithm", "count"), [("MANUAL", 1), ("SEMIAUTOMATIC", 1), ("AUTOMATIC", 0)]
)
def test_what_an_algorithm_segmented_alone_is_no_persons(
    tmp_path: Path, algorithm: str, count: int
) -> None:
    exam = exam_with(tmp_path, segmentation(mask((10, 30, 20, 45)), algorithm=algorithm))
    assert len(exam.regions) == count
    assert [s.reason for s in exam.skipped] == [SkipReason.NOT_AN_IMAGE] * (1 - count)


def test_the_image_is_also_found_by_the_referenced_series(tmp_path: Path) -> None:
    made = segmentation(mask((10, 30, 20, 45)))
    for frame in made.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    assert boxes(exam_with(tmp_path, made)) == [(10, 30, 20, 45)]


def test_another_size_than_the_images_is_told(tmp_path: Path) -> None:
    other = mammogram()
    made = segmentation(mask((10, 30, 20, 45)), other)
    made.Rows, made.Columns = COLUMNS, ROWS
    exam = exam_with(tmp_path, made)
    assert exam.regions == ()
    assert [(s.reason, s.detail) for s in exam.skipped] == [
        (SkipReason.ROI_UNUSABLE, "it has another size than its image")
    ]


def test_a_cut_segmentation_is_told_and_the_exam_read(tmp_path: Path) -> None:
    made = segmentation(mask((10, 30, 20, 45)))
    made.PixelData = made.PixelData[:100]
    exam = exam_with(tmp_path, made)
    assert len(exam.mammograms) == 1
    assert [(s.reason, s.detail) for s in exam.skipped] == [
        (SkipReason.ROI_UNUSABLE, "it cannot be decoded")
    ]


def test_a_field_of_specks_is_no_set_of_regions(tmp_path: Path) -> None:
    specks = mask()
    specks[::4, ::4] = 1
    exam = exam_with(tmp_path, segmentation(specks))
    assert len(exam.regions) == MOST_REGIONS
    assert [s.detail for s in exam.skipped] == ["it has more than 50 areas"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.6))
def test_an_outline_holds_its_area_and_has_its_box(seed: int, share: float) -> None:
    area = np.random.default_rng(seed).random((12, 15)) < share
    labels, count = ndimage.label(area, np.ones((3, 3)))
    expected = {
        (rows.start, columns.start, rows.stop, columns.stop): labels == n
        for n, (rows, columns) in enumerate(ndimage.find_objects(labels), 1)
    }
    outlines = [np.array(outline) for outline in outlines_of(area)]
    assert len(outlines) == count
    for outline in outlines:
        low, high = outline.min(0), outline.max(0)
        assert (*low, *high) in expected
    sizes = [len(outline) for outline in outlines]
    assert min(sizes, default=4) >= 3


def test_an_outline_encloses_the_pixels_of_a_shape(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    disc = np.hypot(rows - 40, columns - 30) < 18
    (outline,) = outlines_of(disc)
    back = polygon2mask((ROWS, COLUMNS), np.array(outline) - 0.5)
    assert (back & disc).sum() / (back | disc).sum() > 0.98

"""Heat maps belong to their views, state what they are, and show them."""

import io
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import get_frame

from cadnode.domain import Box, ExamResult, Finding
from cadnode.exam.exam import Exam
from cadnode.report.edition import Edition, shown_map
from cadnode.report.images.heat_map import full, heat_map_image, heat_map_picture
from cadnode.report.images.outlines import draw_outlines
from tests.report_cases import (
    MADE_AT,
    digital_exam,
    film_exam,
    finding,
    heat_map,
    image_of,
    objects_of,
    result_of,
)


def pixels(ds: Dataset) -> np.ndarray:
    """The picture as a decoder independent of pydicom's sees it."""
    jpeg = get_frame(ds.PixelData, 0, number_of_frames=1)
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def outlined(
    picture: np.ndarray, findings: list[tuple[str, Finding]], source: tuple[int, int]
) -> np.ndarray:
    canvas = Image.fromarray(picture)
    draw_outlines(canvas, findings, source)
    return np.asarray(canvas)


def test_heat_maps_come_in_hanging_order_one_per_view() -> None:
    objects = objects_of(digital_exam(), "none")

    assert [ds.Modality for ds in objects] == ["SR", "OT", "OT", "OT", "OT"]
    assert [f"{ds.ImageLaterality}{ds.ImageComments.split()[1]}" for ds in objects[1:]] == [
        "RCC", "LCC", "RMLO", "LMLO",
    ]  # fmt: skip
    assert [int(ds.InstanceNumber) for ds in objects[1:]] == [1, 2, 3, 4]


def test_a_heat_map_states_its_view_source_and_compression() -> None:
    exam = digital_exam()
    view = exam.mammograms[2]

    ds = objects_of(exam, "findings")[3]

    assert ds.ViewCodeSequence[0].CodeValue == "399368009"
    assert list(ds.PatientOrientation) == ["P", "FL"]
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == view.sop_instance_uid
    assert ds.BurnedInAnnotation == "YES"
    assert ds.ImageType[0] == "DERIVED"
    assert ds.LossyImageCompression == "01"
    assert ds.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(ds.LossyImageCompressionRatio) > 1
    assert ds.StudyInstanceUID == view.header.StudyInstanceUID
    assert ds.SeriesInstanceUID not in {m.header.SeriesInstanceUID for m in exam.mammograms}


def test_the_pixel_spacing_grows_as_the_picture_shrinks() -> None:
    ds = objects_of(digital_exam(), "none")[1]

    # 512×400 pixels of 0.4 mm, shown as 256×200.
    assert (ds.Rows, ds.Columns) == (256, 200)
    assert list(ds.PixelSpacing) == [0.8, 0.8]


def test_no_spacing_is_claimed_for_film_that_states_none() -> None:
    assert "PixelSpacing" not in objects_of(film_exam(), "one_view")[1]


def test_the_red_of_the_stored_picture_lies_on_the_planted_peak() -> None:
    ds = objects_of(digital_exam(), "none")[1]

    picture = pixels(ds)

    redness = (picture[..., 0] - picture[..., 2])[90:160]  # the scale lies in a corner
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    # Top at 0.4 and 0.5 of a map that covers the middle 80 %.
    assert row + 90 == pytest.approx(256 * (0.1 + 0.8 * 0.4), abs=6)
    assert column == pytest.approx(200 * 0.5, abs=6)


def test_pydicom_reads_the_picture_as_colour() -> None:
    buffer = io.BytesIO()
    objects_of(digital_exam(), "none")[1].save_as(buffer, enforce_file_format=True)
    buffer.seek(0)

    ds = pydicom.dcmread(buffer)

    assert ds.pixel_array.shape == (256, 200, 3)


def test_earlier_lossy_steps_of_the_source_are_not_forgotten() -> None:
    exam = digital_exam(
        LossyImageCompression="01",
        LossyImageCompressionRatio=12.5,
        LossyImageCompressionMethod="ISO_15444_1",
    )

    ds = objects_of(exam, "none")[1]

    assert list(ds.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_10918_1"]
    assert float(ds.LossyImageCompressionRatio[0]) == 12.5


def painted(exam: Exam, result: ExamResult, index: int = 0) -> np.ndarray:
    """The picture of one scored view, in hanging order."""
    edition = Edition(exam, result, MADE_AT, longest_side=256)
    view, shown = edition.hanging_order()[index]
    image = image_of(exam, view.sop_instance_uid)
    picture = heat_map_picture(edition, view, shown, image, full(edition))
    return pixels(heat_map_image(edition, view, picture, index + 1, full(edition)))


def test_the_ensembles_map_is_shown_where_there_is_one_and_else_the_scorers() -> None:
    exam = digital_exam()
    result = result_of(exam, "systems")
    first, second = exam.mammograms[:2]

    shown = [shown_map(result, m.sop_instance_uid) for m in (first, second)]

    assert [m.algorithm for m in shown if m] == ["ensemble", "kim2018"]
    assert shown_map(result, "1.2.3") is None


def test_maps_of_single_networks_are_not_painted() -> None:
    exam = digital_exam()
    plain = result_of(exam, "none")
    cam = replace(heat_map(exam.mammograms[0], row=0.8), algorithm="kang2021-resnet101")

    with_cam = painted(exam, replace(plain, heat_maps=(cam, *plain.heat_maps)))

    assert (with_cam == painted(exam, plain)).all()


def test_the_ensembles_map_is_painted_where_its_peak_lies() -> None:
    exam = digital_exam()
    plain = result_of(exam, "none")
    silent = replace(plain.heat_maps[0], values=0 * plain.heat_maps[0].values)
    ensemble = replace(heat_map(exam.mammograms[0], row=0.6), algorithm="ensemble")

    picture = painted(exam, replace(plain, heat_maps=(silent, ensemble, *plain.heat_maps[1:])))

    redness = (picture[..., 0] - picture[..., 2])[90:220]
    row, _ = np.unravel_index(redness.argmax(), redness.shape)
    assert row + 90 == pytest.approx(256 * (0.1 + 0.8 * 0.6), abs=6)


def test_another_algorithm_of_the_same_map_makes_another_object() -> None:
    exam = digital_exam()
    plain = result_of(exam, "none")
    renamed = tuple(replace(m, algorithm="ensemble") for m in plain.heat_maps)

    editions = [Edition(exam, r, MADE_AT) for r in (plain, replace(plain, heat_maps=renamed))]

    assert editions[0].uid("heatmap", 1) != editions[1].uid("heatmap", 1)


def test_outlines_are_drawn_at_their_place_whatever_the_size_of_the_picture() -> None:
    square = ((100.0, 40.0), (100.0, 80.0), (180.0, 80.0), (180.0, 40.0))
    marked = replace(finding(digital_exam().mammograms[0]), outline=square)
    black = np.zeros((200, 100, 3), np.uint8)

    picture = outlined(black, [("1: 0.81", marked)], (400, 200))  # half as large

    # Edges at rows 50 and 90, columns 20 and 40; nothing inside.
    for row, column in [(50, 30), (90, 30), (70, 20), (70, 40)]:
        assert picture[row - 1 : row + 2, column - 1 : column + 2].max() == 255
    assert picture[55:85, 25:36].max() == 0


def test_an_outline_that_is_a_point_is_drawn_as_the_box() -> None:
    dot = replace(
        finding(digital_exam().mammograms[0]), outline=((5.0, 5.0),), box=Box(60, 20, 100, 60)
    )

    picture = outlined(np.zeros((200, 100, 3), np.uint8), [("1: 0.81", dot)], (200, 100))

    assert picture[99:102, 40].max() == 255


def test_findings_are_numbered_as_in_the_whole_exam() -> None:
    exam = digital_exam()
    result = result_of(exam, "systems")
    only_second = replace(result, findings=result.findings[1:2])

    # Finding 2 of three lies on the right MLO view; alone it would be number 1.
    difference = painted(exam, result, 2) != painted(exam, only_second, 2)

    assert difference.any()

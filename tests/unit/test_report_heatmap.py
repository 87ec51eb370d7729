"""Heat maps belong to their views, state what they are, and show them."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import get_frame

from tests.report_cases import digital_exam, film_exam, objects_of


def pixels(ds: Dataset) -> np.ndarray:
    """The picture as a decoder independent of pydicom's sees it."""
    jpeg = get_frame(ds.PixelData, 0, number_of_frames=1)
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


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

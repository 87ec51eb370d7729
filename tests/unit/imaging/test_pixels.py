"""imaging/grayscale.py and pixels.py: brightness as PS3.3 C.11 says, against pydicom's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from cadnode.domain import Intent, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.read import read_instance
from cadnode.imaging.grayscale import Window, brightness_table
from cadnode.imaging.pixels import load
from tests.synthetic import breast, set_pixels, view_dataset, write


def table(
    header: Dataset, bits: int = 8, *, signed: bool = False, counts: Any = None, **kw: Any
) -> np.ndarray:
    header.file_meta = Dataset()
    flat = np.ones(2**bits, np.int64) if counts is None else np.asarray(counts)
    return brightness_table(header, bits=bits, signed=signed, counts=lambda: flat, **kw)


def header(**attributes: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def lut(length: int, first: int, bits: int, data: list[int]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [length, first, bits])
    item.add_new("LUTData", "US", data)
    return item


def test_a_linear_window_has_the_standards_half_open_ends() -> None:
    # C.11.2.1.2.1 with center 128, width 5: 0 up to 125.5, 1 above 129.5, a step of 1/4.
    shown = table(header(WindowCenter="128", WindowWidth="5"))
    assert shown[[125, 126, 127, 128, 129, 130]].tolist() == [0, 0.125, 0.375, 0.625, 0.875, 1]


def test_a_window_of_width_one_is_a_threshold() -> None:
    shown = table(header(WindowCenter="100", WindowWidth="1"))
    assert shown[[99, 100]].tolist() == [0, 1]


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from([8, 10, 12]),
    signed=st.booleans(),
    center=st.floats(-3000, 5000),
    width=st.floats(2, 6000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.sampled_from([1.0, 0.5, 2.0]),
    intercept=st.sampled_from([0.0, -1024.0, 100.0]),
)
def test_windows_agree_with_pydicom(
    bits: int,
    signed: bool,
    center: float,
    width: float,
    function: str,
    slope: float,
    intercept: float,
) -> None:
    ds = header(
        WindowCenter=round(center, 2),
        WindowWidth=round(width, 2),
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        BitsStored=bits,
        PixelRepresentation=int(signed),
    )
    ds.PhotometricInterpretation = "MONOCHROME2"
    cells = np.arange(2**bits)
    stored = np.where(cells >= 2 ** (bits - 1), cells - 2**bits, cells) if signed else cells
    with np.errstate(over="ignore"):  # theirs, in narrow sigmoids
        theirs = apply_voi_lut(apply_modality_lut(stored.astype(np.int16), ds), ds)
    low = (-(2 ** (bits - 1)) if signed else 0) * slope + intercept
    high = ((2 ** (bits - 1) if signed else 2**bits) - 1) * slope + intercept
    expected = (theirs - low) / (high - low)
    np.testing.assert_allclose(table(ds, bits, signed=signed), expected, atol=2e-6)


def test_a_voi_lut_is_looked_up_clamped_and_scaled_by_its_bits() -> None:
    ds = header(VOILUTSequence=[lut(4, 100, 12, [0, 1000, 2000, 4095])], WindowCenter="1",
                WindowWidth="1")  # fmt: skip
    shown = table(ds)
    expected = np.array([0, 0, 1000, 2000, 4095, 4095]) / 4095
    np.testing.assert_allclose(shown[[0, 100, 101, 102, 103, 255]], expected, atol=1e-6)


def test_a_lut_in_bytes_and_a_signed_first_value_are_understood() -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [4, -2, 16])
    item.add_new("LUTData", "OW", np.array([0, 1, 2, 65535], "<u2").tobytes())
    shown = table(header(VOILUTSequence=[item]), signed=True)
    assert shown[[0x80, 0xFE, 0xFF, 0, 1, 0x7F]].tolist() == pytest.approx(
        [0, 0, 1 / 65535, 2 / 65535, 1, 1]
    )


def test_a_modality_lut_goes_before_the_window() -> None:
    ds = header(ModalityLUTSequence=[lut(3, 0, 16, [10, 30, 20])], WindowCenter="20",
                WindowWidth="20", VOILUTFunction="LINEAR_EXACT")  # fmt: skip
    assert table(ds)[[0, 1, 2, 200]].tolist() == [0, 1, 0.5, 0.5]


def test_of_several_windows_the_first_usable_is_taken() -> None:
    ds = header(WindowCenter=["1", "128"], WindowWidth=["0", "5"])
    assert np.array_equal(table(ds), table(header(WindowCenter="128", WindowWidth="5")))


def test_monochrome1_is_inverted_once_after_windowing() -> None:
    window = {"WindowCenter": "40", "WindowWidth": "30"}
    plain = table(header(**window))
    once = table(header(**window, PhotometricInterpretation="MONOCHROME1"))
    both = table(
        header(**window, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    )
    np.testing.assert_allclose(once, 1 - plain, atol=1e-6)
    np.testing.assert_array_equal(both, once)
    assert (once[0], once[255]) == (1, 0)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_background_in_both_polarities(photometric: str) -> None:
    ds = header(
        PixelPaddingValue=200, PixelPaddingRangeLimit=210, PhotometricInterpretation=photometric
    )
    shown = table(ds, voi=Window(128, 256))
    assert not shown[200:211].any()
    assert shown[199] > 0
    assert shown[211] > 0


def test_signed_padding_is_found_by_its_bits() -> None:
    shown = table(header(PixelPaddingValue=-128), signed=True, voi=Window(-500, 100))
    assert shown[0x80] == 0
    assert shown[0x81] == 1


def test_without_a_window_the_robust_range_outside_padding_is_stretched() -> None:
    counts = np.zeros(256, np.int64)
    counts[0], counts[50:101], counts[255] = 10**6, 1000, 1  # padding, tissue, one hot pixel
    shown = table(header(PixelPaddingValue=0), counts=counts)
    assert shown[[0, 50, 75, 100, 255]].tolist() == [0, 0, 0.5, 1, 1]


def test_a_flat_image_is_dark() -> None:
    counts = np.zeros(256, np.int64)
    counts[7] = 100
    assert not table(header(), counts=counts).any()


def test_a_given_window_replaces_the_headers() -> None:
    ds = header(WindowCenter="1", WindowWidth="1", VOILUTSequence=[lut(1, 0, 8, [9])])
    assert table(ds, voi=Window(128, 256, "LINEAR_EXACT"))[[0, 128]].tolist() == [0, 0.5]


def test_for_processing_is_shown_by_its_sign_not_its_photometric_interpretation() -> None:
    ds = header(
        PhotometricInterpretation="MONOCHROME2",
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=1,
        WindowCenter="1",
        WindowWidth="1",
    )
    shown = table(ds, intent=Intent.PROCESSING)
    assert (shown[1], shown[255]) == (1, 0)
    assert shown[16] == pytest.approx(0.5, abs=0.01)  # log 16 is half of log 256


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_same_scene_looks_the_same_in_any_pixel_format(
    tmp_path: Path, photometric: str, signed: bool, bits: int
) -> None:
    ds = view_dataset(rows=64, columns=48, photometric=photometric, signed=signed, bits_stored=bits)
    shown = load(read_instance(write(ds, tmp_path / "a.dcm")))
    assert (shown.dtype, shown.shape) == (np.float32, (64, 48))
    np.testing.assert_allclose(shown, breast(rows=64, columns=48), atol=1.1 / 2**bits)


def test_overlay_bits_above_and_below_the_stored_ones_are_ignored(tmp_path: Path) -> None:
    clean = load(read_instance(write(view_dataset(rows=64, columns=48), tmp_path / "a.dcm")))
    for high_bit, overlay in ((11, 0xF000), (13, 0xC003)):
        ds = view_dataset(rows=64, columns=48)
        values = np.frombuffer(ds.PixelData, "<u2").reshape(64, 48)
        set_pixels(ds, (values << (high_bit - 11)) | np.uint16(overlay), 12)
        ds.HighBit = high_bit
        shown = load(read_instance(write(ds, tmp_path / "b.dcm")))
        np.testing.assert_array_equal(shown, clean)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"BitsAllocated": 32}, SkipReason.PIXELS_UNSUPPORTED),
        ({"BitsStored": 17}, SkipReason.PIXELS_CORRUPT),
        ({"HighBit": 3}, SkipReason.PIXELS_CORRUPT),
        ({"Rows": 65}, SkipReason.TRUNCATED),
        ({"Rows": 65535, "Columns": 65535}, SkipReason.PIXELS_UNSUPPORTED),
    ],
)
def test_an_impossible_pixel_format_gets_a_reason(
    tmp_path: Path, overrides: dict[str, int], reason: SkipReason
) -> None:
    ds = view_dataset(rows=64, columns=48, **overrides)
    mammogram = read_instance(write(ds, tmp_path / "a.dcm"))
    with pytest.raises(NotProcessable) as caught:
        load(mammogram)
    assert caught.value.reason is reason

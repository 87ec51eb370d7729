"""exam/header.py: numbers in text, decimal commas, and what is known of those that mean nothing."""

import subprocess
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import numbers
from cadnode.exam.dicom_file import open_file, tolerant
from cadnode.exam.header import Header, settled
from cadnode.exam.read import exam_of, read_instance
from cadnode.imaging.pixels import load
from cadnode.report.identity import patient_and_study
from tests.synthetic import view_dataset, write


def header(vr: str | None = "DS", **values: bytes) -> Header:
    """What is read of these bytes, each under `vr`; None is implicit VR."""
    ds = Dataset()
    for keyword, value in values.items():
        put(ds, keyword, value, vr)
    with tolerant():
        return settled(ds)


def put(ds: Dataset, keyword: str, value: bytes, vr: str | None = "DS") -> None:
    tag = Tag(tag_for_keyword(keyword) or 0)
    value += b" " * (len(value) % 2)
    ds[tag] = RawDataElement(tag, vr, len(value), value, 0, vr is None, True, True)


@pytest.mark.parametrize("vr", ["DS", None, "LO", "SH", "UN"])
@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"2047,5", [2047.5]),
        (b" 2047,5 ", [2047.5]),
        (b"2047,5\0", [2047.5]),
        (b"-0,5", [-0.5]),
        (b"+12,25", [12.25]),
        (b",07", [0.07]),
        (b"0,070\\0,070", [0.07, 0.07]),
        (b"1,5e3", [1500]),
        (b"1,500E+03", [1500]),
        (b"2047,500", [2047.5]),
        (b"127,5\\ 2047,5 ", [127.5, 2047.5]),
        (b"1,000\\0,5", [1, 0.5]),
        (b"128\\2047,5", [128, 2047.5]),
    ],
)
def test_a_decimal_comma_is_a_point(vr: str | None, text: bytes, values: list[float]) -> None:
    found = header(vr, WindowCenter=text)
    assert numbers(found, "WindowCenter") == pytest.approx(values)
    assert found.repaired == ("WindowCenter",)
    assert not found.undecoded


@pytest.mark.parametrize("vr", ["DS", None, "UN"])
@pytest.mark.parametrize(
    "text",
    [
        b"1,234",  # a thousand and some, or one and some
        b"128,000",
        b"1.234,5",
        b"1,234.5",
        b"1,234,567",
        b"0.07,0.07",
        b"0.07 mm",
        b"2047,5abc",
        b"12 34",
        b"1_000",
        b"nan",
        b"-inf",
        b"1e999",
        b"0x10",
        b"abc",
        b",",
        b"--1",
        b"12\0\xc5\xff",
        b"2047.5\\abc",
    ],
)
def test_what_may_mean_two_things_or_none_is_named_and_not_used(
    vr: str | None, text: bytes
) -> None:
    found = header(vr, RescaleSlope=text, WindowWidth=b"12")
    assert numbers(found, "RescaleSlope") == ()
    assert found.undecoded == ("RescaleSlope",)
    assert numbers(found, "WindowWidth") == (12,)


@pytest.mark.parametrize(
    ("vr", "text", "values"),
    [
        ("DS", b"2047.5", [2047.5]),
        ("DS", b" 1e3 \\.5", [1000, 0.5]),
        ("DS", b"5.", [5]),
        ("IS", b"1024", [1024]),
        ("IS", b"1024.0", [1024]),
    ],
)
def test_plain_numbers_are_neither_repaired_nor_lost(
    vr: str, text: bytes, values: list[float]
) -> None:
    keyword = "WindowCenter" if vr == "DS" else "SeriesNumber"
    found = header(vr, **{keyword: text})
    assert numbers(found, keyword) == tuple(values)
    assert (found.repaired, found.undecoded) == ((), ())


def test_a_writer_of_decimal_commas_does_not_group_thousands() -> None:
    found = header(DistanceSourceToDetector=b"660,000", ImagerPixelSpacing=b"0,085\\0,085")
    assert numbers(found, "DistanceSourceToDetector") == (660,)
    other = header(DistanceSourceToDetector=b"660,000", ImagerPixelSpacing=b"0.085\\0.085")
    assert other.undecoded == ("DistanceSourceToDetector",)


@settings(max_examples=200, deadline=None)
@given(value=st.decimals(-9999, 9999, places=4))
def test_a_comma_in_place_of_the_point_gives_the_same_number(value: object) -> None:
    text = str(value)
    assert numbers(header(WindowCenter=text.replace(".", ",").encode()), "WindowCenter") == (
        float(text),
    )


def test_items_have_their_own_records() -> None:
    ds, item = Dataset(), Dataset()
    put(item, "ExposureTime", b"12,5")
    put(item, "DistanceSourceToDetector", b"far")
    ds.add_new("ViewCodeSequence", "SQ", [item])
    found = header()
    with tolerant():
        found = settled(ds)
    assert (found.repaired, found.undecoded) == ((), ())
    assert found.ViewCodeSequence[0].undecoded == ("DistanceSourceToDetector",)


def test_an_element_of_an_impossible_length_is_named() -> None:
    ds = Dataset()
    tag = Tag(0x00280120)
    ds[tag] = RawDataElement(tag, "US", 1, b"\xff", 0, False, True, True)
    private = Tag(0x00110010)
    ds[private] = RawDataElement(private, "FD", 3, b"abc", 0, False, True, True)
    with tolerant():
        found = settled(ds)
    assert set(found.undecoded) == {"PixelPaddingValue", "(0011,0010)"}
    assert len(found) == 0


def test_a_repaired_number_is_copied_as_the_standard_writes_it(tmp_path: Path) -> None:
    ds = view_dataset(rows=40, columns=32)
    put(ds, "PatientWeight", b"61,5")
    put(ds, "PatientSize", b"tall")
    with tolerant():
        path = write(ds, tmp_path / "a.dcm")
    copy = patient_and_study(open_file(path).header)
    raw = copy.get_item("PatientWeight")
    assert raw is not None
    assert raw.value in (61.5, b"61.5")
    copy.SOPClassUID, copy.SOPInstanceUID, copy.file_meta = ds.SOPClassUID, "1.2.3", ds.file_meta
    with tolerant():
        again = write(copy, tmp_path / "b.dcm")
    assert dcmread(again).PatientWeight == 61.5
    dcmdump = which("dcmdump")
    assert dcmdump, "DCMTK is missing: deploy/system-packages.sh test"
    shown = subprocess.run([dcmdump, again], capture_output=True, check=True).stdout
    assert b"[61.5]" in shown


WINDOWS = [
    (b"2047,5", b"4095,0", "2047.5", "4095"),
    (b" 1000,25 ", b"2000,5", "1000.25", "2000.5"),
    (b"2047,5\\100", b"4095\\200", "2047.5", "4095"),
    (b"2047.5\\", b"4095\\", "2047.5", "4095"),
    (b"\\2047.5", b"\\4095", "2047.5", "4095"),
    (b"5\\2047,5", b"0\\4095", "2047.5", "4095"),
]


@pytest.mark.parametrize(("center", "width", "plain_center", "plain_width"), WINDOWS)
def test_a_window_with_decimal_commas_is_the_one_with_points(
    tmp_path: Path, center: bytes, width: bytes, plain_center: str, plain_width: str
) -> None:
    ds = view_dataset(rows=40, columns=32, WindowCenter=plain_center, WindowWidth=plain_width)
    plain = load(read_instance(write(ds, tmp_path / "a.dcm")))
    put(ds, "WindowCenter", center)
    put(ds, "WindowWidth", width)
    with tolerant():
        odd = write(ds, tmp_path / "b.dcm")
    np.testing.assert_array_equal(load(read_instance(odd)), plain)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"WindowCenter": b"middle"}, "WindowCenter"),
        ({"WindowCenter": b"1,234"}, "WindowCenter"),
        ({"WindowCenter": b"1_000"}, "WindowCenter"),
        ({"WindowWidth": b"4,096"}, "WindowWidth"),
        ({"WindowWidth": b"0"}, "WindowWidth"),
        ({"WindowWidth": b"-5"}, "WindowWidth"),
        ({"WindowWidth": b""}, "WindowWidth"),
        ({"WindowCenter": b""}, "WindowCenter"),
        ({"RescaleSlope": b"1,000"}, "RescaleSlope"),
        ({"RescaleIntercept": b"none"}, "RescaleIntercept"),
        ({"RescaleSlope": b"0", "RescaleIntercept": b"5"}, "RescaleSlope"),
    ],
)
def test_a_window_or_rescale_that_means_nothing_is_a_reason_not_another_picture(
    tmp_path: Path, values: dict[str, bytes], named: str
) -> None:
    ds = view_dataset(rows=40, columns=32)
    for keyword, value in values.items():
        put(ds, keyword, value)
    with tolerant():
        path = write(ds, tmp_path / "a.dcm")
    with pytest.raises(NotProcessable) as caught:
        load(read_instance(path))
    assert caught.value.reason is SkipReason.PIXELS_UNSUPPORTED
    assert caught.value.detail == f"{named} is unusable"


@pytest.mark.parametrize("keyword", ["BitsStored", "HighBit", "PixelRepresentation"])
def test_a_pixel_format_that_cannot_be_decoded_is_not_guessed(tmp_path: Path, keyword: str) -> None:
    path = write(view_dataset(rows=40, columns=32), tmp_path / "a.dcm")
    tag = Tag(tag_for_keyword(keyword) or 0)
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + b"US"
    whole = path.read_bytes()
    at = whole.index(head) + 6
    path.write_bytes(whole[:at] + b"\1\0" + whole[at + 2 : at + 3] + whole[at + 4 :])
    with pytest.raises(NotProcessable) as caught:
        load(read_instance(path))
    assert caught.value.reason is SkipReason.PIXELS_CORRUPT
    assert caught.value.detail == f"{keyword} cannot be decoded"


@pytest.mark.parametrize("values", [{}, {"WindowCenter": b"", "WindowWidth": b""}])
def test_no_window_is_no_reason(tmp_path: Path, values: dict[str, bytes]) -> None:
    ds = view_dataset(rows=40, columns=32, WindowCenter=None, WindowWidth=None)
    for keyword, value in values.items():
        put(ds, keyword, value)
    shown = load(read_instance(write(ds, tmp_path / "a.dcm")))
    assert (shown.min(), shown.max()) == (0, 1)


def test_spacing_with_decimal_commas_is_used(tmp_path: Path) -> None:
    ds = view_dataset(rows=40, columns=32)
    put(ds, "ImagerPixelSpacing", b"0,085\\0,085")
    put(ds, "EstimatedRadiographicMagnificationFactor", b"1,07")
    with tolerant():
        write(ds, tmp_path / "a.dcm")
    (mammogram,) = exam_of([tmp_path]).mammograms
    assert mammogram.spacing_mm == pytest.approx((0.085 / 1.07, 0.085 / 1.07))

"""imaging/grayscale.py: lookup tables, padding and polarity of writers that get them wrong."""

import struct
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import tolerant
from cadnode.exam.read import read_instance
from cadnode.imaging.grayscale import Window, brightness_table
from cadnode.imaging.pixels import load
from tests.encoding import labelled
from tests.synthetic import set_pixels, stored_values, view_dataset, write

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def table(ds: Dataset, bits: int, *, signed: bool = False, **kw: Any) -> np.ndarray:
    ds.file_meta = Dataset()
    flat = np.ones(2**bits, np.int64)
    return brightness_table(ds, bits=bits, signed=signed, counts=lambda: flat, **kw)


def header(**attributes: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def lut(descriptor: tuple[int, int, int], data: Any, vr: str = "OW", of: str = "US") -> Dataset:
    """A LUT item; negative numbers of the descriptor go with VR SS."""
    item = Dataset()
    item.add_new("LUTDescriptor", of, list(descriptor))
    if isinstance(data, np.ndarray):
        data = data.astype("<u2").tobytes() if vr == "OW" else data.tolist()
    item.add_new("LUTData", vr, data)
    return item


def curve(length: int, bits: int) -> np.ndarray:
    """Rising entries that end at the greatest value of `bits`."""
    return np.round((2**bits - 1) * np.linspace(0, 1, length) ** 1.3).astype(np.int64)


@pytest.mark.parametrize("vr", ["OW", "US", "SS"])
@pytest.mark.parametrize("stated", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_lut_is_as_bright_as_its_entries_whatever_bits_it_states(
    bits: int, stated: int, vr: str
) -> None:
    entries = curve(4096, bits)
    if vr == "SS":
        entries = np.where(entries > 32767, entries - 65536, entries)
    shown = table(header(VOILUTSequence=[lut((4096, 0, stated), entries, vr)]), 12)
    np.testing.assert_allclose(shown, curve(4096, bits) / (2**bits - 1), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(2, 300),
    first=st.integers(0, 200),
    bits=st.sampled_from([8, 10, 12, 14, 16]),
)
def test_a_right_lut_is_shown_as_pydicom_shows_it(length: int, first: int, bits: int) -> None:
    ds = header(
        VOILUTSequence=[lut((length, first, bits), curve(length, bits), "US")],
        PixelRepresentation=0,
        BitsStored=8,
    )
    theirs = apply_voi_lut(np.arange(256, dtype=np.uint16), ds)
    np.testing.assert_allclose(table(ds, 8), theirs / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize(
    ("greatest", "top"), [(4000, 4095), (30000, 65535), (5000, 16383), (1025, 4095)]
)
def test_a_lut_that_ends_a_little_lower_keeps_its_scale(greatest: int, top: int) -> None:
    entries = np.linspace(0, greatest, 256).astype(np.int64)
    shown = table(header(VOILUTSequence=[lut((256, 0, 16), entries)]), 8)
    np.testing.assert_allclose(shown, entries / top, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_a_lut_one_above_the_end_of_its_bits_is_not_made_dark(bits: int) -> None:
    entries = np.linspace(0, 2**bits, 256).astype(np.int64)
    shown = table(header(VOILUTSequence=[lut((256, 0, 16), entries)]), 8)
    np.testing.assert_allclose(shown, np.minimum(entries / (2**bits - 1), 1), atol=1e-6)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("length", [255, 256, 4096])
@pytest.mark.parametrize("layout", ["words", "bytes", "stated 16"])
def test_eight_bit_entries_are_read_in_words_and_packed_in_any_byte_order(
    tmp_path: Path, layout: str, length: int, syntax: str
) -> None:
    entries = curve(length, 8)
    reference = view_dataset(rows=40, columns=32, WindowCenter=None, WindowWidth=None)
    reference.VOILUTSequence = [lut((length, 0, 8), entries, "US")]
    data = (
        entries.astype("<u2").tobytes()
        if layout == "words"
        else entries.astype("u1").tobytes() + b"\0" * (length % 2)
    )
    ds = deepcopy(reference)
    if syntax == ExplicitVRBigEndian:
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    ds.VOILUTSequence = [lut((length, 0, 16 if layout == "stated 16" else 8), data)]
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, syntax, syntax))
    expected = entries[np.minimum(stored_values(ds), length - 1)] / 255
    np.testing.assert_allclose(load(read_instance(path)), expected, atol=1e-6)
    np.testing.assert_allclose(
        load(read_instance(write(reference, tmp_path / "b.dcm"))), expected, atol=1e-6
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_word_entries_are_read_in_any_byte_order(
    tmp_path: Path, sequence: str, syntax: str
) -> None:
    ds = view_dataset(rows=40, columns=32)
    entries = curve(4096, 12)
    if sequence == "VOILUTSequence":
        del ds.WindowCenter, ds.WindowWidth
    else:
        del ds.RescaleSlope, ds.RescaleIntercept
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = "2047.5", "4095", "LINEAR_EXACT"
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    setattr(ds, sequence, [lut((4096, 0, 16), entries.astype(order).tobytes())])
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, syntax, syntax))
    shown = load(read_instance(path))
    np.testing.assert_allclose(shown, entries[stored_values(ds)] / 4095, atol=1e-6)


@pytest.mark.parametrize("of", ["US", "SS"])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("signed", "bits", "first"),
    [(True, 12, -2048), (True, 16, -32768), (True, 12, -5), (True, 12, 100), (False, 16, 40000),
     (False, 12, 0), (False, 16, 65535), (True, 16, 20000)],
)  # fmt: skip
def test_the_first_mapped_value_is_found_under_either_vr(
    tmp_path: Path, signed: bool, bits: int, first: int, syntax: str, of: str
) -> None:
    length = 4096
    entries = curve(length, 12)
    ds = view_dataset(rows=40, columns=32, signed=signed, bits_stored=bits)
    del ds.WindowCenter, ds.WindowWidth
    ds.RescaleIntercept = "0"
    dtype = f"{'i' if signed else 'u'}2"
    low = -(2 ** (bits - 1)) if signed else 0
    values = np.linspace(low, low + 2**bits - 1, 1280).astype(np.int64).reshape(40, 32)
    set_pixels(ds, values.astype(f"<{dtype}"), bits)
    word = first % 65536
    stated = word - 65536 if of == "SS" and word > 32767 else word
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    ds.VOILUTSequence = [lut((length, stated, 12), entries.astype(order).tobytes(), of=of)]
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, syntax, syntax))
    expected = entries[np.clip(values - first, 0, length - 1)] / 4095
    np.testing.assert_allclose(load(read_instance(path)), expected, atol=1e-6)


def test_the_sign_of_what_the_modality_lut_gives_decides_not_that_of_the_pixels() -> None:
    entries = curve(4096, 12)
    ds = header(RescaleSlope="1", RescaleIntercept="-2048",
                VOILUTSequence=[lut((4096, 63488, 12), entries)])  # fmt: skip
    np.testing.assert_allclose(table(ds, 12), entries / 4095, atol=1e-6)
    back = header(RescaleSlope="1", RescaleIntercept="2048",
                  VOILUTSequence=[lut((4096, 0, 12), entries)])  # fmt: skip
    np.testing.assert_allclose(
        table(back, 12, signed=True), np.roll(entries, 2048) / 4095, atol=1e-6
    )


def test_a_negative_first_value_that_unsigned_pixels_can_only_mean_so_is_taken() -> None:
    entries = curve(4097, 12)
    shown = table(header(VOILUTSequence=[lut((4097, -1, 12), entries, of="SS")]), 12)
    np.testing.assert_allclose(shown, entries[1:] / 4095, atol=1e-6)


@pytest.mark.parametrize("of", ["US", "SS"])
def test_length_0_is_65536(of: str) -> None:
    entries = np.arange(65536)
    shown = table(header(VOILUTSequence=[lut((0, 0, 16), entries, of=of)]), 16)
    np.testing.assert_allclose(shown, entries / 65535, atol=1e-6)


def test_a_length_over_32767_is_read_under_ss() -> None:
    entries = curve(40000, 16)
    with tolerant():
        item = lut((40000 - 65536, 0, 16), entries, of="SS")
        shown = table(header(VOILUTSequence=[item]), 16)
    np.testing.assert_allclose(shown[:40000], entries / 65535, atol=1e-6)
    assert (shown[40000:] == 1).all()


@pytest.mark.parametrize(
    "item",
    [
        lut((4096, 0, 12), curve(100, 12)),
        lut((4096, 0, 12), b""),
        lut((0, 0, 12), curve(4096, 12)),
    ],
)
def test_a_lut_without_its_entries_is_a_reason_unless_there_is_a_window(item: Dataset) -> None:
    with pytest.raises(NotProcessable) as caught:
        table(header(VOILUTSequence=[item]), 12)
    assert caught.value.reason is SkipReason.PIXELS_UNSUPPORTED
    assert caught.value.detail == "VOILUTSequence is unusable"
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    np.testing.assert_array_equal(
        table(header(VOILUTSequence=[item], **window), 12), table(header(**window), 12)
    )
    with pytest.raises(NotProcessable, match="ModalityLUTSequence"):
        table(header(ModalityLUTSequence=[item], **window), 12)


PADDING = [  # bits, signed, value as stated, the stored value that it means
    (12, False, 65535, None), (12, False, 4096, None), (12, False, -1, None),
    (12, False, -2000, None), (12, False, 4095, 4095), (12, False, 0, 0), (12, False, 63536, None),
    (16, False, 65535, 65535), (16, False, -1, 65535), (16, False, -2000, 63536),
    (16, True, 63536, -2000), (16, True, -2000, -2000), (16, True, 32768, -32768),
    (12, True, 63536, -2000), (12, True, -2000, -2000), (12, True, 2096, -2000),
    (12, True, 65535, -1), (12, True, 4095, -1), (12, True, 4096, None), (12, True, -2049, None),
    (12, True, 40000, None), (8, False, 255, 255), (8, False, 256, None), (8, False, 65535, None),
    (8, False, -1, None), (8, True, 200, -56), (8, True, 65480, -56), (10, False, 1024, None),
    (14, False, 16384, None), (14, False, 16383, 16383),
]  # fmt: skip


@pytest.mark.parametrize(("bits", "signed", "stated", "meant"), PADDING)
def test_a_padding_value_matches_what_it_means_or_nothing(
    bits: int, signed: bool, stated: int, meant: int | None
) -> None:
    bright = Window(-(10**6), 100)
    shown = table(header(PixelPaddingValue=stated), bits, signed=signed, voi=bright)
    expected = [] if meant is None else [meant % 2**bits]
    assert np.flatnonzero(shown == 0).tolist() == expected


@settings(max_examples=150, deadline=None)
@given(bits=st.integers(2, 12), signed=st.booleans(), word=st.integers(0, 65535))
def test_either_vr_of_a_padding_value_means_the_same(bits: int, signed: bool, word: int) -> None:
    dark = [
        np.flatnonzero(
            table(header(PixelPaddingValue=v), bits, signed=signed, voi=Window(-(10**6), 100)) == 0
        ).tolist()
        for v in (word, struct.unpack("<h", struct.pack("<H", word))[0])
    ]
    assert dark[0] == dark[1]
    assert len(dark[0]) <= 1


@pytest.mark.parametrize(
    ("bits", "signed", "first", "last", "cells"),
    [
        (12, False, 0, 30, range(31)),
        (12, False, 30, 0, range(31)),
        (12, False, 4000, 65535, [4000]),
        (12, False, 65535, 4000, []),
        (12, False, 0, 4095, [0]),
        (12, True, 63536, 63546, range(2096, 2107)),
        (12, True, -2048, -2000, range(2048, 2097)),
        (12, True, -3, 2, [*range(3), *range(4093, 4096)]),
        (16, True, 63536, -1990, range(63536, 63547)),
    ],
)
def test_a_padding_range_holds_the_values_between_its_ends(
    bits: int, signed: bool, first: int, last: int, cells: Any
) -> None:
    ds = header(PixelPaddingValue=first, PixelPaddingRangeLimit=last)
    shown = table(ds, bits, signed=signed, voi=Window(-(10**6), 100))
    assert np.flatnonzero(shown == 0).tolist() == list(cells)


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("signed", [False, True])
def test_integers_under_a_vr_of_bytes_are_read(tmp_path: Path, vr: str, signed: bool) -> None:
    ds = view_dataset(rows=40, columns=32, signed=signed)
    del ds.WindowCenter, ds.WindowWidth
    entries, first = curve(4096, 12), -2048 if signed else 0
    ds.RescaleIntercept = "0"
    ds.VOILUTSequence = [lut((4096, first % 65536, 16), entries)]
    plain = load(read_instance(write(ds, tmp_path / "a.dcm")))
    item = ds.VOILUTSequence[0]
    del item.LUTDescriptor
    item.add_new(0x00283002, vr, struct.pack("<3H", 4096, first % 65536, 16))
    ds.add_new(0x00280120, vr, b"\xff\xff" if not signed else struct.pack("<h", 2047))
    mammogram = read_instance(write(ds, tmp_path / "b.dcm"))
    assert mammogram.header.repaired == ("PixelPaddingValue",)
    np.testing.assert_array_equal(load(mammogram), plain)


@pytest.mark.parametrize("vr", ["US", "SS", "UN"])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_saturated_tissue_stays_bright_beside_an_impossible_padding_value(
    tmp_path: Path, syntax: str, vr: str
) -> None:
    ds = view_dataset(rows=40, columns=32)
    set_pixels(ds, np.minimum(stored_values(ds) * 2.5, 4095).astype("<u2"), 12)
    plain = load(read_instance(write(ds, tmp_path / "a.dcm")))
    assert (plain == 1).sum() > 20
    value = {"US": 65535, "SS": -1, "UN": b"\xff\xff"}[vr]
    ds.add_new(0x00280120, vr, value)
    path = tmp_path / "b.dcm"
    path.write_bytes(labelled(ds, syntax, syntax))
    np.testing.assert_array_equal(load(read_instance(path)), plain)


@pytest.mark.parametrize(("slope", "intercept"), [("-1", "4095"), ("-0.5", "100"), ("2", "-5")])
def test_a_negative_slope_is_applied_as_it_is(slope: str, intercept: str) -> None:
    ds = header(RescaleSlope=slope, RescaleIntercept=intercept, WindowCenter="1000",
                WindowWidth="3000", BitsStored=12, PixelRepresentation=0,
                PhotometricInterpretation="MONOCHROME2")  # fmt: skip
    values = np.arange(4096)
    ends = sorted(float(slope) * end + float(intercept) for end in (0, 4095))
    theirs = np.clip((values * float(slope) + float(intercept) - 999.5) / 2999 + 0.5, 0, 1)
    np.testing.assert_allclose(table(ds, 12), theirs, atol=1e-6)
    assert apply_modality_lut(values, ds).min() == ends[0]


@pytest.mark.parametrize("intercept", ["0", None])
def test_slope_0_without_an_intercept_is_a_placeholder(intercept: str | None) -> None:
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    ds = header(RescaleSlope="0", RescaleIntercept=intercept, **window)
    np.testing.assert_array_equal(table(ds, 12), table(header(**window), 12))


@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_air_is_black_where_shape_and_photometric_interpretation_contradict_each_other(
    tmp_path: Path, photometric: str, shape: str
) -> None:
    """Whether the writer inverted the pixels or not: the same scene looks the same."""
    right = load(read_instance(write(view_dataset(rows=64, columns=48), tmp_path / "right")))
    stored_as = {photometric}
    if (shape == "INVERSE") != (photometric == "MONOCHROME1"):
        stored_as = {"MONOCHROME1", "MONOCHROME2"}
    for stored in stored_as:
        ds = view_dataset(rows=64, columns=48, photometric=stored)
        ds.PhotometricInterpretation, ds.PresentationLUTShape = photometric, shape
        shown = load(read_instance(write(ds, tmp_path / "a")))
        np.testing.assert_allclose(shown, right, atol=2e-4)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_air_that_is_all_padding_settles_a_contradiction_too(
    tmp_path: Path, photometric: str
) -> None:
    ds = view_dataset(rows=64, columns=48, photometric=photometric)
    values = stored_values(ds).copy()
    air = load(read_instance(write(ds, tmp_path / "a"))) < 0.15
    values[air] = 4095 if photometric == "MONOCHROME1" else 0
    set_pixels(ds, values, 12)
    ds.PixelPaddingValue = int(values[air][0])
    right = load(read_instance(write(ds, tmp_path / "a")))
    ds.PresentationLUTShape = "IDENTITY" if photometric == "MONOCHROME1" else "INVERSE"
    np.testing.assert_array_equal(load(read_instance(write(ds, tmp_path / "a"))), right)


def test_a_contradiction_that_the_image_does_not_settle_is_a_reason() -> None:
    ds = header(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY",
                WindowCenter="2048", WindowWidth="4096")  # fmt: skip
    with pytest.raises(NotProcessable, match="PresentationLUTShape is unusable"):
        table(ds, 12)  # as many dark as bright pixels

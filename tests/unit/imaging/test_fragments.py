"""One frame in any fragments is one frame, whatever the offset tables say (PS3.5 A.4)."""

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file
from cadnode.exam.read import read_instance
from cadnode.imaging.decode import single_frame, stored_codes
from tests.encoding import item
from tests.synthetic import encode, set_pixels, stored_values, view_dataset, write

SYNTAXES = (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless)
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
by_name = pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda s: UID(s).name)


def encoded(syntax: str) -> tuple[Dataset, bytes]:
    ds = encode(view_dataset(rows=40, columns=32), syntax)
    return ds, get_frame(ds.PixelData, 0, number_of_frames=1)


def cut(frame: bytes, n_parts: int) -> list[bytes]:
    """Fragments of even length, as they must be."""
    size = max(len(frame) // n_parts & ~1, 2)
    return [frame[at : at + size] for at in range(0, len(frame), size)]


def put(ds: Dataset, items: bytes) -> Dataset:
    ds.PixelData = items
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds


def tables(parts: list[bytes]) -> dict[str, bytes]:
    offsets = np.cumsum([0] + [len(part) + 8 for part in parts])[:-1].astype("<u4")
    return {
        "empty": item(b""),
        "right": item(bytes(4)),
        "per fragment": item(offsets.tobytes()),
        "of two frames": item(struct.pack("<2I", 0, int(offsets[len(offsets) // 2]))),
        "beyond the end": item(struct.pack("<2I", 0, 0xFFFFFF00)),
        "not at the start": item(struct.pack("<I", 4)),
        "of half an entry": item(b"\0\0"),
        "absent": b"",
    }


@by_name
@pytest.mark.parametrize("n_parts", [1, 2, 7, 40])
def test_a_frame_is_joined_whatever_the_basic_offset_table_says(
    tmp_path: Path, syntax: str, n_parts: int
) -> None:
    ds, frame = encoded(syntax)
    expected = stored_values(view_dataset(rows=40, columns=32))
    parts = cut(frame, n_parts)
    if syntax == RLELossless and len(parts[0]) < 64:
        parts = [frame[:64], *cut(frame[64:], n_parts)]  # else an absent table is undecidable
    for name, table in tables(parts).items():
        put(ds, table + b"".join(map(item, parts)))
        for frames in (None, 1):
            ds.NumberOfFrames = frames
            cells = stored_codes(read_instance(write(ds, tmp_path / "a")))[0]
            np.testing.assert_array_equal(cells, expected, err_msg=name)


@by_name
@pytest.mark.parametrize("where", ["first", "between", "last", "everywhere"])
def test_empty_fragments_hold_nothing(tmp_path: Path, syntax: str, where: str) -> None:
    ds, frame = encoded(syntax)
    one, two = cut(frame, 2)[0], b"".join(cut(frame, 2)[1:])
    parts = {
        "first": [b"", one, two],
        "between": [one, *[b""] * 30, two],
        "last": [one, two, b""],
        "everywhere": [b"", b"", one, b"", two, b"", b""],
    }[where]
    path = write(put(ds, item(b"") + b"".join(map(item, parts))), tmp_path / "a")
    np.testing.assert_array_equal(
        stored_codes(read_instance(path))[0], stored_values(view_dataset(rows=40, columns=32))
    )


@by_name
@pytest.mark.parametrize("lengths", ["right", "wrong", "absent"])
def test_an_extended_offset_table_changes_nothing(
    tmp_path: Path, syntax: str, lengths: str
) -> None:
    ds, frame = encoded(syntax)
    parts = cut(frame, 3)
    put(ds, item(b"") + b"".join(map(item, parts)))
    ds.ExtendedOffsetTable = struct.pack("<Q", 0 if lengths == "right" else 12345678)
    if lengths != "absent":
        ds.ExtendedOffsetTableLengths = struct.pack("<Q", len(frame) if lengths == "right" else 7)
    cells = stored_codes(read_instance(write(ds, tmp_path / "a")))[0]
    np.testing.assert_array_equal(cells, stored_values(view_dataset(rows=40, columns=32)))


@by_name
@pytest.mark.parametrize("after", ["nothing", "padding"])
def test_a_missing_sequence_delimiter_loses_no_pixel(
    tmp_path: Path, syntax: str, after: str
) -> None:
    ds, frame = encoded(syntax)
    path = write(put(ds, item(b"") + b"".join(map(item, cut(frame, 5)))), tmp_path / "a")
    whole = path.read_bytes()
    assert whole.endswith(DELIMITER)
    trailer = {"nothing": b"", "padding": b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0"}[after]
    path.write_bytes(whole.removesuffix(DELIMITER) + trailer)
    np.testing.assert_array_equal(
        stored_codes(read_instance(path))[0], stored_values(view_dataset(rows=40, columns=32))
    )


@by_name
def test_a_file_cut_between_two_fragments_is_no_image(tmp_path: Path, syntax: str) -> None:
    ds, frame = encoded(syntax)
    parts = cut(frame, 6)
    path = write(put(ds, item(b"") + b"".join(map(item, parts))), tmp_path / "a")
    whole = path.read_bytes().removesuffix(DELIMITER)
    for kept in range(1, len(parts)):
        lost = sum(len(part) + 8 for part in parts[kept:])
        path.write_bytes(whole[:-lost])
        with pytest.raises(NotProcessable) as caught:
            stored_codes(read_instance(path))
        assert caught.value.reason in (SkipReason.TRUNCATED, SkipReason.PIXELS_CORRUPT)
        if syntax != RLELossless:
            assert open_file(path).damage is SkipReason.TRUNCATED


@settings(max_examples=100, deadline=None)
@given(
    frame=st.binary(min_size=1, max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    table=st.sampled_from([b"", bytes(4), b"\0\0\0\0\x10\0\0\0", b"\0\0\0\0\xff\xff\xff\xff"]),
    ends=st.booleans(),
)
def test_any_fragmentation_joins_to_the_stream(
    frame: bytes, cuts: list[int], table: bytes, ends: bool
) -> None:
    at = [0, *sorted(min(c, len(frame)) for c in cuts), len(frame)]
    parts = [frame[first:last] for first, last in pairwise(at)]
    value = item(table) + b"".join(map(item, parts)) + (DELIMITER if ends else b"")
    assert single_frame(value) == frame


@pytest.mark.parametrize("value", [b"", item(b""), item(b"") + item(b""), b"\xff\xd8\xff\xd9" * 9])
def test_what_holds_no_stream_is_corrupt(value: bytes) -> None:
    with pytest.raises(NotProcessable) as caught:
        single_frame(value)
    assert caught.value.reason is SkipReason.PIXELS_CORRUPT


def test_the_delimiters_bytes_in_a_literal_run_are_pixels(tmp_path: Path) -> None:
    """The delimiter's bytes may occur in compressed pixels: fragments have lengths."""
    row = np.array([[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]] * 8, np.uint8)
    ds = view_dataset(rows=40, columns=32)
    set_pixels(ds, row, 8)
    runs = b"".join(bytes([7]) + line.tobytes() for line in row)
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + runs
    ds.file_meta.TransferSyntaxUID = RLELossless
    path = tmp_path / "a"
    write(put(ds, item(b"") + item(frame)), path)
    np.testing.assert_array_equal(stored_codes(read_instance(path))[0], row)


def test_left_justified_values_are_shifted_where_the_stream_has_whole_cells(
    tmp_path: Path,
) -> None:
    plain = view_dataset(rows=40, columns=32)
    for syntax in SYNTAXES:
        ds = view_dataset(rows=40, columns=32)
        set_pixels(ds, stored_values(plain) << 4, 16)
        ds = encode(ds, syntax)
        ds.BitsStored, ds.HighBit = 12, 15
        path = write(ds, tmp_path / "a")
        np.testing.assert_array_equal(
            stored_codes(read_instance(path))[0], stored_values(plain), err_msg=UID(syntax).name
        )
        assert int(dcmread(path).BitsStored) == 12

"""Small files that state or expand to any size: a coded reason or the good rest, and no memory."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam import bounded, header
from cadnode.exam.dicom_file import open_file, read_pixel_data, tolerant
from cadnode.exam.header import settled
from cadnode.exam.markings.marking import points_of
from cadnode.exam.read import read_instance
from cadnode.imaging.decode import stored_codes
from cadnode.limits import DEPTH, MIB, SHAPE_POINTS
from cadnode.receive.identity import read_file_identity
from tests.synthetic import encode, stored_values, view_dataset, write

MOST_BYTES = 40 * MIB  # of Python's allocations; every bomb here makes more, if it is let


def deflated(tmp_path: Path, n_mb: int, *, group: int = 0x29, pixel_tail_mb: int = 0) -> Path:
    """A whole view, deflated, with `n_mb` MB of zeros in a private element of that group."""
    plain = io.BytesIO()
    ds = view_dataset(rows=64, columns=48)
    dcmwrite(plain, ds, implicit_vr=False, little_endian=True)
    raw = plain.getvalue()
    start = 0 if raw[128:132] != b"DICM" else 132
    at = raw.find(struct.pack("<HH2s", 0x0008, 0x0005, b"CS"), start)
    body = raw[at if at >= 0 else raw.find(b"\x08\x00\x08\x00CS") :]
    cut = next(i for i in range(0, len(body), 2) if body[i : i + 4] == b"\x28\x00\x02\x00")
    head = struct.pack("<HH2sH", group, 0x10, b"LO", 4) + b"BOMB"
    head += struct.pack("<HH2sHI", group, 0x1010, b"OB", 0, n_mb << 20)
    if group < 0x20:
        cut = next(i for i in range(0, len(body), 2) if body[i : i + 4] == b"\x10\x00\x10\x00")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = [packer.compress(body[:cut] + (head if n_mb else b""))]
    out += [packer.compress(bytes(MIB)) for _ in range(n_mb)]
    out += [packer.compress(body[cut:])]
    out += [packer.compress(bytes(MIB)) for _ in range(pixel_tail_mb)]
    path = write(encode(ds, DeflatedExplicitVRLittleEndian), tmp_path / "a.dcm")
    meta = path.read_bytes()
    length = int.from_bytes(meta[140:144], "little")
    path.write_bytes(meta[: 144 + length] + b"".join(out) + packer.flush())
    return path


class Peak:
    """The most memory that Python took within the block."""

    def __enter__(self) -> "Peak":
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.n_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def test_a_large_private_value_in_a_deflated_view_is_passed_over(tmp_path: Path) -> None:
    path = deflated(tmp_path, 60)
    assert path.stat().st_size < MIB
    with Peak() as peak:
        cells = stored_codes(read_instance(path))[0]
    np.testing.assert_array_equal(cells, stored_values(view_dataset(rows=64, columns=48)))
    assert peak.n_bytes < MOST_BYTES


def test_a_header_that_inflates_without_end_is_left_at_its_identifiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "INFLATED_HEADER_BYTES", 32 * MIB)
    path = deflated(tmp_path, 60)
    with Peak() as peak:
        file = open_file(path)
        identity = read_file_identity(path)
    assert file.damage is SkipReason.PIXELS_CORRUPT
    assert file.header.SOPInstanceUID == identity.sop_instance_uid
    assert file.header.PatientID
    assert peak.n_bytes < MOST_BYTES


def test_a_value_before_the_study_is_passed_over_by_the_listener(tmp_path: Path) -> None:
    path = deflated(tmp_path, 60, group=0x0009)
    with Peak() as peak:
        assert read_file_identity(path).study_instance_uid
    assert peak.n_bytes < MOST_BYTES


def test_what_inflates_behind_the_pixels_is_damage(tmp_path: Path) -> None:
    path = deflated(tmp_path, 0, pixel_tail_mb=60)
    with Peak() as peak:
        assert open_file(path).damage is SkipReason.PIXELS_CORRUPT
    assert peak.n_bytes < MOST_BYTES


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless])
@pytest.mark.parametrize("size", [(65535, 65535), (60000, 60000), (1, 65535)])
def test_a_matrix_that_is_stated_is_not_believed(
    tmp_path: Path, syntax: str, size: tuple[int, int]
) -> None:
    ds = encode(view_dataset(rows=64, columns=48), syntax)
    ds.Rows, ds.Columns = size
    with Peak() as peak, pytest.raises(NotProcessable) as caught:
        stored_codes(read_instance(write(ds, tmp_path / "a.dcm")))
    assert caught.value.reason in (
        SkipReason.PIXELS_CORRUPT, SkipReason.PIXELS_UNSUPPORTED, SkipReason.TRUNCATED,
    )  # fmt: skip
    assert peak.n_bytes < MOST_BYTES


@pytest.mark.parametrize("offset", [8, 12, 40])
def test_a_stream_of_another_size_or_of_many_components_is_not_decoded(
    tmp_path: Path, offset: int
) -> None:
    ds = encode(view_dataset(rows=64, columns=48), JPEG2000Lossless)
    value = bytearray(ds.PixelData)
    at = value.find(b"\xff\x4f\xff\x51")
    value[at + offset : at + offset + 2] = b"\x3f\xff"
    ds.PixelData = bytes(value)
    with pytest.raises(NotProcessable) as caught:
        stored_codes(read_instance(write(ds, tmp_path / "a.dcm")))
    assert (caught.value.reason, caught.value.detail) == (
        SkipReason.PIXELS_CORRUPT, "the matrix differs from Rows × Columns",
    )  # fmt: skip


def test_native_pixel_data_are_read_as_far_as_the_header_states(tmp_path: Path) -> None:
    ds = view_dataset(rows=64, columns=48)
    ds.PixelData = ds.PixelData + bytes(64 * MIB)
    path = write(ds, tmp_path / "a.dcm")
    with Peak() as peak:
        value = read_pixel_data(path)
    assert len(value) == 64 * 48 * 2
    assert peak.n_bytes < MOST_BYTES


def test_a_large_value_of_a_header_is_named_as_undecoded(tmp_path: Path) -> None:
    ds = view_dataset(rows=64, columns=48)
    ds.add_new(0x00291010, "OB", bytes(64 * MIB))
    ds.add_new(0x00290010, "LO", "BOMB")
    path = write(ds, tmp_path / "a.dcm")
    with Peak() as peak:
        file = open_file(path)
    assert 0x00291010 not in file.header
    assert file.header.undecoded
    assert file.has_pixels
    assert file.damage is None
    assert peak.n_bytes < MOST_BYTES


@pytest.mark.parametrize("defined", [True, False])
def test_sequences_in_sequences_without_end_are_no_recursion(tmp_path: Path, defined: bool) -> None:
    tag, item, n = b"\x40\x00\x30\xa7SQ\0\0", b"\xfe\xff\x00\xe0", 10_000
    if defined:
        value = b""
        for _ in range(DEPTH * 4):
            inner = item + struct.pack("<I", len(value)) + value
            value = tag + struct.pack("<I", len(inner)) + inner
    else:
        value = (tag + b"\xff" * 4 + item + b"\xff" * 4) * n
    path = write(view_dataset(rows=64, columns=48), tmp_path / "a.dcm")
    whole = path.read_bytes()
    at = whole.find(b"\xe0\x7f\x10\x00O")
    path.write_bytes(whole[:at] + value + whole[at:])
    if defined:
        assert open_file(path).damage is None
    else:
        # How deep Python goes is a setting of the process: it is read, or cut, and no crash.
        reason = None
        try:
            open_file(path)
        except NotProcessable as error:
            reason = error.reason
        assert reason in (None, SkipReason.TRUNCATED)


def test_a_tree_of_too_many_nodes_keeps_its_identifiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header, "ELEMENTS", 5_000)
    tag, item = b"\x40\x00\x30\xa7SQ\0\0", b"\xfe\xff\x00\xe0\0\0\0\0"
    content = item * 5_010
    value = tag + struct.pack("<I", len(content)) + content
    path = write(view_dataset(rows=64, columns=48), tmp_path / "a.dcm")
    whole = path.read_bytes()
    at = whole.find(b"\xe0\x7f\x10\x00O")
    path.write_bytes(whole[:at] + value + whole[at:])
    file = open_file(path)
    assert file.damage is SkipReason.PIXELS_CORRUPT
    assert file.header.SOPInstanceUID


def test_a_number_of_a_million_digits_takes_no_time() -> None:
    value = b"1" * 1_000_000 + b"x"
    ds = Dataset()
    ds[0x00180050] = RawDataElement(
        BaseTag(0x00180050), "DS", len(value), value, 0, is_implicit_VR=False, is_little_endian=True
    )
    with tolerant():
        found = settled(ds)  # without a limit this would match for hours
    assert found.undecoded == ("SliceThickness",)


def test_a_shape_of_too_many_points_is_none() -> None:
    assert len(points_of([0.0] * 2 * SHAPE_POINTS)) == SHAPE_POINTS
    assert len(points_of([0.0] * 2 * (SHAPE_POINTS + 1))) == 0

"""exam/encoding.py: data sets are read as they are written, whatever their label says."""

import shutil
import subprocess
import zlib
from contextlib import suppress
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file, read_pixel_data
from cadnode.exam.read import read_instance
from cadnode.imaging.decode import stored_codes
from cadnode.receive.identity import InstanceIdentity, read_file_identity, read_identity
from cadnode.report.identity import patient_and_study
from tests.encoding import labelled
from tests.synthetic import encode, set_pixels, stored_values, view_dataset, write

PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
LABELS = ("", *PLAIN, DeflatedExplicitVRLittleEndian)
WRITTEN = (*PLAIN, DeflatedExplicitVRLittleEndian)


def view(kind: str = "plain") -> Dataset:
    """A view whose data set begins in a way that misleads readers of the first element."""
    ds = view_dataset(rows=40, columns=32)
    ds.SpecificCharacterSet = "ISO_IR 100"
    if kind == "private first":
        ds.private_block(0x0007, "SYNTHETIC", create=True).add_new(1, "UN", b"AA" * 40)
    if kind == "a sequence of undefined length first":
        del ds.SpecificCharacterSet
    if "undefined" in kind:
        ds.ReferencedStudySequence = [Dataset(), Dataset()]
        ds.ReferencedStudySequence[1].ReferencedSOPInstanceUID = "1.2.3"
        inner = Dataset()
        inner.ReferencedSOPSequence = [Dataset()]
        inner.ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.4"
        ds.LanguageCodeSequence = [inner]
        for keyword in ("ReferencedStudySequence", "LanguageCodeSequence", "ViewCodeSequence"):
            ds[keyword].is_undefined_length = True
            for entry in ds[keyword].value:
                entry.is_undefined_length_sequence_item = True
        inner["ReferencedSOPSequence"].is_undefined_length = True
    if kind.startswith("a first length"):
        length = int.from_bytes(kind[-2:].encode(), "little")
        ds.add_new(0x00080001, "UT", "x" * length)
    return ds


KINDS = (
    "plain",
    "private first",
    "undefined-length sequences",
    "a sequence of undefined length first",
    "a first length that reads PN",
    "a first length that reads TM",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", WRITTEN, ids=lambda s: UID(s).name)
@pytest.mark.parametrize("label", LABELS, ids=lambda s: UID(s).name or "unlabelled")
def test_a_data_set_is_read_as_it_is_written_whatever_the_label_says(
    tmp_path: Path, label: str, written: str, kind: str
) -> None:
    ds = view(kind)
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, label, written))

    file = open_file(path)
    cells, _, _ = stored_codes(read_instance(path))

    assert file.damage is None
    assert file.has_pixels
    assert file.header.file_meta.TransferSyntaxUID == written
    assert file.header.PatientName == ds.PatientName
    assert file.header.ViewCodeSequence[0].CodeValue == ds.ViewCodeSequence[0].CodeValue
    assert set(ds.keys()) - {ds["PixelData"].tag} == set(file.header.keys())
    assert not file.header.undecoded
    np.testing.assert_array_equal(cells, stored_values(ds))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", WRITTEN, ids=lambda s: UID(s).name)
@pytest.mark.parametrize("label", LABELS[1:], ids=lambda s: UID(s).name)
def test_the_door_identifies_a_data_set_as_it_is_written(
    tmp_path: Path, label: str, written: str, kind: str
) -> None:
    ds = view(kind)
    whole = labelled(ds, label, written)
    path = tmp_path / "a.dcm"
    path.write_bytes(whole)
    meta = int.from_bytes(whole[140:144], "little")
    expected = InstanceIdentity(ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID)

    assert read_identity(BytesIO(whole[144 + meta :]), label) == expected
    assert read_file_identity(path) == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("label", WRITTEN, ids=lambda s: UID(s).name)
def test_what_is_in_no_encoding_has_no_identity(label: str, seed: int) -> None:
    noise = np.random.default_rng(seed).bytes(4000)
    with suppress(NotProcessable):  # either way the door refuses it: no UID is valid
        assert read_identity(BytesIO(noise), label) == InstanceIdentity("", "", "")


@pytest.mark.parametrize(
    ("label", "written"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ExplicitVRBigEndian),
    ],
)
def test_reports_copy_the_bytes_of_a_mislabelled_data_set(
    tmp_path: Path, label: str, written: str
) -> None:
    ds = view_dataset(rows=40, columns=32, SpecificCharacterSet="ISO_IR 100", PatientWeight="61.5")
    ds.PatientName = "Größe^Ännchen"
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, label, written))

    copy = patient_and_study(open_file(path).header)
    copy.SOPClassUID, copy.SOPInstanceUID = ds.SOPClassUID, "1.2.3"
    copy.file_meta = deepcopy(ds.file_meta)
    again = dcmread(write(copy, tmp_path / "b.dcm"))

    assert again.PatientName == "Größe^Ännchen"
    assert again.PatientWeight == 61.5
    assert again.StudyInstanceUID == ds.StudyInstanceUID


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1, RLELossless])
def test_encapsulated_pixels_in_an_implicit_data_set_are_decoded(
    tmp_path: Path, syntax: str
) -> None:
    ds = encode(view_dataset(rows=40, columns=32), syntax)
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, syntax, ImplicitVRLittleEndian))
    mammogram = read_instance(path)
    assert mammogram.transfer_syntax_uid == syntax
    np.testing.assert_array_equal(
        stored_codes(mammogram)[0], stored_values(view_dataset(rows=40, columns=32))
    )


@pytest.mark.parametrize("written", PLAIN[:2], ids=lambda s: UID(s).name)
def test_native_pixels_labelled_as_compressed_are_read_where_their_length_fits(
    tmp_path: Path, written: str
) -> None:
    ds = view_dataset(rows=40, columns=32)
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, JPEG2000Lossless, written))
    np.testing.assert_array_equal(stored_codes(read_instance(path))[0], stored_values(ds))
    ds.PixelData = ds.PixelData[:-2]
    path.write_bytes(labelled(ds, JPEG2000Lossless, written))
    assert open_file(path).damage is SkipReason.PIXELS_CORRUPT


def test_compressed_pixels_labelled_as_native_are_no_image(tmp_path: Path) -> None:
    ds = encode(view_dataset(rows=40, columns=32), RLELossless)
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, ExplicitVRLittleEndian, ExplicitVRLittleEndian))
    assert open_file(path).damage is SkipReason.PIXELS_CORRUPT


@pytest.mark.parametrize("window_bits", [-zlib.MAX_WBITS, zlib.MAX_WBITS])
@pytest.mark.parametrize("label", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_deflated_data_sets_are_read_with_and_without_zlibs_header(
    tmp_path: Path, label: str, window_bits: int
) -> None:
    ds = view_dataset(rows=40, columns=32)
    plain = labelled(ds, label, ExplicitVRLittleEndian)
    start = 144 + int.from_bytes(plain[140:144], "little")
    deflate = zlib.compressobj(wbits=window_bits)
    path = tmp_path / "a.dcm"
    path.write_bytes(plain[:start] + deflate.compress(plain[start:]) + deflate.flush())
    np.testing.assert_array_equal(stored_codes(read_instance(path))[0], stored_values(ds))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    bits=st.sampled_from([8, 12, 16]),
    vr=st.sampled_from(["OB", "OW"]),
    seed=st.integers(0, 99),
)
def test_big_endian_pixels_are_those_of_little_endian(
    tmp_path: Path, rows: int, columns: int, bits: int, vr: str, seed: int
) -> None:
    values = np.random.default_rng(seed).integers(0, 2**bits, (rows, columns))
    ds = view_dataset(rows=40, columns=32)
    set_pixels(ds, values.astype("u1" if bits == 8 else "<u2"), bits)
    ds["PixelData"].VR = vr if bits == 8 else "OW"
    path = tmp_path / "a.dcm"
    path.write_bytes(labelled(ds, ExplicitVRBigEndian, ExplicitVRBigEndian))
    assert read_pixel_data(path) == ds.PixelData
    np.testing.assert_array_equal(stored_codes(read_instance(path))[0], values)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("shape", [(40, 32), (41, 33)])
@pytest.mark.parametrize("tool", ["dcmconv", "gdcmconv"])
def test_big_endian_is_read_as_dcmtk_and_gdcm_convert_it(
    tmp_path: Path, tool: str, shape: tuple[int, int], bits: int
) -> None:
    program = shutil.which(tool)
    assert program, f"{tool} is missing: deploy/system-packages.sh test"
    ds = view_dataset(rows=shape[0], columns=shape[1], bits_stored=bits)
    ds["PixelData"].VR = "OW"
    little, big, back = (tmp_path / name for name in ("little", "big", "back"))
    write(ds, little)
    if tool == "dcmconv":
        subprocess.run([program, "+tb", little, big], check=True, timeout=30)
    else:
        big.write_bytes(labelled(ds, ExplicitVRBigEndian, ExplicitVRBigEndian))
        subprocess.run([program, "--raw", big, back], check=True, timeout=30)
        theirs = dcmread(back)
        assert theirs.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert theirs.PixelData == ds.PixelData
    assert dcmread(big).file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    np.testing.assert_array_equal(stored_codes(read_instance(big))[0], stored_values(ds))

"""Damaged files: a coded reason, never a crash, a hang, a warning or a patient's identifier."""

import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
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
from cadnode.exam.read import exam_of, read_instance
from cadnode.imaging.pixels import load
from tests.synthetic import IDENTIFIERS, encode, uid, view_dataset, write

SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEG2000Lossless,
)
ANY_FOLDER = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def outcome(path: Path) -> SkipReason | None:
    """What comes of reading and decoding; anything but a coded reason escapes as it is."""
    try:
        load(read_instance(path))
        return None
    except NotProcessable as error:
        said, reason = "".join(traceback.format_exception(error)), error.reason
    assert not any(mark in said for mark in (*IDENTIFIERS, str(path)))
    return reason


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    ds = view_dataset(rows=128, columns=100)
    return {s: write(encode(ds, s), folder / s).read_bytes() for s in SYNTAXES}


@ANY_FOLDER
@given(junk=st.binary(max_size=600), prefixed=st.booleans())
def test_random_bytes_are_no_dicom(tmp_path: Path, junk: bytes, prefixed: bool) -> None:
    path = tmp_path / "junk"
    path.write_bytes((b"\0" * 128 + b"DICM" if prefixed else b"") + junk)
    allowed = {SkipReason.NOT_DICOM}
    if prefixed:
        allowed |= {SkipReason.TRUNCATED, SkipReason.NOT_MAMMOGRAPHY}
    assert outcome(path) in allowed


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda s: s.name)
def test_a_file_cut_anywhere_gets_a_reason(
    tmp_path: Path, whole: dict[str, bytes], syntax: str
) -> None:
    complete = whole[syntax]
    path = tmp_path / "cut"
    reasons = {}
    for length in {*range(0, len(complete) - 12, 97), *range(1700, 1760)}:
        path.write_bytes(complete[:length])
        reasons[length] = outcome(path)
    assert None not in reasons.values()
    assert {reasons[n] for n in reasons if n < 132} == {SkipReason.NOT_DICOM}
    cut = [r for n, r in reasons.items() if n > 400]
    assert cut.count(SkipReason.TRUNCATED) > 0.8 * len(cut)
    assert set(cut) <= {
        SkipReason.TRUNCATED,
        SkipReason.NO_PIXELS,
        SkipReason.NOT_MAMMOGRAPHY,
        SkipReason.PIXELS_CORRUPT,
    }


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda s: s.name)
def test_a_file_with_flipped_bytes_gives_an_image_or_a_reason(
    tmp_path: Path, whole: dict[str, bytes], syntax: str
) -> None:
    @ANY_FOLDER
    @given(st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=8))
    def flipped(changes: list[tuple[int, int]]) -> None:
        damaged = bytearray(whole[syntax])
        for at, difference in changes:
            damaged[at % len(damaged)] ^= difference
        path = tmp_path / "flipped"
        path.write_bytes(damaged)
        assert outcome(path) in {None, *SkipReason}

    flipped()


def test_a_truncated_view_is_reported_by_its_uid_beside_the_others(tmp_path: Path) -> None:
    write(view_dataset("L", "CC", rows=256, columns=200), tmp_path / "a.dcm")
    cut = write(view_dataset("L", "MLO", rows=256, columns=200), tmp_path / "b.dcm")
    cut.write_bytes(cut.read_bytes()[:-1000])
    exam = exam_of([tmp_path])
    assert len(exam.mammograms) == 1
    (skipped,) = exam.skipped
    assert skipped.reason is SkipReason.TRUNCATED
    assert skipped.sop_instance_uid == uid(
        "instance", uid("study", 0), "L", "MLO", 0, "FOR PRESENTATION"
    )


def test_an_empty_file_is_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert outcome(tmp_path / "empty") is SkipReason.NOT_DICOM

"""Whatever a source says of patient and study, the report is made, is DICOM, and tells no log."""

import re
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from cadnode.domain import Calcification
from cadnode.exam.dicom_file import tolerant
from cadnode.exam.read import read_exams
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import STRUCTURED, ObjectKind, kind_of
from tests import validators
from tests.report_cases import MADE_AT, flat_image, result_of
from tests.synthetic import STANDARD_VIEWS, view_dataset

PDF = b"%PDF-1.4\n%%EOF"
MARK = "QQX"
OPTIONAL = (
    "StudyTime", "StudyDate", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate",
    "StudyID", "PatientSex", "StudyDescription", "PatientName", "PatientID", "PatientAge",
    "PatientWeight", "TimezoneOffsetFromUTC", "IssuerOfPatientID", "Manufacturer",
    "SoftwareVersions", "PatientComments",
)  # fmt: skip
_TEXT = st.text(
    st.characters(codec="latin-1", exclude_categories=("Cc",), exclude_characters="\\"), max_size=20
).map(lambda text: f"{MARK}{text}".encode("latin-1"))
ODD = st.one_of(
    _TEXT,
    st.just(b""),
    st.just(b" " * 6),
    st.lists(_TEXT, min_size=2, max_size=4).map(b"\\".join),
    _TEXT.map(lambda text: b"  " + text + b"   "),
    st.integers(65, 300).map(lambda n: MARK.encode() + b"x" * n),
    st.sampled_from([b"QQX 12:30", b"1950", b"19501301", b"+0530", b"+05:30", b"Z", b"+2500"]),
    st.binary(min_size=1, max_size=12).map(lambda tail: MARK.encode() + tail),
)
HEADERS = st.dictionaries(st.sampled_from(OPTIONAL), st.none() | ODD, max_size=8)
DECLARED = st.sampled_from(["ISO_IR 100", "ISO_IR 192", "", "ISO_IR 999", ["", "ISO 2022 IR 87"]])


def source(folder: Path, values: dict[str, bytes | None], declared: object) -> list[Path]:
    """Four views whose headers have these bytes, or lack what is None; private tags beside."""
    folder.mkdir(exist_ok=True)
    paths = []
    for laterality, view in STANDARD_VIEWS:
        path = folder / f"{laterality}{view}"
        with tolerant():
            ds = view_dataset(laterality, view, rows=96, columns=80, SpecificCharacterSet=declared)
            private = ds.private_block(0x0009, f"{MARK} PRIVATE", create=True)
            private.add_new(1, "LO", f"{MARK}SECRET")
            ds.save_as(path, enforce_file_format=True)
            ds = pydicom.dcmread(path)
            for keyword, value in values.items():
                _set(ds, keyword, value)
            ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _set(ds: Dataset, keyword: str, value: bytes | None) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    if value is None:
        ds.pop(tag, None)
        return
    value += b" " * (len(value) % 2)
    vr = dictionary_VR(tag)
    ds[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True, True)


def made(paths: list[Path], folder: Path, outcome: str = "systems") -> list[Path]:
    (exam,) = read_exams(paths)
    result = result_of(exam, outcome)
    if result.findings:
        speck = (Calcification(40, 40, 0.5, 0.8, 0.3),)
        first = replace(result.findings[0], calcifications=speck)
        result = replace(result, findings=(first, *result.findings[1:]))
    folder.mkdir(exist_ok=True)
    image = flat_image(96, 80)
    objects = make_objects(
        exam, result, lambda uid: image, MADE_AT, longest_side=96, small_side=64,
        kinds=frozenset(ObjectKind), pdf=lambda: PDF,
    )  # fmt: skip
    return write_objects(objects, folder)


# What dicom3tools says of the file as a whole, when a value copied from the source is wrong.
_FOLLOWS = (
    "Dicom dataset contains invalid data values",
    "Dicom dataset contains retired attributes",
    "would be needed to build DICOMDIR",
)


def faults(path: Path, copied: set[str]) -> list[str]:
    """Complaints about anything but the source's own values: by tag, keyword or name."""
    tags = {int(tag_for_keyword(keyword) or 0) for keyword in copied}
    words = {f"(0x{tag >> 16:04x},0x{tag & 0xFFFF:04x})" for tag in tags}
    words |= {f"<{keyword}>" for keyword in copied} | {
        f"<{dictionary_description(t)}>" for t in tags
    }
    told = validators.dciodvfy(path)
    return [line for line in told if not any(w in line for w in (*words, *_FOLLOWS))]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=HEADERS, declared=DECLARED)
def test_any_header_makes_every_object_none_of_them_wrong_by_our_fault_and_no_log_tells_it(
    values: dict[str, bytes | None],
    declared: object,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    capfd.readouterr()

    files = made(source(folder / "in", values, declared), folder / "out")

    kinds = {kind_of(path): path for path in files}
    assert set(kinds) == set(ObjectKind)
    for path in kinds.values():
        assert faults(path, {*values, "SpecificCharacterSet"}) == [], path.name
        assert f"{MARK}SECRET".encode() not in path.read_bytes()
    assert MARK not in "".join(capfd.readouterr())


@pytest.mark.parametrize("outcome", ["none", "failed", "one_view"])
@pytest.mark.parametrize("value", [None, b""], ids=["absent", "empty"])
def test_without_a_single_optional_attribute_reports_are_valid(
    value: bytes | None, outcome: str, tmp_path: Path
) -> None:
    headers = dict.fromkeys(OPTIONAL, value)

    files = made(source(tmp_path / "in", headers, "ISO_IR 100"), tmp_path / "out", outcome)

    for path in files:
        said = validators.dciodvfy(path)
        assert [line for line in said if "build DICOMDIR" not in line] == [], path.name
        if kind_of(path) in STRUCTURED:
            assert validators.dsrdump(path) == []


@pytest.mark.parametrize(
    ("offset", "kept"),
    [
        (b"+0900", True),
        (b"-0330 ", True),
        (b"+09:00", False),
        (b"Z", False),
        (b"+2500", False),
        (b"JST", False),
        (b"+0900\\+0800", False),
        (b"", False),
    ],
)
def test_a_zone_is_copied_when_it_is_one_and_times_are_in_it(
    offset: bytes, kept: bool, tmp_path: Path
) -> None:
    zones = {"TimezoneOffsetFromUTC": offset}

    for path in made(source(tmp_path / "in", zones, "ISO_IR 100"), tmp_path / "out", "findings"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        assert ds.get("TimezoneOffsetFromUTC") == (offset.decode().strip() if kept else None)
        hour = {b"+0900": "00", b"-0330 ": "11"}.get(offset, "15")  # made at 15:06:07 UTC
        assert ds.InstanceCreationTime[:2] == hour
        assert ds.StudyTime == "030405"


def test_a_patient_id_keeps_the_spaces_inside_and_around_it(tmp_path: Path) -> None:
    ids = {"PatientID": b"  AB 12  34 "}

    for path in made(source(tmp_path / "in", ids, "ISO_IR 100"), tmp_path / "out", "none"):
        assert re.search(rb"\x10\x00\x20\x00LO..  AB 12  34 ", path.read_bytes(), re.DOTALL)


@pytest.mark.parametrize("name", [b"hex", b"rot13", b"base64"])
def test_a_character_set_that_is_a_codec_for_bytes_makes_a_report_in_unicode(
    name: bytes, tmp_path: Path
) -> None:
    paths = source(tmp_path, {}, "ISO_IR 100")
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", name.ljust(10)))
    written = made(paths, tmp_path / "out")

    assert written
    assert {pydicom.dcmread(one).SpecificCharacterSet for one in written} == {"ISO_IR 192"}

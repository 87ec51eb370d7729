"""Every kind of object for every outcome of real and drawn exams: validators, and read again."""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pydicom
import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from pydicom import Dataset

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file
from cadnode.exam.mammogram import describe
from cadnode.report.edition import DISCLAIMER
from cadnode.report.objects import write_objects
from cadnode.report.profiles import STRUCTURED, ObjectKind
from tests import validators
from tests.golden_cases import (
    OUTCOMES,
    golden_exam,
    golden_files,
    source_files,
)
from tests.report_cases import digital_exam, objects_of

NAMES = ("benign", "malignant", "phantom")
CASES = [(name, outcome) for name in NAMES for outcome in OUTCOMES]
DOCUMENTS = STRUCTURED | {ObjectKind.KEY_OBJECTS}

# How many objects of each kind. A film's views lie in studies of their own: its key objects can
# name those of the first one alone, which is where the report is.
PICTURES = (ObjectKind.HEAT_MAP, ObjectKind.SMALL_HEAT_MAP)
EXPECTED = {
    "findings": {**dict.fromkeys(PICTURES, 4), "segmentation": 2, "outlines": 2, "key-objects": 1},
    "none": dict.fromkeys(PICTURES, 4),
    "partial": {**dict.fromkeys(PICTURES, 3), "outlines": 1, "key-objects": 1},
    "failed": {},
    "one view": {**dict.fromkeys(PICTURES, 1), "outlines": 1, "key-objects": 1},
    "implants": {**dict.fromkeys(PICTURES, 2), "outlines": 1, "key-objects": 1},
}
ALWAYS = {**dict.fromkeys(STRUCTURED, 1), ObjectKind.PDF: 1}


@dataclass(frozen=True)
class Golden:
    """The source files of an exam, and its objects by outcome."""

    sources: list[Path]
    made: dict[str, dict[Path, ObjectKind]]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Golden]:
    """Each exam with all its objects."""
    made = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp(name)
        sources = source_files(name, folder)
        exam = golden_exam(sources)
        files = {outcome: golden_files(exam, outcome, folder / outcome) for outcome in OUTCOMES}
        made[name] = Golden(sources, files)
    return made


@pytest.mark.parametrize(("name", "outcome"), CASES)
def test_an_outcome_has_its_objects_and_validators_take_them(
    golden: dict[str, Golden], name: str, outcome: str
) -> None:
    made = golden[name].made[outcome]

    assert Counter(made.values()) == ALWAYS | EXPECTED[outcome]
    for path, kind in made.items():
        assert validators.dciodvfy(path) == [], path.name
        if kind in DOCUMENTS:
            assert validators.dsrdump(path) == [], path.name
        if kind is ObjectKind.OUTLINES:
            assert validators.dcmpschk(path) == [], path.name
    assert validators.dcentvfy([*golden[name].sources, *made]) == []


@pytest.mark.parametrize(("name", "outcome"), CASES)
def test_every_object_is_read_again_as_it_was_written(
    golden: dict[str, Golden], name: str, outcome: str, tmp_path: Path
) -> None:
    for path, kind in golden[name].made[outcome].items():
        ds = pydicom.dcmread(path)
        again = tmp_path / path.name
        for _ in ds.iterall():  # every value decoded, so that every value is encoded anew
            pass
        ds.save_as(again, enforce_file_format=True)

        assert again.read_bytes() == path.read_bytes(), path.name
        assert_readable(path, kind, ds)


def assert_readable(path: Path, kind: ObjectKind, ds: Dataset) -> None:
    """Highdicom reads its own kinds; a picture has the pixels that its header promises."""
    if kind in STRUCTURED - {ObjectKind.CAD_SR}:
        assert srread(path).SOPInstanceUID == ds.SOPInstanceUID
    elif kind is ObjectKind.SEGMENTATION:
        assert segread(path).pixel_array.any()
    elif kind in PICTURES:
        assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)


@pytest.mark.parametrize(("name", "outcome"), CASES)
def test_no_object_of_ours_is_ever_taken_for_a_mammogram(
    golden: dict[str, Golden], name: str, outcome: str
) -> None:
    for path in golden[name].made[outcome]:
        with pytest.raises(NotProcessable) as refused:
            describe(open_file(path), read_for_processing=False)

        assert refused.value.reason is SkipReason.OWN_OUTPUT, path.name


@pytest.mark.parametrize("name", NAMES)
def test_the_same_reading_makes_the_same_bytes_whatever_the_kind(
    golden: dict[str, Golden], name: str, tmp_path: Path
) -> None:
    exam = golden_exam(golden[name].sources)

    again = golden_files(exam, "findings", tmp_path)

    first = {path.name: path.read_bytes() for path in golden[name].made["findings"]}
    assert {path.name: path.read_bytes() for path in again} == first


@pytest.mark.parametrize("name", NAMES)
def test_two_outcomes_of_one_exam_share_no_object(golden: dict[str, Golden], name: str) -> None:
    uids = [
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        for made in golden[name].made.values()
        for path in made
    ]

    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_dcmtk_renders_every_report_with_what_it_is_for(
    golden: dict[str, Golden], outcome: str
) -> None:
    for path, kind in golden["phantom"].made[outcome].items():
        if kind in DOCUMENTS:
            page = validators.dsr2html(path)
            assert DISCLAIMER in page, path.name
            told = re.findall(r"^[EWF]: (.*)", page, re.MULTILINE)
            assert [line for line in told if not re.search("not (yet )?support", line)] == []


@pytest.mark.timeout(900)
def test_pixelmed_finds_the_templates_kept(golden: dict[str, Golden], tmp_path: Path) -> None:
    """Each outcome of each exam as one kind of report, in turn: all of them take ten minutes."""
    turns = cycle(kind for kind in ObjectKind if kind in STRUCTURED)
    chosen = [
        next(path for path, kind in golden[name].made[outcome].items() if kind is wanted)
        for (name, outcome), wanted in zip(CASES, turns, strict=False)
    ]
    further = {  # what these outcomes do not have: every system, regions that a person drew
        f"{outcome}-{kind}": objects_of(digital_exam(), outcome, kinds=[kind])
        for outcome in ("systems", "marked")
        for kind in (ObjectKind.MEASUREMENT_SR, ObjectKind.CAD_SR)
    }
    chosen += [write_objects(made, tmp_path / name)[0] for name, made in further.items()]

    assert len(chosen) == 22
    said = validators.pixelmed_of(chosen)
    assert {path.name: lines for path, lines in said.items() if lines} == {}

"""Every object for every outcome of real and drawn exams: its bytes, validators, read again.

Every byte that the node sends is what it was: objects, `result.json`, FHIR bundles. A mismatch
that is meant: see `tests.golden.update`.
"""

import re
from collections import Counter
from collections.abc import Iterator
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
from cadnode.report.profiles import STRUCTURED, ObjectKind, kind_of
from tests import validators
from tests.golden import documents, objects
from tests.golden.objects import EXAMS, GoldenObject, outcomes_of
from tests.golden.update import kept_json, kept_text, made_with
from tests.golden_cases import OUTCOMES, golden_exam, golden_files
from tests.report_cases import digital_exam, objects_of

NAMES = ("benign", "malignant", "phantom")
ALL = [(name, outcome) for name in EXAMS for outcome in outcomes_of(name)]
TOLD = [case for case in ALL if case[1] != objects.REPLACED]
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

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Golden:
    """The source files of an exam, and its objects by outcome."""

    sources: list[Path]
    made: dict[str, dict[Path, ObjectKind]]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Golden]:
    """Each exam with all its objects."""
    made = {}
    for name in EXAMS:
        folder = tmp_path_factory.mktemp(name)
        sources = objects.sources_of(name, folder) if name in NAMES else []
        exam = golden_exam(sources) if sources else digital_exam()
        files = objects.made_objects(name, exam, folder / name)
        made[name] = Golden(
            sources, {outcome: dict(_kinds(paths)) for outcome, paths in files.items()}
        )
    return made


def _kinds(paths: list[Path]) -> Iterator[tuple[Path, ObjectKind]]:
    """Each file with the kind of its object."""
    for path in paths:
        kind = kind_of(path)
        assert kind is not None, path.name
        yield path, kind


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> documents.Documents:
    return documents.documents_of_all(tmp_path_factory.mktemp("documents"))


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
        for outcome, made in golden[name].made.items()
        if outcome in OUTCOMES  # one that replaces another has its objects
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


def test_pixelmed_finds_the_templates_kept(golden: dict[str, Golden], tmp_path: Path) -> None:
    """Each outcome of each exam as one kind of report, in turn."""
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


@pytest.mark.parametrize(("name", "outcome"), ALL)
def test_every_object_of_an_outcome_has_the_bytes_that_it_had(
    golden: dict[str, Golden], name: str, outcome: str
) -> None:
    kept = kept_json("objects.json")

    now = {path.name: objects.described(path) for path in golden[name].made[outcome]}

    found = objects.differences(objects.unpacked(kept, name, outcome), now)
    others = objects.other_versions(kept["made_with"], made_with())
    assert not found, "\n".join([f"{name}, {outcome}:", *found, *others])


def test_no_outcome_and_no_kind_of_object_is_left_out() -> None:
    exams = kept_json("objects.json")["exams"]

    kinds = {o["kind"] for outcomes in exams.values() for files in outcomes.values()
             for o in files.values()}  # fmt: skip
    assert {name: tuple(outcomes) for name, outcomes in exams.items()} == {
        name: outcomes_of(name) for name in EXAMS
    }
    assert kinds == {kind.value for kind in ObjectKind}


@pytest.mark.parametrize(("name", "outcome"), TOLD)
def test_result_json_and_the_fhir_bundle_are_what_they_were(
    told: documents.Documents, name: str, outcome: str
) -> None:
    kept = kept_json("documents.json")

    now = {"result": documents.hashes(told.results), "fhir": documents.hashes(told.bundles)}

    for kind in ("result", "fhir"):
        assert now[kind][name][outcome] == kept[kind][name][outcome], (kind, name, outcome)


@pytest.mark.parametrize(("name", "outcome"), documents.WHOLE)
def test_the_text_of_two_results_is_what_it_was(
    told: documents.Documents, name: str, outcome: str
) -> None:
    result, bundle = told.results[name][outcome], told.bundles[name][outcome]

    assert result.decode() == kept_text(documents.text_file("result", name, outcome))
    assert bundle.decode() == kept_text(documents.text_file("fhir", name, outcome))


def test_a_difference_names_kind_attributes_and_what_became_of_them() -> None:
    old = GoldenObject("sr", "1", "2", "aa", {"PatientName": "0", "Modality": "1", "Rows": "2"})
    new = GoldenObject("sr", "1", "2", "bb", {"PatientName": "5", "Modality": "1", "Columns": "2"})
    again = GoldenObject("sr", "1", "2", "cc", old.attributes)

    assert objects.differences({"sr.dcm": old}, {"sr.dcm": old}) == []
    assert objects.differences({"sr.dcm": old}, {"sr.dcm": new}) == [
        "sr.dcm (sr): changed: PatientName; added: Columns; gone: Rows"
    ]
    assert objects.differences({"sr.dcm": old}, {"sr.dcm": again}) == [
        "sr.dcm (sr): the same attributes, encoded in another way"
    ]
    assert objects.differences({"sr.dcm": old}, {"sr-2.dcm": new}) == [
        "sr-2.dcm: was not made before (sr)",
        "sr.dcm: is not made any more (sr)",
    ]


def test_a_changed_attribute_of_a_file_is_found(golden: dict[str, Golden], tmp_path: Path) -> None:
    path = next(p for p in golden["digital"].made["none"] if p.name == "sr.dcm")
    changed = tmp_path / path.name
    changed.write_bytes(path.read_bytes().replace(b"cadnode ", b"Cadnode ", 1))

    (line,) = objects.differences(
        {path.name: objects.described(path)}, {path.name: objects.described(changed)}
    )

    assert line.startswith("sr.dcm (sr): changed: ")

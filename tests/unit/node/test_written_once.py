"""What was written under a UID is written for good: a reading again changes no byte of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cadnode.domain import Profile
from cadnode.errors import ReportError
from cadnode.exam.exam import Exam
from cadnode.node import results
from cadnode.node.worker_steps import WorkerSteps
from cadnode.reading import Readers
from cadnode.receive.spool import Spool
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import ObjectKind
from cadnode.settings import Destination, ReportSection, Settings, StorageSection
from tests.cad_cases import cad_result
from tests.report_cases import MADE_AT, digital_exam, image_of, result_of
from tests.spool_cases import add_file
from tests.synthetic import write_exam

PDF = b"%PDF-1.4\n%%EOF"
NOON, LATER = "2026-03-01T12:00:00+00:00", "2026-03-02T18:30:00+00:00"
KINDS = frozenset(ObjectKind)


def made(folder: Path, exam: Exam, outcome: str = "pairs", *, by: float = 0, **options: Any) -> Any:
    """The files of a reading that was made `by` days later, its scores a little elsewhere."""
    result = replace(cad_result(exam, outcome), read_with="ab" * 32)
    views = tuple(replace(v, score=v.score + 1e-6 * by) for v in result.views)
    objects = make_objects(
        exam, replace(result, views=views), partial(image_of, exam), MADE_AT + timedelta(days=by),
        kinds=KINDS, longest_side=96, small_side=64, pdf=lambda: PDF,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    return write_objects(objects, folder, options.get("earlier", ()))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_the_same_objects_at_another_time_stay_the_files_that_they_are(tmp_path: Path) -> None:
    paths = made(tmp_path / "a", digital_exam())
    before = contents(tmp_path / "a")

    again = made(tmp_path / "a", digital_exam(), by=1)

    assert again == paths
    assert contents(tmp_path / "a") == before


def test_what_an_earlier_folder_has_under_the_uid_is_taken_from_there(tmp_path: Path) -> None:
    made(tmp_path / "a", digital_exam())

    made(tmp_path / "b", digital_exam(), by=1, earlier=[tmp_path / "a"])
    made(tmp_path / "c", digital_exam(), by=1)

    assert contents(tmp_path / "b") == contents(tmp_path / "a") != contents(tmp_path / "c")


def test_objects_of_another_input_are_new_and_the_old_ones_go(tmp_path: Path) -> None:
    made(tmp_path / "a", digital_exam())
    before = contents(tmp_path / "a")

    paths = made(tmp_path / "a", digital_exam(PatientID="CORRECTED"), "partial")

    after = contents(tmp_path / "a")
    assert sorted(after) == sorted(path.name for path in paths)
    assert not set(after.values()) & set(before.values())
    assert {pydicom.dcmread(path).PatientID for path in paths} == {"CORRECTED"}


@pytest.mark.parametrize("damage", [b"", b"no DICOM", b"\0" * 128 + b"DICM"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, damage: bytes) -> None:
    (path, *_) = made(tmp_path / "a", digital_exam())
    whole = path.read_bytes()
    path.write_bytes(damage)

    made(tmp_path / "a", digital_exam())

    assert path.read_bytes() == whole


def test_a_reading_that_only_rounding_tells_from_the_first_is_not_kept(tmp_path: Path) -> None:
    first = replace(result_of(digital_exam(), "findings"), read_with="ab" * 32)
    assert results.keep_reading(tmp_path, first)
    assert results.first_made_at(tmp_path, NOON) == NOON
    before = contents(tmp_path)

    assert not results.keep_reading(tmp_path, replace(first, exam_score=0.780001))
    assert results.first_made_at(tmp_path, LATER) == NOON
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, read_with="cd" * 32),
        lambda r: replace(r, views=r.views[1:]),
        lambda r: result_of(digital_exam(), "failed"),
    ],
    ids=["other models", "fewer views", "not read"],
)
def test_a_reading_that_ended_otherwise_takes_the_place_and_its_own_time(
    tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    first = replace(result_of(digital_exam(), "findings"), read_with="ab" * 32)
    results.keep_reading(tmp_path, first)
    results.first_made_at(tmp_path, NOON)

    assert results.keep_reading(tmp_path, change(first))
    assert results.load_reading(tmp_path).views == change(first).views
    assert results.first_made_at(tmp_path, LATER) == LATER


@pytest.mark.parametrize("name", ["reading.json", "maps.npz"])
def test_a_first_reading_that_is_damaged_is_replaced(tmp_path: Path, name: str) -> None:
    first = result_of(digital_exam(), "findings")
    results.keep_reading(tmp_path, first)
    (tmp_path / name).write_bytes(b"{")

    assert results.keep_reading(tmp_path, first)
    assert results.load_reading(tmp_path).views == first.views


class Readings:
    """Models whose readings are made, each a little different in its last digits."""

    def __init__(self) -> None:
        self.n_read = 0

    def current(self) -> Readers:
        return Readers()

    def read(self, exam: Exam, readers: Readers, **_: object) -> Any:
        self.n_read += 1
        result = replace(result_of(exam, "findings"), read_with="ab" * 32)
        return replace(result, exam_score=0.78 + self.n_read * 1e-7)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    made = Readings()
    monkeypatch.setattr("cadnode.node.worker_steps.read_exam", made.read)
    return made


def worker_of(folder: Path, readings: Readings) -> tuple[WorkerSteps, str]:
    """A worker whose destinations want all objects and the bundle, and the study's key."""
    spool = Spool(folder / "spool")
    stored = [add_file(spool, path) for path in write_exam(folder / "exam")]
    out = Destination(name="out", kind="folder", folder=folder / "out", profile=Profile.ALL)
    report = ReportSection(heat_map_longer_side=96, small_heat_map_longer_side=64)
    settings = Settings(storage=StorageSection(folder=folder), destinations=(out,), report=report)
    models: Any = readings
    return WorkerSteps(settings, spool, models), stored[0].study_key


def test_a_report_step_that_is_retried_gives_the_very_same_folder(
    tmp_path: Path, readings: Readings
) -> None:
    worker, study = worker_of(tmp_path, readings)
    content = worker.fingerprint(study)
    folder = tmp_path / "results" / study / content
    worker.read(study, content)
    worker.report(study, content, "", NOON)
    first = contents(folder)
    assert {"sr.dcm", "fhir.json", "result.json", "report.html"} <= set(first)

    (folder / "result.json").unlink()  # as after a crash before the step's end
    worker.read(study, content)
    worker.report(study, content, "", LATER)

    assert readings.n_read == 2
    assert contents(folder) == first


def test_the_same_images_under_another_content_give_the_same_objects(
    tmp_path: Path, readings: Readings
) -> None:
    worker, study = worker_of(tmp_path, readings)
    content = worker.fingerprint(study)
    worker.read(study, content)
    worker.report(study, content, "", NOON)
    for path in (tmp_path / "spool" / "studies" / study).iterdir():
        path.touch()  # restored from a backup: the spool's fingerprint has times in it
    again = worker.fingerprint(study)
    assert again != content

    worker.read(study, again)
    worker.report(study, again, worker.predecessor(study, again), LATER)

    folders_ = [tmp_path / "results" / study / name for name in (content, again)]
    first, second = ({n: b for n, b in contents(f).items() if n.endswith(".dcm")} for f in folders_)
    assert first == second


def test_headers_that_came_after_the_reading_are_never_put_beside_its_scores(
    tmp_path: Path, readings: Readings
) -> None:
    worker, study = worker_of(tmp_path, readings)
    content = worker.fingerprint(study)
    worker.read(study, content)
    corrected = write_exam(tmp_path / "corrected", PatientName="Corrected^Name")
    for path in corrected:
        add_file(Spool(tmp_path / "spool"), path)

    with pytest.raises(ReportError, match="changed after they were read"):
        worker.report(study, content, "", NOON)

    assert not worker.has_result(study, content)
    assert worker.read(study, content) is False  # so the next attempt ends, and no job reports it


def test_a_bundle_of_another_report_is_replaced(tmp_path: Path, readings: Readings) -> None:
    worker, study = worker_of(tmp_path, readings)
    content = worker.fingerprint(study)
    folder = tmp_path / "results" / study / content
    worker.read(study, content)
    worker.report(study, content, "", NOON)
    first = json.loads((folder / "fhir.json").read_bytes())
    (folder / "fhir.json").write_text(json.dumps({**first, "entry": first["entry"][:1]}))

    worker.report(study, content, "", LATER)

    assert json.loads((folder / "fhir.json").read_bytes()) == first

"""What the worker's delivery step comes to, whatever is made and whatever is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from cadnode.deliver import fhir, stow
from cadnode.deliver.outcome import Delivered
from cadnode.node import results
from cadnode.node.worker_steps import WorkerSteps
from cadnode.settings import Destination, Settings, StorageSection
from tests.cad_cases import cad_result
from tests.report_cases import digital_exam

STUDY, CONTENT = "0123456789abcdef", "fedcba9876543210"


class EmptySpool:
    def replaced(self, study: str) -> list[Path]:
        return []

    def instances(self, study: str) -> list[Path]:
        return []


def worker_of(folder: Path, *destinations: Destination) -> WorkerSteps:
    settings = Settings(storage=StorageSection(folder=folder), destinations=destinations)
    spool: Any = EmptySpool()
    models: Any = None  # nobody reads here
    return WorkerSteps(settings, spool, models)


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "results" / STUDY / CONTENT


@pytest.mark.parametrize("outcome", ["failed", "nothing_tried"])
def test_a_node_whose_only_destination_wants_a_bundle_delivers_it(
    tmp_path: Path, result: Path, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ehr = Destination(name="ehr", kind="fhir", url="http://127.0.0.1:1/fhir")
    worker, exam = worker_of(tmp_path, ehr), digital_exam()
    results.save_reading(result, cad_result(exam, outcome))
    (result / "inputs.json").write_text(json.dumps([]))
    monkeypatch.setattr(worker, "_exams", lambda study, paths: (exam,))
    sent: list[Path] = []

    def send(bundle: Path, values: object) -> Delivered:
        sent.append(bundle)
        return Delivered(1, 0)

    monkeypatch.setattr(fhir, "send", send)

    assert worker.report(STUDY, CONTENT, "", "2026-03-01T10:00:00+00:00") == 1
    assert worker.has_result(STUDY, CONTENT)
    assert worker.deliver(STUDY, CONTENT, "ehr") == "delivered"
    assert sent == [result / "fhir.json"]


def test_a_destination_that_is_not_configured_any_more_is_refused_and_breaks_nothing(
    tmp_path: Path, result: Path
) -> None:
    result.mkdir(parents=True)
    assert worker_of(tmp_path).deliver(STUDY, CONTENT, "removed") == "refused"


def test_a_result_that_is_gone_is_not_called_delivered(tmp_path: Path, result: Path) -> None:
    out = Destination(name="out", kind="folder", folder=tmp_path / "out")
    assert worker_of(tmp_path, out).deliver(STUDY, CONTENT, "out") == "retry"
    assert not (tmp_path / "out").exists()


def test_a_file_that_goes_away_while_it_is_sent_breaks_nothing(
    tmp_path: Path, result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_away(*_: object) -> None:
        raise FileNotFoundError("sr.dcm")

    result.mkdir(parents=True)
    web = Destination(name="web", kind="stow", url="http://127.0.0.1:1/dicom-web")
    monkeypatch.setattr(stow, "send", goes_away)
    assert worker_of(tmp_path, web).deliver(STUDY, CONTENT, "web") == "retry"

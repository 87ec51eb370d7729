"""`cadnode outcomes` and `cadnode calibrate` as people and scripts use them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.models import store
from cadnode.models.card import DibMgCard
from tests import quality_cases
from tests.quality_cases import DrawnExam, drawn
from tests.unit import model_cases, store_cases

EXAMS = [*drawn("MG1", 300, cancers=0.2), *drawn("MG4", 300, shift=1.5, cancers=0.2)]


def run(config: Path, *arguments: object) -> Result:
    words = [str(a) for a in arguments]
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(app, [*words, "--config", str(config)], env=env)


def as_json(config: Path, *arguments: object, code: int = 0) -> Any:
    result = run(config, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def config(tmp_path: Path, storage: Path) -> Path:
    """A node with the model `toy`, which read the exams of two scanners."""
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{storage}'\n")
    assert run(file, "models", "add", store_cases.made(tmp_path / "new", "0.0.1")).exit_code == 0
    quality_cases.written(storage, quality_cases.read(model_cases.card(), EXAMS))
    return file


@pytest.fixture
def pathology(tmp_path: Path) -> Path:
    return table(tmp_path / "pathology.csv", EXAMS)


def table(file: Path, exams: list[DrawnExam], *further: str) -> Path:
    rows = ["study_instance_uid,laterality,outcome,outcome_date"]
    for exam in exams:
        worse = "malignant" if exam.has_cancer else "negative"
        rows += [f"{exam.uid},R,{worse},2027-06-01", f"{exam.uid},L,negative,2027-06-01"]
    file.write_text("\n".join([*rows, *further]) + "\n")
    return file


def test_outcomes_are_imported_once_and_wrong_lines_are_named(
    config: Path, storage: Path, tmp_path: Path
) -> None:
    file = table(tmp_path / "few.csv", EXAMS[:2], "1.2.3,X,benign,2027-06-01", "1.9,R,benign,")
    dry = as_json(config, "outcomes", "import", file, "--dry-run")
    assert dry["new"] == 4
    assert not (storage / "quality" / "outcomes.jsonl").exists()

    result = run(config, "outcomes", "import", file)

    assert result.exit_code == 0
    assert "4 breasts are new, 0 corrected, 0 unchanged; 2 lines left out" in result.output
    assert "few.csv:6: laterality not understood" in result.output
    assert "few.csv:7: no outcome date" in result.output
    assert as_json(config, "outcomes", "import", file)["unchanged"] == 4
    kept = (storage / "quality" / "outcomes.jsonl").read_text()
    trail = "".join(path.read_text() for path in (storage / "audit").glob("*.jsonl"))
    assert '"outcomes imported"' in trail
    for uid in (EXAMS[0].uid, EXAMS[1].uid):
        assert uid not in kept + trail


def test_outcomes_of_exams_that_have_not_come_wait(
    config: Path, storage: Path, tmp_path: Path
) -> None:
    file = table(tmp_path / "few.csv", EXAMS[:1], "1.2.826.77,R,benign,2027-06-01")
    assert as_json(config, "outcomes", "import", file, "--dry-run")["waiting"]["new"] == 1
    assert not (storage / "quality" / "waiting.jsonl").exists()

    result = run(config, "outcomes", "import", file)

    assert "2 breasts are new" in result.output
    assert "1 exam has not come here: its outcomes wait for 90 days." in result.output
    assert as_json(config, "outcomes", "import", file)["waiting"]["unchanged"] == 1
    assert as_json(config, "outcomes", "show")["waiting"] == 1
    assert "1.2.826.77" not in (storage / "quality" / "waiting.jsonl").read_text()


def test_a_file_without_any_outcome_is_refused(config: Path, tmp_path: Path) -> None:
    file = table(tmp_path / "none.csv", [], "1.2.3,X,benign,2027-06-01")
    assert run(config, "outcomes", "import", file).exit_code == 2
    (tmp_path / "other.csv").write_text("name,value\na,b\n")
    result = run(config, "outcomes", "import", tmp_path / "other.csv")
    assert result.exit_code == 2
    assert "lacks the columns laterality, outcome_date" in " ".join(result.output.split())


def test_fhir_is_taken_with_the_sites_own_codes(config: Path, tmp_path: Path) -> None:
    link = {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{EXAMS[0].uid}"}}
    observation = {
        "resourceType": "Observation",
        "valueCodeableConcept": {"coding": [{"system": "urn:lab", "code": "B5"}]},
        "bodySite": {"coding": [{"code": "80248007"}]},
        "effectiveDateTime": "2027-06-01",
        "partOf": [link],
    }
    no_side = {**observation, "bodySite": {}}
    file, codes = tmp_path / "pathology.ndjson", tmp_path / "codes.csv"
    file.write_text(f"{json.dumps(observation)}\n{json.dumps(no_side)}\n")
    codes.write_text("code,outcome\nurn:lab|B5,malignant\n")
    asked = ("outcomes", "import", file, "--format", "fhir")
    assert "needs --codes" in run(config, *asked).output
    found = as_json(config, *asked, "--codes", codes)
    assert (found["new"], found["not_read_here"]) == (1, 0)
    assert [(one["line"], one["code"]) for one in found["left_out"]] == [(2, "no_laterality")]
    codes.write_text("code,outcome\nB1,benign\n")
    assert "has one of the codes" in run(config, *asked, "--codes", codes).output


def test_figures_are_shown_by_scanner(config: Path, pathology: Path) -> None:
    assert run(config, "outcomes", "import", pathology).exit_code == 0
    found = as_json(config, "outcomes", "show", "--by", "scanner")
    assert found["all"]["n_read"] == 600
    mg1, mg4 = found["groups"]
    assert mg4["recall"]["ci"][0] > mg1["recall"]["ci"][1]
    assert "MG4" in run(config, "outcomes", "show", "--by", "scanner").output
    assert run(config, "outcomes", "show", "--system", "none").exit_code == 2


def test_scanners_are_calibrated_by_outcomes_as_a_new_version(
    config: Path, storage: Path, pathology: Path
) -> None:
    assert run(config, "outcomes", "import", pathology).exit_code == 0
    dry = as_json(config, "calibrate", "toy", "--dry-run")
    assert dry["models"][0]["to_version"] is None
    assert not (storage / "models" / "toy" / "0.0.2").exists()

    (row,) = as_json(config, "calibrate", "toy")["models"]

    card = store.read_card(storage / "models" / "toy" / "0.0.2")
    assert isinstance(card, DibMgCard)
    assert {one.match.station for one in card.scanners} == {"MG1", "MG4"}
    assert all(one.exam is not None for one in card.scanners)
    assert card.recalibrated is not None
    assert card.recalibrated.base == "0.0.1"
    assert row["scanners"][1]["threshold"][0] == card.curve.at().threshold
    assert "0.0.1" in run(config, "models", "list").output  # still the active one
    shown = run(config, "models", "show", "toy@0.0.2").output
    assert "station MG4" in shown
    trail = "".join(path.read_text() for path in (storage / "audit").glob("*.jsonl"))
    assert "calibrate toy" in trail


def test_a_call_rate_is_matched_without_outcomes(config: Path, storage: Path) -> None:
    (row,) = as_json(config, "calibrate", "toy", "--to", "call-rate", "--scanner", "MG4")["models"]
    (found,) = row["scanners"]
    before, after = found["call_rate"]
    assert before["ci"][0] > found["reference_call_rate"]["ci"][1]
    assert after["value"] == pytest.approx(found["reference_call_rate"]["value"], abs=0.005)
    assert any("names no hologic" in text for text in found["calibration"]["warnings"])
    again = as_json(config, "calibrate", "toy", "--to", "call-rate", "--scanner", "MG1")
    assert again["models"][0]["to_version"] == "0.0.3"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy"], "0 exams with cancer and 0 without are known"),
        (["toy", "--to", "call-rate", "--changed-in", "2020-01"], "0 exams of the reference"),
        (["toy", "--changed-in", "2026-02"], "--changed-in belongs to --to call-rate"),
        (["toy", "--by", "colour"], "--by takes parts of manufacturer"),
        (["mass-detector"], "reads no whole views"),
        (["nobody"], "there is no model 'nobody'"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_with_the_reason(
    config: Path, storage: Path, arguments: list[str], words: str
) -> None:
    result = run(config, "calibrate", *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert not (storage / "models" / "toy" / "0.0.2").exists()

"""`cadnode quality` as people and scripts use it, on a journal without a node."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli.quality import quality_app
from cadnode.node.drift_watch import drift_problems, look_and_keep
from cadnode.node.exposition import of_drift
from cadnode.node.metrics import table
from cadnode.quality import store
from cadnode.quality.journal import Journal
from cadnode.settings import load
from tests.drift_cases import BEGUN, exams


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    journal = Journal(folder / "data")
    for one in (*exams(200), *exams(150, 200, shift=1.5)):
        journal.add(one)
    file = folder / "node.toml"
    file.write_text(
        f"[storage]\nfolder = '{folder / 'data'}'\n"
        "[quality]\nbaseline_exams = 200\nwindow_exams = 100\n"
    )
    return file


def run(config: Path, *arguments: str) -> Result:
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(quality_app, [*arguments, "--config", str(config)], env=env)


def test_drift_is_said_in_words_and_in_json(config: Path) -> None:
    found = run(config, "drift")
    assert found.exit_code == 0, found.output
    assert "drifts" in found.output
    assert "Ask who maintains the scanner" in found.output
    (scanner,) = json.loads(run(config, "drift", "--json").output)["scanners"]
    assert scanner["systems"][0]["exams"] == 350
    assert json.loads(run(config, "drift", "--json", "--scanner", "GE").output)["scanners"] == []
    assert "No exam of such a scanner" in run(config, "drift", "--since", "2027-01-01").output


def test_health_and_metrics_say_the_same(config: Path) -> None:
    settings = load(config)
    found = look_and_keep(settings, BEGUN)
    (problem,) = drift_problems(settings)
    assert (problem.code, problem.severity) == ("scanner_drifts", "degraded")
    assert "HOLOGIC SELENIA DIMENSIONS MG1" in problem.meaning
    samples = {(metric.name, *labels): value for metric, labels, value in of_drift(found)}
    scanner = ("HOLOGIC SELENIA DIMENSIONS MG1", "kim2018")
    assert samples[table.DRIFT_STATE.name, *scanner] == 3
    assert samples[table.DRIFT_PSI.name, *scanner, "CC"] > 0.25
    called = (table.DRIFT_CALLED.name, *scanner)
    assert samples[*called, "now"] > samples[*called, "baseline"]


def test_a_report_is_written_and_wrong_months_are_refused(config: Path, tmp_path: Path) -> None:
    written = run(config, "report", "--month", "2026-01", "--no-pdf", "--out", str(tmp_path))
    assert written.exit_code == 0, written.output
    page = (tmp_path / "quality-2026-01.html").read_text()
    assert "Scores drift on" in page
    for wrong in ("2026-13", "january", "2999-01"):
        refused = run(config, "report", "--month", wrong, "--out", str(tmp_path))
        assert refused.exit_code == 2
        assert wrong in refused.output


def test_an_accepted_change_is_kept_and_begins_again(config: Path) -> None:
    assert run(config, "accept", "MG9", "--why", "x").exit_code == 2
    assert run(config, "accept", "MG1", "--why", " ").exit_code == 2
    done = run(config, "accept", "MG1", "--why", "new detector")
    assert done.exit_code == 0, done.output
    assert "next 200 exams" in done.output
    storage = load(config).storage.folder
    assert [one.why for one in store.accepted(storage)] == ["new detector"]
    overview = store.read(storage)
    assert overview is not None
    assert overview.scanners[0].systems == ()
    assert list(drift_problems(load(config))) == []

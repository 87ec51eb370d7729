"""`cadnode studies list` as people and scripts use it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode import log
from cadnode.cli.studies import studies_app
from cadnode.log import hashed
from cadnode.node.workflow import prepare
from cadnode.receive.fetch import requests
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a study that arrives, and one whose fetch ended badly."""
    log.configure("WARNING")
    storage = tmp_path / "data"
    file = tmp_path / "cadnode.toml"
    file.write_text(f'[storage]\nfolder = "{storage}"\n')
    spool = Spool(storage / "spool")
    dataset = view_dataset("R", "CC", seed=1)
    dataset.StudyInstanceUID, dataset.PatientName = "1.2.1", "Zzyx^Jane"
    add_file(spool, write(dataset, tmp_path / "one.dcm"))
    ended = {"code": "unknown_study", "is_final": True}
    requests.save(storage / "spool", requests.Request("1.2.2", "orthanc"))
    (storage / "spool" / "requests" / f"{hashed('1.2.2')}.json").unlink()
    (storage / "spool" / "requests" / f"{hashed('1.2.2')}.ended").write_text(json.dumps(ended))
    prepare(Settings(storage={"folder": storage}).database_url)
    return file


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(studies_app, ["list", *words, "--config", str(config)])


def test_the_list_shows_studies_by_key_and_names_nobody(config: Path) -> None:
    told = run(config)
    assert told.exit_code == 0, told.output
    assert hashed("1.2.1") in told.output
    assert "receiving" in told.output
    assert "Zzyx" not in told.output
    rows = json.loads(run(config, "--json").stdout)
    assert {row["key"]: row["state"] for row in rows} == {
        hashed("1.2.1"): "receiving", hashed("1.2.2"): "failed",
    }  # fmt: skip


def test_the_list_is_narrowed_to_a_state_and_to_what_needs_somebody(config: Path) -> None:
    for narrowed in (("--state", "failed"), ("--needs-you",)):
        (row,) = json.loads(run(config, "--json", *narrowed).stdout)
        assert (row["key"], row["needs_you"]) == (hashed("1.2.2"), True)
        assert row["reasons"][0]["code"] == "unknown_study"
    assert "does not know the study" in " ".join(run(config, "--needs-you").output.split())
    assert json.loads(run(config, "--json", "--limit", "1", "--state", "done").stdout) == []


def test_a_state_that_there_is_none_of_is_refused_with_those_that_there_are(config: Path) -> None:
    told = run(config, "--state", "lost")
    assert told.exit_code == 2
    assert "receiving" in told.output

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


def order(config: Path, *words: str) -> Result:
    return CliRunner().invoke(studies_app, [*words, "--config", str(config)])


def fail(config: Path, uid: str) -> str:
    """A fetch that was asked for, and failed for good; the study's key."""
    spool = config.parent / "data" / "spool"
    key = requests.save(spool, requests.Request(uid, "orthanc"))
    taken = requests.take(spool, key)
    assert taken is not None
    taken.finish(requests.Ended(requests.FetchCode.GIVEN_UP, is_final=True))
    return key


def test_all_that_need_somebody_are_counted_and_tried_again(config: Path) -> None:
    keys = {fail(config, "1.2.7"), fail(config, "1.2.8")}
    (config.parent / "data" / "spool" / "requests" / f"{hashed('1.2.2')}.ended").unlink()
    planned = json.loads(order(config, "retry", "--all", "--dry-run", "--json").stdout)
    assert (planned["dry_run"], planned["count"]) == (True, 2)
    none = ("--all", "--dry-run", "--json", "--until", "2020-01-01")
    assert json.loads(order(config, "retry", *none).stdout)["count"] == 0
    refused = ("--all", "--dry-run", "--json", "--state", "refused")
    assert json.loads(order(config, "retry", *refused).stdout)["count"] == 0
    done = order(config, "retry", "--all", "--state", "failed")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("what failed is tried again") == 2
    spool = config.parent / "data" / "spool"
    assert set(requests.waiting(spool)) == keys


def test_a_fetch_that_shall_not_be_tried_any_more_is_given_up(config: Path) -> None:
    key = fail(config, "1.2.7")
    done = order(config, "drop", key, "--reason", "not ours", "--yes")
    assert "what failed is given up" in done.output
    assert requests.ended(config.parent / "data" / "spool", key) is None


def test_a_study_that_is_not_here_is_not_read_once_more_and_the_command_says_so(
    config: Path,
) -> None:
    done = order(config, "reread", "1.2.99")
    assert done.exit_code == 2
    assert "never received" in " ".join(done.output.split())
    again = order(config, "reread", "1.2.1")
    assert "read once more" in again.output
    assert "stopped" in again.output


@pytest.mark.parametrize(
    "words",
    [
        ("retry",), ("retry", "1.2.1", "--all"), ("retry", "1.2.1", "--since", "2026-03-01"),
        ("retry", "--all", "--since", "soon"), ("retry", "--all", "--state", "lost"),
        ("drop", "--all", "--all-refused", "--reason", "x"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_what_does(
    config: Path, words: tuple[str, ...]
) -> None:
    assert order(config, *words).exit_code == 2


def test_the_way_of_a_study_is_shown(config: Path) -> None:
    shown = order(config, "show", hashed("1.2.1"))
    assert "next" in shown.output
    told = json.loads(order(config, "show", hashed("1.2.1"), "--json").stdout)
    assert told["way"]["images"] == 1
    assert "is read 2 s after its views are here" in told["way"]["rule"]

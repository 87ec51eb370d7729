"""`cadnode storage` as people and scripts use it."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pydicom
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode import log
from cadnode.cli.storage import storage_app
from cadnode.log import hashed
from cadnode.node import delivery_record, storage_overview
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.housekeeping import Housekeeping
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.workflow import prepare
from cadnode.receive.spool import Spool
from tests.retention_cases import Place, made_once
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write

UID = "1.2.840.99.7"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


@pytest.fixture
def place(tmp_path: Path, made: Path) -> Place:
    """A node with a delivered study of twenty days, and an unread one."""
    log.configure("WARNING")
    place = Place(tmp_path / "data", made)
    delivery_record.record(
        place.result, DeliveryTry("out", DeliveryStatus.DELIVERED, time.time() - 20 * 86400)
    )
    other = view_dataset("R", "CC", seed=5, StudyInstanceUID="1.2.3.4.5")
    add_file(Spool(place.folder / "spool"), write(other, tmp_path / "other.dcm"))
    long_ago = time.time() - 20 * 86400
    for path in (*place.folder.glob("spool/studies/*"), *place.folder.glob("results/**/*")):
        os.utime(path, (long_ago, long_ago))
    prepare(f"sqlite:///{place.folder / 'jobs.sqlite'}")
    (tmp_path / "cadnode.toml").write_text(
        f"[storage]\nfolder = '{place.folder}'\nmin_free_gb = 0.0\n"
        f"[[destinations]]\nname = 'out'\nkind = 'folder'\nfolder = '{place.folder / 'out'}'\n"
    )
    return place


def run(place: Place, *arguments: str) -> Result:
    config = str(place.folder.parent / "cadnode.toml")
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(storage_app, [*arguments, "--config", config], env=env)


def shown(place: Place, *arguments: str) -> dict[str, Any]:
    result = run(place, *arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_prior_exams_are_counted_by_command_and_by_the_overview_that_pages_show(
    place: Place,
) -> None:
    folder = place.folder / "priors" / place.study / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef.dcm").write_bytes(b"x" * 300_000)
    assert shown(place)["priors"]["bytes"] >= 300_000
    assert "priors" in run(place).stdout
    keeping = Housekeeping(place.settings)
    keeping.round()
    overview = storage_overview.read(place.folder)
    assert overview is not None
    account = keeping.retention.account
    assert overview.held == account.held - account.jobs_bytes + overview.jobs_bytes


def test_it_shows_what_is_there_what_goes_and_what_stays_and_why(place: Place) -> None:
    found = shown(place)

    assert found["images"]["studies"] == 2
    assert found["results"]["studies"] == 1
    assert found["disk"]["receives"]
    assert [(one["study"], one["part"]) for one in found["now"]] == [(place.study, "images")]
    assert {one["reason"] for one in found["kept"]} == {"unread", "not_due"}
    assert {one["part"] for one in found["next"]} == {"results"}
    text = run(place).output
    assert "not read, or its reading failed" in text
    assert "Goes now" in text


def test_it_names_no_patient(place: Place) -> None:
    header = pydicom.dcmread(place.paths[0])
    text = run(place).output + json.dumps(shown(place))

    for name in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID"):
        value = str(header.get(name, ""))
        assert not value or value not in text


def test_a_dry_run_removes_nothing(place: Place) -> None:
    found = shown(place, "clean", "--dry-run")

    assert [one["study"] for one in found["removed"]] == [place.study]
    assert place.spool.instances(place.study)


def test_without_somebody_to_ask_it_wants_yes(place: Place) -> None:
    result = run(place, "clean")

    assert result.exit_code == 2
    assert "--yes" in result.output
    assert place.spool.instances(place.study)


def test_with_yes_it_removes_what_may_go(place: Place) -> None:
    found = shown(place, "clean", "--yes")

    assert [one["study"] for one in found["removed"]] == [place.study]
    assert not place.spool.instances(place.study)
    assert shown(place)["images"]["studies"] == 1


def test_a_pinned_study_is_shown_and_not_removed(place: Place) -> None:
    assert run(place, "pin", place.study, "--why", "second opinion").exit_code == 0

    assert shown(place, "clean", "--yes")["removed"] == []
    (pinned,) = shown(place)["pinned"]
    assert (pinned["study"], pinned["why"]) == (place.study, "second opinion")
    assert run(place, "unpin", place.study).exit_code == 0
    assert len(shown(place, "clean", "--yes")["removed"]) == 1


def test_a_study_is_pinned_by_its_uid_and_to_the_end_of_a_day(place: Place) -> None:
    found = shown(place, "pin", UID, "--until", "2027-01-31")

    assert found["study"] == hashed(UID)
    assert time.strftime("%Y-%m-%d %H:%M", time.localtime(found["until"])) == "2027-01-31 23:59"


@pytest.mark.parametrize("wrong", [("pin", "Doe^Jane"), ("pin", UID, "--until", "tomorrow")])
def test_what_is_no_study_or_no_date_is_refused(place: Place, wrong: tuple[str, ...]) -> None:
    assert run(place, *wrong).exit_code == 2


def test_a_folder_without_a_node_is_named(tmp_path: Path) -> None:
    config = tmp_path / "cadnode.toml"
    config.write_text(f"[storage]\nfolder = '{tmp_path / 'nothing'}'\n")
    result = CliRunner().invoke(storage_app, ["--config", str(config)])

    assert result.exit_code == 2
    assert "cadnode serve" in " ".join(result.output.split())

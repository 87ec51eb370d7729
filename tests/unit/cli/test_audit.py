"""`cadnode audit`, and that commands which change a node are in its trail."""

import getpass
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cadnode.audit.event import Action, ActorKind, Event, EventOutcome
from cadnode.audit.files import entries
from cadnode.audit.trail import Trail
from cadnode.cli.app import app
from cadnode.log import hashed
from tests.unit.audit.cases import PERSON, STUDY, Clock, month, viewed


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'[storage]\nfolder = "{tmp_path / "data"}"\n')
    (tmp_path / "data" / "spool").mkdir(parents=True)
    return path


def run(*arguments: str | Path, code: int = 0) -> str:
    found = CliRunner().invoke(app, [str(one) for one in arguments])
    assert found.exit_code == code, found.output
    return found.output


def trail(config: Path, n: int = 3) -> Trail:
    made = Trail(config.parent / "data" / "audit", clock=Clock())
    for number in range(n):
        made.record(viewed(f"{number:016x}"))
    return made


def events(config: Path) -> list[Event]:
    found = entries(config.parent / "data" / "audit")
    return [entry.said for entry, _ in found if isinstance(entry.said, Event)]


def test_verify_says_that_the_trail_is_whole_and_its_last_hash(config: Path) -> None:
    made = trail(config)
    output = run("audit", "verify", "--config", config)
    assert "whole" in output
    assert "lines 1 to 3" in output
    last = [entry for entry, _ in entries(made.folder)][-1]
    assert last.hash in output.replace("\n", "")
    document = json.loads(run("audit", "verify", "--config", config, "--json"))
    assert (document["whole"], document["lines"], document["last_hash"]) == (True, 3, last.hash)


def test_verify_names_the_broken_place_and_exits_with_1(config: Path) -> None:
    path = month(trail(config))
    path.write_bytes(path.read_bytes().replace(b"success", b"failure", 1))
    output = run("audit", "verify", "--config", config, code=1)
    assert "2026-03.jsonl line 1" in output
    document = json.loads(run("audit", "verify", "--config", config, "--json", code=1))
    assert document["broken"]["line"] == 1


def test_without_a_trail_the_command_says_where_it_looked(config: Path) -> None:
    output = run("audit", "verify", "--config", config, code=2)
    assert "there is no" in output


def shown(config: Path, *arguments: str) -> list[dict[str, Any]]:
    output = run("audit", "show", "--config", config, "--json", *arguments)
    return [json.loads(line) for line in output.splitlines()]


def test_show_filters_by_study_actor_action_and_time(config: Path) -> None:
    made = trail(config)
    made.record(Event(Action.EXPORTED, EventOutcome.FAILURE, PERSON, STUDY, "pacs", "all"))
    made.record(viewed("1.2.3", "bob"))
    assert [one["sequence"] for one in shown(config)] == [1, 2, 3, 4, 5]
    assert [one["sequence"] for one in shown(config, "--limit", "2")] == [4, 5]
    assert [one["sequence"] for one in shown(config, "--study", STUDY)] == [4]
    assert [one["sequence"] for one in shown(config, "--actor", "bob")] == [5]
    assert [one["sequence"] for one in shown(config, "--action", "study exported")] == [4]
    assert [one["sequence"] for one in shown(config, "--since", "2026-03-04T04:53:23")] == [3, 4, 5]
    assert shown(config, "--since", "24h") == []
    assert "study exported" in run("audit", "show", "--config", config)


def test_a_study_is_found_by_its_uid(config: Path) -> None:
    trail(config).record(viewed(hashed("1.2.840.99.7")))
    assert [one["sequence"] for one in shown(config, "--study", "1.2.840.99.7")] == [4]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--action", "stolen"), "study viewed"), (("--since", "yesterday"), "24h")],
)
def test_wrong_arguments_are_explained(
    config: Path, arguments: tuple[str, ...], words: str
) -> None:
    trail(config)
    assert words in run("audit", "show", "--config", config, *arguments, code=2)


def test_pins_are_recorded_under_the_name_of_the_user(config: Path) -> None:
    run("storage", "pin", STUDY, "--why", "Roe, Jane", "--config", config)
    run("storage", "unpin", STUDY, "--config", config)
    pinned, unpinned = events(config)
    assert (pinned.action, unpinned.action) == (Action.PINNED, Action.UNPINNED)
    assert pinned.study == STUDY
    assert (pinned.actor.kind, pinned.actor.name) == (ActorKind.COMMAND, getpass.getuser())
    assert "Roe" not in str(events(config))


def test_changes_of_models_are_recorded_also_those_that_failed(config: Path) -> None:
    run("models", "deactivate", "dib-mg-film", "--config", config)
    run("models", "rollback", "dib-mg-film", "--config", config)
    run("models", "activate", "no-such-model", "--config", config, code=2)
    off, back, failed = events(config)
    assert {event.action for event in events(config)} == {Action.MODELS_CHANGED}
    assert (off.outcome, off.detail) == (EventOutcome.SUCCESS, "deactivate dib-mg-film")
    assert str(back.detail).startswith("rollback dib-mg-film@")
    assert (failed.outcome, failed.detail) == (EventOutcome.FAILURE, "activate")


def test_orders_for_studies_are_recorded_and_dry_runs_are_not(config: Path) -> None:
    run("models", "remove", "dib-mg-film@9.9.9", "--dry-run", "--config", config, code=2)
    assert not (config.parent / "data" / "audit").exists()
    drop = ("studies", "drop", STUDY, "--to", "pacs", "--reason", "Roe, Jane", "--yes")
    run(*drop, "--config", config, code=2)  # nothing is known of it
    (refused,) = events(config)
    assert (refused.action, refused.outcome) == (Action.DROPPED, EventOutcome.FAILURE)
    assert (refused.study, refused.peer) == (STUDY, "pacs")
    assert "Roe" not in str(refused)

"""`cadnode users` as people and scripts use it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli.users import users_app
from cadnode.identity import passwords, tokens, users
from cadnode.identity.passwords import Passwords
from cadnode.identity.role import Role
from tests.unit.identity.cases import CHEAP, PASSWORD


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "Passwords", lambda: Passwords(CHEAP))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text(
        f"[storage]\nfolder = '{tmp_path / 'data'}'\n"
        f"[web]\nusers_file = '{tmp_path / 'users'}'\ntokens_file = '{tmp_path / 'tokens'}'\n"
    )
    return tmp_path


def run(folder: Path, *arguments: str, given: str | None = None) -> Result:
    config = str(folder / "node.toml")
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(users_app, [*arguments, "--config", config], input=given, env=env)


def added(folder: Path, name: str = "jane", role: str = "viewer") -> Result:
    return run(folder, "add", name, "--role", role, "--password-stdin", given=PASSWORD + "\n")


def test_a_person_is_added_with_a_password_from_standard_input(folder: Path) -> None:
    told = added(folder, "Jane", "admin")
    assert told.exit_code == 0, told.output
    (person,) = users.users_in(folder / "users").values()
    assert (person.name, person.role) == ("jane", Role.ADMIN)
    assert Passwords(CHEAP).is_right(PASSWORD, person.secret)
    assert PASSWORD not in (folder / "users").read_text() + told.output
    assert (folder / "users").stat().st_mode & 0o777 == 0o640


def test_people_without_an_admin_are_warned_of(folder: Path) -> None:
    assert "no person is admin" in added(folder).stderr
    assert "no person is admin" not in added(folder, "tom", "admin").stderr
    assert "no person is admin" in run(folder, "role", "tom", "viewer").stderr


def test_a_password_is_no_argument_and_is_judged(folder: Path) -> None:
    assert run(folder, "add", "jane", "--role", "viewer", "--password", PASSWORD).exit_code == 2
    told = run(folder, "add", "jane", "--role", "viewer", "--password-stdin", given="short\n")
    assert told.exit_code == 2
    assert "12 characters or more" in told.stderr
    told = run(folder, "add", "jane", "--role", "viewer", given=PASSWORD + "\n")
    assert told.exit_code == 2
    assert "--password-stdin" in told.stderr
    assert not (folder / "users").exists()


def test_a_password_and_a_role_are_changed(folder: Path) -> None:
    added(folder)
    before = users.users_in(folder / "users")["jane"]
    told = run(folder, "password", "jane", "--password-stdin", given="another one, longer\n")
    assert told.exit_code == 0
    assert run(folder, "role", "jane", "operator").exit_code == 0
    after = users.users_in(folder / "users")["jane"]
    assert after.role is Role.OPERATOR
    assert after.secret != before.secret
    assert Passwords(CHEAP).is_right("another one, longer", after.secret)


def test_a_token_is_printed_once_and_kept_as_a_hash(folder: Path) -> None:
    told = run(folder, "token", "orthanc", "--role", "operator")
    token = told.stdout.strip()
    assert told.exit_code == 0
    assert token not in (folder / "tokens").read_text()
    assert tokens.tokens_in(folder / "tokens")["orthanc"].secret == tokens.hash_of(token)
    again = run(folder, "token", "orthanc", "--role", "operator")
    assert (again.exit_code, "--replace" in again.stderr) == (2, True)
    other = run(folder, "token", "orthanc", "--role", "viewer", "--replace", "--json")
    made = json.loads(other.stdout)
    assert (made["name"], made["role"]) == ("orthanc", "viewer")
    (kept,) = tokens.tokens_in(folder / "tokens").values()
    assert kept.secret == tokens.hash_of(made["token"]) != tokens.hash_of(token)


def test_a_remote_workers_role_is_a_programs_alone(folder: Path) -> None:
    assert run(folder, "token", "gpu-box", "--role", "remote-worker").exit_code == 0
    assert tokens.tokens_in(folder / "tokens")["gpu-box"].role is Role.REMOTE_WORKER
    assert added(folder, role="viewer").exit_code == 0
    for told in (
        added(folder, "tom", "remote-worker"),
        run(folder, "role", "jane", "remote-worker"),
    ):
        assert (told.exit_code, "no person's" in told.stderr) == (2, True)
    assert users.users_in(folder / "users").keys() == {"jane"}


def test_all_are_listed_without_their_secrets(folder: Path) -> None:
    assert "Nobody yet" in run(folder, "list").stdout
    added(folder)
    run(folder, "token", "orthanc", "--role", "operator")
    shown, listed = run(folder, "list").stdout, run(folder, "list", "--json").stdout
    assert json.loads(listed) == [
        {"name": "jane", "role": "viewer", "kind": "person"},
        {"name": "orthanc", "role": "operator", "kind": "program"},
    ]
    assert "orthanc" in shown
    assert "argon2" not in shown + listed


def test_people_and_programs_are_removed(folder: Path) -> None:
    added(folder)
    run(folder, "token", "orthanc", "--role", "operator")
    assert run(folder, "remove", "jane").exit_code == 0
    assert run(folder, "remove", "orthanc").exit_code == 0
    assert json.loads(run(folder, "list", "--json").stdout) == []


def test_what_cannot_be_done_is_said_with_what_can(folder: Path) -> None:
    added(folder)
    run(folder, "token", "orthanc", "--role", "operator")
    for arguments, said in (
        (("add", "jane", "--role", "viewer", "--password-stdin"), "cadnode users password jane"),
        (("add", "orthanc", "--role", "viewer", "--password-stdin"), "--replace"),
        (("token", "jane", "--role", "viewer"), "a person 'jane' already"),
        (("add", "a b", "--role", "viewer", "--password-stdin"), "is no name"),
        (("add", "local", "--role", "viewer", "--password-stdin"), "choose another name"),
        (("add", "tom", "--role", "chief", "--password-stdin"), "viewer, operator, admin"),
        (("password", "orthanc", "--password-stdin"), "there is: jane"),
        (("remove", "tom"), "there is: jane, orthanc"),
        (("role", "tom", "viewer"), "there is no 'tom'"),
    ):
        told = run(folder, *arguments, given=PASSWORD + "\n")
        assert (told.exit_code, said in told.stderr) == (2, True), told.output


def test_a_file_that_is_not_configured_is_taught(folder: Path) -> None:
    (folder / "node.toml").write_text("")
    for arguments, key in (
        (("add", "jane", "--role", "viewer"), "users_file = "),
        (("password", "jane"), "users_file = "),
        (("token", "orthanc", "--role", "viewer"), "tokens_file = "),
    ):
        told = run(folder, *arguments)
        assert (told.exit_code, key in told.stderr) == (2, True)
    assert json.loads(run(folder, "list", "--json").stdout) == []

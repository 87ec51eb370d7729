"""A reload applies as a whole or not at all, also while a role starts or the disk is full."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cadnode.node import own_settings, settings_reload
from cadnode.node.own_settings import OwnSettings
from cadnode.node.settings_reload import (
    AppliedFile,
    ReloadAnswer,
    answer_of,
    keep_applied,
    take_up,
    together,
)
from cadnode.settings import load


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "cadnode.toml"
    file.write_text(f'[storage]\nfolder = "{tmp_path}"\n')
    return file


def test_what_a_full_disk_has_not_taken_is_taken_up_by_the_next_reload(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, renewed = load(config), list[str]()
    config.write_text(config.read_text() + "[retention]\nimages_days = 3\n")
    with monkeypatch.context() as patch:
        patch.setattr(settings_reload, "keep_applied", lambda *_: None)
        kept = take_up(config, before, renewed.append)
    assert kept is before
    assert renewed == []

    assert take_up(config, kept, renewed.append).retention.images_days == 3
    assert renewed == ["web", "worker"]


def test_a_certificate_of_a_destination_that_cannot_be_used_is_refused(config: Path) -> None:
    before = load(config)
    config.write_text(
        config.read_text()
        + '[[destinations]]\nname = "pacs"\nkind = "dicom"\nhost = "pacs"\nport = 104\n'
        'ae_title = "PACS"\ntls = true\nca_file = "/nowhere/ca.pem"\n'
    )
    after, answer = settings_reload.reloaded(config, before)
    assert after is before
    assert "/nowhere/ca.pem" in answer.problem


def test_a_reload_while_a_role_starts_is_not_missed(config: Path, tmp_path: Path) -> None:
    keep_applied(config, tmp_path)
    began_with = load(config)
    config.write_text(config.read_text() + '[listener]\nae_title = "NEW"\n')
    keep_applied(config, tmp_path)

    applied = AppliedFile(tmp_path, began_with)

    taken = applied.changed()
    assert taken is not None
    assert taken.listener.ae_title == "NEW"
    assert applied.changed() is None


def test_a_role_that_began_with_what_applies_has_nothing_to_take_up(
    config: Path, tmp_path: Path
) -> None:
    keep_applied(config, tmp_path)
    assert AppliedFile(tmp_path, load(config)).changed() is None


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize("section", ["listener", "web"])
def test_a_port_that_is_taken_is_refused_before_anything_changes(
    config: Path, taken: int, section: str
) -> None:
    before, renewed = load(config), list[str]()
    config.write_text(
        config.read_text() + f'[{section}]\nhost = "127.0.0.1"\nport = {taken}\n'
        "[retention]\nimages_days = 3\n"
    )
    assert take_up(config, before, renewed.append) is before
    assert renewed == []
    answer = answer_of(config.parent)
    assert answer is not None
    assert f"{section}.port: 127.0.0.1:{taken} cannot be listened on" in answer.problem


def test_a_port_that_the_node_holds_itself_is_no_obstacle(config: Path, taken: int) -> None:
    config.write_text(config.read_text() + f'[listener]\nhost = "127.0.0.1"\nport = {taken}\n')
    before = load(config)
    config.write_text(config.read_text() + 'ae_title = "NEW"\n')
    assert settings_reload.reloaded(config, before)[1].problem == ""


def asked(config: Path, role: str, text: str) -> OwnSettings:
    """A role that runs by itself, after it was asked to take up a changed file."""
    own = OwnSettings(role, role, config, load(config))
    config.write_text(config.read_text() + text)
    own_settings.ask(config.parent)
    own.look(lambda: False)
    return own


def test_a_worker_by_itself_ends_to_begin_again(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.parent / "roles").mkdir()
    ended = list[tuple[int, int]]()
    monkeypatch.setattr(os, "kill", lambda *to: ended.append(to))
    own = asked(config, "worker", "[retention]\nimages_days = 3\n")
    assert ended == [(os.getpid(), signal.SIGTERM)]
    assert own.begins_again
    answer = answer_of(config.parent, "worker")
    assert answer is not None
    assert (answer.problem, answer.roles) == ("", ("worker",))


def test_what_is_no_concern_of_a_role_and_what_is_wrong_let_it_go_on(config: Path) -> None:
    (config.parent / "roles").mkdir()
    own = asked(config, "listener", "[retention]\nimages_days = 3\n")
    answer = answer_of(config.parent, "listener")
    assert answer is not None
    assert (answer.problem, answer.changed, answer.roles) == (
        "", ("retention.images_days",), (),
    )  # fmt: skip
    own = asked(config, "worker", "images_days = 4\n")  # twice: no TOML
    answer = answer_of(config.parent, "worker")
    assert answer is not None
    assert answer.problem
    assert own.changed() is None
    assert not own.begins_again


def test_a_listener_by_itself_answers_when_it_has_tried(config: Path) -> None:
    (config.parent / "roles").mkdir()
    own = asked(config, "listener", '[listener]\nae_title = "NEW"\n')
    assert answer_of(config.parent, "listener") is None
    new = own.changed()
    assert new is not None
    assert new.listener.ae_title == "NEW"
    own.answer("a passcode cannot be read")
    answer = answer_of(config.parent, "listener")
    assert answer is not None
    assert (answer.problem, answer.changed) == ("a passcode cannot be read", ("listener.ae_title",))


def test_a_listener_in_another_slot_answers_by_its_name(config: Path) -> None:
    (config.parent / "roles").mkdir()
    own = OwnSettings("listener", "listener-2", config, load(config))
    config.write_text(config.read_text() + '[listener]\nae_title = "NEW"\n')
    own_settings.ask(config.parent)
    own.look(lambda: False)
    assert own.changed() is not None
    own.answer("")
    assert answer_of(config.parent, "listener") is None
    answer = answer_of(config.parent, "listener-2")
    assert answer is not None
    assert (answer.problem, answer.roles) == ("", ("listener-2",))


def test_several_answers_name_who_goes_on_as_before_and_who_does_not() -> None:
    answer = together(
        {
            "listener": ReloadAnswer(2.0, "has not answered"),
            "web": ReloadAnswer(1.0, "", ("web.port",), ("web",)),
        }
    )
    assert answer == ReloadAnswer(
        2.0, "the listener has not answered; taken up by web", ("web.port",), ("web",)
    )

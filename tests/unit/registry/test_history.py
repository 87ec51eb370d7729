"""Which version is active, and how it came to be."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cadnode.errors import ModelError, SettingsError
from cadnode.registry import history
from cadnode.registry.history import Activation
from tests.unit.store_cases import ANNA


def changed(*steps: tuple[history.Action, str | None, str | None]) -> Activation:
    content = Activation()
    for action, before, after in steps:
        content = content.changed("a", action, before, after, ANNA)
    return content


def test_without_an_entry_the_newest_version_is_active() -> None:
    assert Activation().version("a", ["0.9.0", "0.10.0"]) == "0.10.0"
    assert Activation().version("a", []) is None


def test_an_entry_counts_more_than_a_newer_version() -> None:
    content = changed(("activate", "0.10.0", "0.9.0"))

    assert content.version("a", ["0.9.0", "0.10.0"]) == "0.9.0"


def test_each_rollback_goes_one_step_further_back() -> None:
    content = changed(("activate", "1.0.0", "2.0.0"), ("deactivate", "2.0.0", None))
    assert content.before("a") == "2.0.0"

    content = content.changed("a", "rollback", None, "2.0.0", ANNA)
    assert content.before("a") == "1.0.0"

    content = content.changed("a", "rollback", "2.0.0", "1.0.0", ANNA)
    with pytest.raises(SettingsError, match="no earlier version"):
        content.before("a")


def test_a_version_that_is_kept_is_no_step_to_return_from() -> None:
    content = changed(("activate", None, "1.0.0"), ("keep", "1.0.0", "1.0.0"))

    assert content.before("a") is None


def test_neither_removal_nor_shadow_mode_is_a_step_to_return_from() -> None:
    content = changed(("activate", "1.0.0", "2.0.0"))
    content = content.shadowed("a", "3.0.0", ANNA).shadowed("a", None, ANNA)
    content = content.noted("a", "remove", "0.5.0", None, ANNA)

    assert content.before("a") == "1.0.0"
    assert content.active == {"a": "2.0.0"}
    assert [c.action for c in content.history[1:]] == ["shadow_start", "shadow_stop", "remove"]


def test_a_shadow_that_becomes_active_is_no_shadow_any_more() -> None:
    content = Activation().shadowed("a", "2.0.0", ANNA).shadowed("b", "1.0.0", ANNA)

    assert content.changed("a", "rollback", "2.0.0", "1.0.0", ANNA).shadow == content.shadow
    assert content.changed("a", "promote", "1.0.0", "2.0.0", ANNA).shadow == {"b": "1.0.0"}


def test_a_file_of_the_first_schema_is_still_read(tmp_path: Path) -> None:
    (tmp_path / history.FILE).write_text(
        '{"schema_version": 1, "active": {"a": "1.0.0"}, "history": [{"name": "a", "action": '
        '"activate", "from_version": null, "to_version": "1.0.0", "by": "anna", '
        '"at": "2026-03-04T15:06:07Z"}]}'
    )

    content = history.read(tmp_path)

    assert content.active == {"a": "1.0.0"}
    assert (content.history[0].reason, content.history[0].evidence) == ("", None)
    assert content.changed("a", "activate", "1.0.0", "2.0.0", ANNA).schema_version == 2


@pytest.mark.parametrize("reason", ["one\ntwo", "a\x1b[31mred", "x" * 501])
def test_a_reason_is_one_short_line_without_control_characters(reason: str) -> None:
    with pytest.raises(SettingsError, match="one line"):
        history.grounds(reason)


def test_every_change_of_the_file_has_another_identity(tmp_path: Path) -> None:
    assert history.identity(tmp_path) is None
    seen = set()
    for _ in range(3):
        history.write(tmp_path, Activation())
        seen.add(history.identity(tmp_path))

    assert history.identity(tmp_path) in seen
    assert len(seen) == 3


def test_the_changes_of_another_model_are_not_ours() -> None:
    content = changed(("activate", "1.0.0", "2.0.0"))

    with pytest.raises(SettingsError):
        content.before("b")


def test_who_and_when_are_read_as_they_were_written(tmp_path: Path) -> None:
    content = changed(("activate", "1.0.0", "2.0.0"))
    history.write(tmp_path, content)

    assert history.read(tmp_path) == content
    (change,) = history.read(tmp_path).history
    assert (change.by, change.at) == ("anna", datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC))


def test_a_store_without_the_file_or_without_a_folder_has_no_history(tmp_path: Path) -> None:
    assert history.read(tmp_path) == history.read(tmp_path / "no") == history.read(None)


@pytest.mark.parametrize("content", ["", "[]", '{"active": {"a": 1}}', '{"surprise": 1}'])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / history.FILE).write_text(content)

    with pytest.raises(ModelError, match=r"active\.json is not valid.*move it away"):
        history.read(tmp_path)


def test_a_store_that_cannot_be_written_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(SettingsError, match=r"storage\.folder"),
        history.changing(tmp_path / "file" / "models"),
    ):
        pass

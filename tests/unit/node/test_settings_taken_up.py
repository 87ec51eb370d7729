"""A reload applies as a whole or not at all, also while a role starts or the disk is full."""

from pathlib import Path

import pytest

from cadnode.node import settings_reload
from cadnode.node.settings_reload import AppliedFile, keep_applied, take_up
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

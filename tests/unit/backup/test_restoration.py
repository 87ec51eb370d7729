"""What a restoration leaves is the node's to work with, or nothing at all."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from cadnode.backup import restoration
from cadnode.errors import SettingsError
from tests.unit.backup.test_backup import IMAGE, Site, names, restored


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "machine")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_restores_is_the_node_users(site: Site, tmp_path: Path) -> None:
    node = pwd.getpwnam("nobody")
    for path in (site.storage, *site.storage.rglob("*")):
        os.chown(path, node.pw_uid, node.pw_gid)
    file = site.backup(tmp_path / "node.tar")
    site.lose()

    restored(file, None)

    there = (site.storage, *site.storage.rglob("*"))
    assert {path.stat().st_uid for path in there} == {node.pw_uid}
    assert stat.S_IMODE(site.storage.stat().st_mode) == 0o750
    assert site.users.stat().st_uid == 0


def test_links_to_identities_and_the_services_environment_are_in_it(
    site: Site, tmp_path: Path
) -> None:
    site.users.rename(tmp_path / "elsewhere")
    site.users.symlink_to(tmp_path / "elsewhere")
    (site.config.parent / "environment").write_text("CADNODE_WEB__PORT=1\n")
    file = site.backup(tmp_path / "node.tar")
    site.lose()

    restored(file, None)

    assert site.users.read_text() == "jane admin HASH\n"
    assert (site.config.parent / "environment").read_text() == "CADNODE_WEB__PORT=1\n"


def test_a_file_of_the_settings_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    file = site.backup(tmp_path / "node.tar")
    site.lose()
    site.config.parent.write_text("a file in the place of the folder")
    other = tmp_path / "other.toml"
    other.write_text(f'[storage]\nfolder = "{tmp_path / "new"}"\n')

    assert restored(file, other).failed == (site.users,)
    assert (tmp_path / "new" / IMAGE).exists()


def test_where_jobs_cannot_be_put_back_nothing_is_restored(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise SettingsError("the server does not answer")

    file = site.backup(tmp_path / "node.tar")
    site.lose()
    with monkeypatch.context() as patch:
        patch.setattr(restoration, "_put_jobs", fail)
        with pytest.raises(SettingsError, match="does not answer"):
            restored(file, None)
    assert names(site.storage.parent) == {"data/node.lock"}
    assert restored(file, None).has_jobs

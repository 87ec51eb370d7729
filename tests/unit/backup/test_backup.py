"""A backup holds all that a node cannot make again, is whole or refused, and replaces nothing."""

import json
import os
import sqlite3
import stat
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode.audit import verify
from cadnode.audit.trail import Trail
from cadnode.backup import creation, restoration
from cadnode.backup.archive import summed_up
from cadnode.backup.creation import BackupWish, create
from cadnode.cli.app import app
from cadnode.errors import CadnodeError, DataError, SettingsError
from cadnode.node import storage_lock
from cadnode.settings import load

STUDY, CONTENT = "0123456789abcdef", "fedcba9876543210"
IMAGE = f"spool/studies/{STUDY}/aaaa.dcm"
RESULT = f"results/{STUDY}/{CONTENT}/result.json"
RECORD = f"results/{STUDY}/{CONTENT}/deliveries.jsonl"


class Site:
    """A node's files below a folder, as an admin has them."""

    def __init__(self, folder: Path) -> None:
        self.storage, self.config = folder / "data", folder / "etc/cadnode.toml"
        self.users = folder / "etc/users"
        self.config.parent.mkdir(parents=True)
        self.config.write_text(
            f'[storage]\nfolder = "{self.storage}"\n[web]\nusers_file = "{self.users}"\n'
        )
        self.users.write_text("jane admin HASH\n")
        self.users.chmod(0o640)
        for name, text in {
            IMAGE: "pixels", RESULT: "{}", RECORD: '{"whole": 1}\n{"cut',
            "removed/x.json": "{}", f"way/{STUDY}.jsonl": "{}\n", "installation-id": "42",
            "spool/incoming/half": "half", "roles/worker.beat": "beat", "node.lock": "",
            "studies.sqlite": "list", f"spool/headers/{STUDY}.jsonl": "{}\n",
            "results/.trash/x/y": "gone", "pins/.0.part": "half", "unknown.txt": "an admin's",
        }.items():  # fmt: skip
            path = self.storage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        os.utime(self.storage / IMAGE, ns=(1_700_000_000_123_456_789,) * 2)
        (self.storage / IMAGE).chmod(0o640)
        with closing(sqlite3.connect(self.storage / "jobs.sqlite")) as jobs:
            jobs.execute("create table t (n)")
            jobs.execute("insert into t values (7)")
            jobs.commit()
        Trail.of(self.values).record(restoration_event())

    @property
    def values(self):  # type: ignore[no-untyped-def]
        return load(self.config)

    def backup(self, to: Path, **wish: bool) -> Path:
        path = create(BackupWish(self.values, self.config, **wish), to).path
        assert path is not None
        return path

    def lose(self) -> None:
        """The machine is lost: storage, settings and identities."""
        for path in sorted(self.storage.parent.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


def restoration_event():  # type: ignore[no-untyped-def]
    from cadnode.audit.actors import this_node
    from cadnode.audit.event import Action, Event, EventOutcome

    return Event(Action.STARTED, EventOutcome.SUCCESS, this_node("node"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "machine")


def restored(file: Path, config: Path | None) -> restoration.Restored:
    with file.open("rb") as stream:
        return restoration.restore(stream, config)


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_lost_machine_is_as_it_was(site: Site, tmp_path: Path) -> None:
    before = names(site.storage)
    file = site.backup(tmp_path / "node.tar")
    site.lose()

    done = restored(file, None)

    made_again = {
        "spool/incoming/half", "roles/worker.beat", "studies.sqlite", "pins/.0.part",
        f"spool/headers/{STUDY}.jsonl", "results/.trash/x/y",
    }  # fmt: skip
    assert names(site.storage) == before - made_again
    image = (site.storage / IMAGE).stat()
    assert image.st_mtime_ns == 1_700_000_000_123_456_789
    assert stat.S_IMODE(image.st_mode) == 0o640
    assert (site.storage / RECORD).read_text() == '{"whole": 1}\n'
    with closing(sqlite3.connect(site.storage / "jobs.sqlite")) as jobs:
        assert jobs.execute("select n from t").fetchall() == [(7,)]
    assert verify.verify(site.storage / "audit").is_whole
    assert set(done.written) == {site.config, site.users}
    assert stat.S_IMODE(site.users.stat().st_mode) == 0o640
    assert done.has_jobs


def test_a_job_database_of_another_name_is_in_it_once(site: Site, tmp_path: Path) -> None:
    other = site.storage / "other.sqlite"
    (site.storage / "jobs.sqlite").rename(other)
    site.config.write_text(
        site.config.read_text() + f'[jobs]\ndatabase_url = "sqlite:///{other}"\n'
    )
    with tarfile.open(site.backup(tmp_path / "node.tar")) as tar:
        assert [name for name in tar.getnames() if "sqlite" in name] == ["jobs.sqlite"]


def test_only_the_user_may_read_it_and_it_says_what_is_in_it(site: Site, tmp_path: Path) -> None:
    file = site.backup(tmp_path)
    with file.open("rb") as stream:
        found = summed_up(stream)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (found.n_studies, found.n_results, found.head.node) == (1, 1, "CADNODE")
    assert list(tmp_path.glob(".*.part")) == []


def test_without_images_results_stay(site: Site, tmp_path: Path) -> None:
    file = site.backup(tmp_path / "node.tar", with_images=False)
    site.lose()
    restored(file, None)
    assert IMAGE not in names(site.storage)
    assert RESULT in names(site.storage)


def test_what_refers_is_copied_before_what_it_refers_to(site: Site, tmp_path: Path) -> None:
    (site.storage / "undelivered").mkdir()
    (site.storage / "undelivered/x").write_text("x")
    with tarfile.open(site.backup(tmp_path / "node.tar")) as tar:
        order = [name.removeprefix("storage/") for name in tar.getnames()]
    wanted = ["head.json", "jobs.sqlite", "undelivered/x", RESULT, "removed/x.json", IMAGE,
              "audit/head.json", "manifest.json"]  # fmt: skip
    assert sorted(wanted, key=order.index) == wanted
    assert order[-2].startswith("audit/")


def test_a_file_that_goes_meanwhile_is_left_out(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(creation.chosen(site.storage, with_images=True))
    (site.storage / IMAGE).unlink()
    monkeypatch.setattr(creation, "chosen", lambda *_, **__: found)
    with site.backup(tmp_path / "node.tar").open("rb") as stream:
        assert summed_up(stream).n_studies == 0


@pytest.mark.parametrize("damage", ["cut", "bit", "text", "empty"])
def test_a_damaged_backup_is_refused_and_changes_nothing(
    site: Site, tmp_path: Path, damage: str
) -> None:
    file = site.backup(tmp_path / "node.tar")
    data = bytearray(file.read_bytes())
    if damage == "bit":
        data[data.index(b"pixels")] ^= 1
    shorter = {"cut": data[: len(data) // 2], "text": b"no backup\n" * 200, "empty": b""}
    file.write_bytes(shorter.get(damage, data))
    site.lose()

    with pytest.raises(DataError):
        restored(file, None)
    assert names(site.storage.parent) <= {"data/node.lock"}


def test_neither_a_running_node_nor_what_is_there_is_overwritten(
    site: Site, tmp_path: Path
) -> None:
    file = site.backup(tmp_path / "node.tar")
    with pytest.raises(SettingsError, match="is not empty"):
        restored(file, site.config)
    with storage_lock.held(site.storage), pytest.raises(SettingsError, match="another node works"):
        restored(file, site.config)
    assert (site.storage / IMAGE).read_text() == "pixels"


def test_identities_that_are_here_stay_and_are_named(site: Site, tmp_path: Path) -> None:
    file = site.backup(tmp_path / "node.tar")
    site.users.write_text("otto admin OTHER\n")
    other = tmp_path / "other.toml"
    other.write_text(f'[storage]\nfolder = "{tmp_path / "new"}"\n')

    done = restored(file, other)

    assert done.kept == (other, site.users)
    assert "otto" in site.users.read_text()
    assert (tmp_path / "new" / IMAGE).exists()


def test_a_backup_replaces_no_file_and_is_not_in_what_it_holds(site: Site, tmp_path: Path) -> None:
    (tmp_path / "there.tar").write_text("precious")
    for to, says in ((tmp_path / "there.tar", "replaces nothing"), (site.storage, "another disk")):
        with pytest.raises(SettingsError, match=says):
            create(BackupWish(site.values, site.config), to)


def test_it_goes_through_pipes_and_is_in_the_audit_trail(site: Site, tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["backup", "create", "-", "--config", str(site.config)])
    data = made.stdout_bytes
    read = CliRunner().invoke(app, ["backup", "verify", "-", "--json"], input=data)
    assert json.loads(read.stdout)["n_results"] == 1
    site.lose()
    put_back = CliRunner().invoke(
        app, ["backup", "restore", "-", "--config", str(site.config), "--json"], input=data
    )
    assert put_back.exit_code == 0, put_back.output
    trail = "".join(p.read_text() for p in (site.storage / "audit").glob("*.jsonl"))
    assert "backup restored" in trail


def test_a_backup_of_a_trail_that_is_written_meanwhile_is_whole(site: Site, tmp_path: Path) -> None:
    ended = threading.Event()
    trail = Trail.of(site.values)

    def write() -> None:
        while not ended.is_set():
            trail.record(restoration_event())

    thread = threading.Thread(target=write)
    thread.start()
    try:
        files = [site.backup(tmp_path / f"{n}.tar") for n in range(3)]
    finally:
        ended.set()
        thread.join()
    for file in files:
        folder = tmp_path / file.stem
        (tmp_path / "c.toml").write_text(f'[storage]\nfolder = "{folder}"\n')
        restored(file, tmp_path / "c.toml")
        assert verify.verify(folder / "audit").is_whole


def test_no_storage_is_said(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[storage]\nfolder = "{tmp_path / "none"}"\n')
    with pytest.raises(CadnodeError, match="no node's storage folder"):
        create(BackupWish(load(tmp_path / "c.toml"), None), tmp_path / "x.tar")
    assert not (tmp_path / "x.tar").exists()

"""A backup is put back: into a storage folder that is empty, whole or not at all.

Files are written into a folder of their own within the storage folder, compared with the backup's
manifest, and only then take their places. Settings and identities go where they were, and replace
nothing: what is there already stays, and is named.
"""

import grp
import os
import pwd
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cadnode import settings
from cadnode.backup import archive
from cadnode.backup.archive import BackupHead, BackupMember, BackupReader
from cadnode.errors import DataError, SettingsError
from cadnode.files import make_folder
from cadnode.node import job_copy, job_database, storage_lock
from cadnode.settings import Settings

_STAGE: Final = ".restoring"
_NOT_DATA: Final = frozenset({storage_lock.FILE, _STAGE, "lost+found"})
_MOST_SETTINGS: Final = 4 << 20  # bytes of a file that a setting names
_PART: Final = 1 << 20
_FOLDER_MODE: Final = 0o750


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back. `written` are files of the settings, `kept` those that were here already.

    `failed` are those that could not be written, or not compared with what is here.
    `has_jobs`: the job database, too; without it a node goes on from the files.
    """

    values: Settings
    head: BackupHead
    n_files: int
    n_bytes: int
    has_jobs: bool
    written: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    failed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _NamedFile:
    """A file that a setting names, in memory until the backup is known to be whole."""

    data: bytes
    info: tarfile.TarInfo


@dataclass(slots=True)
class _Stage:
    """What has been unpacked so far, below a folder; what root unpacks is given its owner."""

    folder: Path
    storage: Path
    n_files: int = 0
    n_bytes: int = 0
    first: tarfile.TarInfo | None = None
    """The first file of the storage folder: whose it is, the node is."""

    def take(self, member: BackupMember) -> None:
        """Unpack a file, with its mode and its time. Raises `OSError`."""
        path = self.folder / member.name
        if self.first is None and member.name.startswith(archive.STORAGE):
            self.first = member.info
        if not path.parent.is_dir():
            self._make(path.parent, member)
        with path.open("xb") as file:
            while part := member.content.read(_PART):
                file.write(part)
            os.fchmod(file.fileno(), member.info.mode & 0o777)
        _hand_over(path, member.info, self.storage)
        at = _time_ns(member)
        os.utime(path, ns=(at, at))
        self.n_files, self.n_bytes = self.n_files + 1, self.n_bytes + member.info.size

    def _make(self, folder: Path, member: BackupMember) -> None:
        if not folder.parent.is_dir():
            self._make(folder.parent, member)
        folder.mkdir()
        folder.chmod(_FOLDER_MODE)
        _hand_over(folder, member.info, self.storage)


def restore(stream: IO[bytes], config: Path | None) -> Restored:
    """Put a backup back; by the settings in `config`, which comes from the backup if it is missing.

    Raises
    ------
    DataError
        It is no backup, or a damaged one; nothing was changed.
    SettingsError
        A node runs in the storage folder, it is not empty, or takes no more; or the settings cannot
        be used.
    """
    reader = BackupReader(stream)
    members, named = reader.members(), dict[str, _NamedFile]()
    first = next((one for one in members if not _is_named(one, named)), None)
    target = config or (Path(reader.head.config) if reader.head.config else None)
    new = _new_config(reader.head, target, named)
    try:
        values = settings.load(target)
        storage = values.storage.folder.absolute()
        is_new = not storage.is_dir()
        make_folder(storage)
        with storage_lock.held(storage, within_s=0.0):
            _refuse_if_used(storage)
            stage = _Stage(storage / _STAGE, storage)
            shutil.rmtree(stage.folder, ignore_errors=True)  # of a restoration that was broken off
            try:
                stage.folder.mkdir(mode=0o700)
                for member in _from(first, members):
                    stage.take(member)
                has_jobs = _put_in_place(values, stage)
                _give_to_node(values, stage, is_new=is_new)
            finally:
                shutil.rmtree(stage.folder, ignore_errors=True)
    except OSError as error:
        _take_back(new)
        raise SettingsError(f"nothing was restored: {os.strerror(error.errno or 5)}") from None
    except BaseException:
        _take_back(new)
        raise
    written, kept, failed = _put_named(reader.head, target, named, storage)
    os.sync()
    made = (*((new,) if new else ()), *written)
    return Restored(values, reader.head, stage.n_files, stage.n_bytes, has_jobs, made, kept, failed)


def _from(first: BackupMember | None, members: Iterator[BackupMember]) -> Iterator[BackupMember]:
    if first is not None:
        yield first
    yield from members


def _is_named(member: BackupMember, named: dict[str, _NamedFile]) -> bool:
    """Whether it is a file of the settings; it is then kept in `named`, by its absolute path."""
    if not member.name.startswith(archive.SETTINGS):
        return False
    if member.info.size > _MOST_SETTINGS:
        raise DataError(f"the backup has a file of settings that is too large: {member.name!r}")
    path = "/" + member.name.removeprefix(archive.SETTINGS)
    named[path] = _NamedFile(member.content.read(), member.info)
    return True


def _new_config(head: BackupHead, target: Path | None, named: dict[str, _NamedFile]) -> Path | None:
    """The configuration file, where it was written now: by it storage.folder is known."""
    if target is None or target.exists() or head.config not in named:
        return None
    _write(target, named[head.config], target.parent)
    return target


def _take_back(new: Path | None) -> None:
    if new is not None:
        new.unlink(missing_ok=True)


def _refuse_if_used(storage: Path) -> None:
    if found := sorted(p.name for p in storage.iterdir() if p.name not in _NOT_DATA):
        shown = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
        raise SettingsError(
            f"{storage} is not empty ({shown}): a backup is restored into an empty folder. Move "
            "what is there aside, or set another storage.folder"
        )


def _put_in_place(values: Settings, stage: _Stage) -> bool:
    """Rename all into the storage folder, or nothing; whether the job database came along."""
    unpacked = stage.folder / archive.STORAGE
    names = sorted(path.name for path in unpacked.iterdir()) if unpacked.is_dir() else []
    try:
        for name in names:
            (unpacked / name).rename(stage.storage / name)
        return _put_jobs(values, stage)
    except BaseException:
        for name in names:
            if not (unpacked / name).exists():
                (stage.storage / name).rename(unpacked / name)
        raise


def _put_jobs(values: Settings, stage: _Stage) -> bool:
    dump, copy = stage.folder / job_copy.POSTGRES, stage.folder / job_copy.SQLITE
    file = job_database.file_of(values.database_url)
    if job_database.is_shared(values.database_url) and dump.exists():
        job_copy.put_back(values, dump)
        return True
    if file is not None and copy.exists() and not file.exists():
        shutil.move(copy, file)
        return True
    return False


def _give_to_node(values: Settings, stage: _Stage, *, is_new: bool) -> None:
    """What restoring itself has made belongs to the node's user: it must not lock them out."""
    ours = [stage.storage / storage_lock.FILE, job_database.file_of(values.database_url)]
    if is_new:
        stage.storage.chmod(_FOLDER_MODE)
        ours.append(stage.storage)
    for path in ours:
        if stage.first is not None and path is not None and path.exists():
            _hand_over(path, stage.first, stage.storage)


def _put_named(
    head: BackupHead, target: Path | None, named: dict[str, _NamedFile], storage: Path
) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]:
    """Files of the settings: written as they were missing; kept, with other content; and failed.

    The storage folder is restored by now: a file that may not be written here ends nothing.
    """
    written, kept, failed = [], [], []
    for name, one in named.items():
        path = target if name == head.config and target is not None else Path(name)
        try:
            if not path.exists():
                _write(path, one, storage)
                written.append(path)
            elif path.read_bytes() != one.data:
                kept.append(path)
        except OSError:
            failed.append(path)
    return tuple(written), tuple(kept), tuple(failed)


def _write(path: Path, named: _NamedFile, like: Path) -> None:
    make_folder(path.absolute().parent)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(named.data)
        os.fchmod(file.fileno(), named.info.mode & 0o777)
    _hand_over(path, named.info, like)


def _hand_over(path: Path, info: tarfile.TarInfo, like: Path) -> None:
    """What root makes belongs to whom it belonged, where that user is known here, else as `like`.

    Anybody else owns what they make.
    """
    if os.geteuid():
        return
    there = like.stat()
    try:
        user = pwd.getpwnam(info.uname).pw_uid
    except KeyError:
        user = there.st_uid
    try:
        group = grp.getgrnam(info.gname).gr_gid
    except KeyError:
        group = there.st_gid
    os.chown(path, user, group)


def _time_ns(member: BackupMember) -> int:
    seconds, _, fraction = member.info.pax_headers.get("mtime", "0").partition(".")
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9] or 0)

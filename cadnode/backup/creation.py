"""A backup is made, of a node that runs or not; into a file, or a pipe."""

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from cadnode import __version__
from cadnode.backup import archive
from cadnode.backup.archive import BackupHead, BackupWriter
from cadnode.backup.selection import chosen, settings_files
from cadnode.errors import SettingsError
from cadnode.files import written_whole
from cadnode.node import job_copy, job_database
from cadnode.settings import Settings

_MODE: Final = 0o600  # images, reports and secrets


@dataclass(frozen=True, slots=True)
class BackupWish:
    """What is wanted of a backup."""

    values: Settings
    config: Path | None
    with_images: bool = True
    with_jobs: bool = True


@dataclass(frozen=True, slots=True)
class BackupMade:
    """What was written; `path` is None of a pipe."""

    path: Path | None
    n_files: int
    n_bytes: int


def create(wish: BackupWish, to: Path) -> BackupMade:
    """A backup in the file `to`, or, where that is a folder, in a file of today in it.

    The file is there when it is whole, and only the user may read it.

    Raises
    ------
    SettingsError
        There is such a file, it would be in the backup, or storage or job database cannot be read.
    """
    now = datetime.now(UTC)
    path = (to / f"cadnode-{now:%Y%m%dT%H%M%SZ}.tar" if to.is_dir() else to).absolute()
    storage = wish.values.storage.folder.absolute()
    if path.exists():
        raise SettingsError(f"{path} is there already: a backup replaces nothing")
    if path.resolve().is_relative_to(storage.resolve()):
        raise SettingsError(f"{path} is in storage.folder, which it is a backup of: another disk")
    try:
        with written_whole(path) as file:
            os.fchmod(file.fileno(), _MODE)
            made = write(wish, file, now)
    except OSError as error:
        at = f": {error.filename}" if error.filename else ""
        reason = os.strerror(error.errno or 5)
        raise SettingsError(f"the backup was not made: {reason}{at}") from None
    return BackupMade(path, made.n_files, made.n_bytes)


def write(wish: BackupWish, stream: IO[bytes], now: datetime) -> BackupMade:
    """A backup into a stream.

    Raises
    ------
    SettingsError
        There is no storage, or the job database cannot be copied.
    OSError
        A file cannot be read, or the stream takes no more.
    """
    values, storage = wish.values, wish.values.storage.folder.absolute()
    if not (storage / "spool").is_dir():
        raise SettingsError(
            f"{storage} is no node's storage folder: name the node's file by --config"
        )
    config = "" if wish.config is None else str(wish.config.absolute())
    head = BackupHead(
        archive.FORMAT, __version__, now.isoformat(timespec="seconds"),
        values.listener.ae_title, str(storage), config, wish.with_images,
    )  # fmt: skip
    writer, n_files = BackupWriter(stream, head), 0
    for path in settings_files(values, wish.config):
        name = archive.SETTINGS + str(path.relative_to("/"))
        n_files += writer.add_file(name, path.resolve())  # identities are often links
    if wish.with_jobs:
        with tempfile.TemporaryDirectory(prefix="cadnode-backup-") as folder:
            copy = job_copy.copied(values, Path(folder))
            n_files += copy is not None and writer.add_file(copy.name, copy)
    jobs = job_database.file_of(values.database_url)
    for one in chosen(storage, with_images=wish.with_images):
        if jobs is not None and str(one.path).startswith(str(jobs.absolute())):
            continue  # the copy of one moment is in it
        name = archive.STORAGE + one.relative.as_posix()
        n_files += writer.add_file(name, one.path, has_lines=one.has_lines)
    return BackupMade(None, n_files, writer.close())

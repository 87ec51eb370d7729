"""Files that exist whole or not at all, also after a crash or a power cut; and their locks.

Choice: locks are `flock`'s, not the library `filelock`'s. Four of them lie on what they protect, a
file being written or a study's folder, or are inspected by another process (`is_locked`), and one
is shared; `filelock` locks a file of its own, exclusively, and cannot report whether it is held.
"""

import errno
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write; at the end of the block it is synced and takes the place of `path`.

    Until then it has a hidden name in the same folder, which is made if need be; after an error
    nothing of it is left and `path` is as it was.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written.
    """
    make_folder(path.parent)
    hidden = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with hidden.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`; see `written_whole`."""
    with written_whole(path) as file:
        file.write(data)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, durably: each name is synced.

    Raises
    ------
    OSError
        ENOTDIR where a file has a name on the way, ENOENT where a link leads nowhere, as to a disk
        that is not mounted.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        try:
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir():
                code = errno.ENOTDIR if folder.exists() else errno.ENOENT
                raise OSError(code, os.strerror(code)) from None
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Whether an open file or folder is locked now; False when another holds it and we don't wait.

    The lock ends when its last descriptor is closed, however the process ends. Of a shared lock
    there may be several.

    Raises
    ------
    OSError
        The file system knows no locks.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, *, shared: bool = False, mode: int = 0o666) -> Iterator[None]:
    """Within the block the file at `path` is locked; waits for others.

    The file is made with `mode` if need be, and stays.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, mode)
    try:
        lock(descriptor, shared=shared)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path, *, when_missing: bool) -> bool:
    """Whether a process holds a lock on `path`; `when_missing` of a file that is not there."""
    try:
        with path.open("rb") as file:
            return not lock(file.fileno(), wait=False)
    except FileNotFoundError:
        return when_missing

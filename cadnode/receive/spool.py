"""The spool: received instances on disk, each there whole or not at all.

    ROOT/incoming/                          files being written
    ROOT/studies/<study_key>/<instance_key>.dcm
                             <instance_key>.<sha8>.old   what another object of that UID replaced
    ROOT/headers/<study_key>.jsonl          what was noted of their headers; may be removed

A key is `hashed(uid)`: no identifier is in a name. A file is written in `incoming/`, fsynced,
renamed into its study's folder, and the folder is fsynced; only then is it received. A UID that
comes again with the same data set changes nothing; with another data set the newcomer takes the
name and the older file stays beside it (`Spool.replaced`): nothing is lost, and a reader can
distinguish a corrected header from another image.
"""

import hashlib
import os
import shutil
import struct
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from cadnode.files import is_locked, lock, sync_folder
from cadnode.log import hashed
from cadnode.receive.identity import Identity

_PREAMBLE_BYTES = 132  # 128 bytes and "DICM" (DICOM PS3.10 7.1)
_GROUP_LENGTH = struct.Struct("<HH2sHI")  # (0002,0000) UL, explicit little endian

_COMPARED_AT_ONCE = 1 << 20


class Incoming:
    """A file being written, and locked, so that it is not taken for a leftover."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_bytes = 0
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        lock(self._descriptor)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`. Raises `OSError` when the disk is full."""
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self.n_bytes += written
            view = view[written:]

    def sync(self) -> None:
        """Bring every byte, and the time of last write, to the disk."""
        os.fsync(self._descriptor)

    def drop(self) -> None:
        """Let go of the file; what was not published is removed. May be called again."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(FileNotFoundError):
                self.path.unlink()
            os.close(descriptor)


def data_set_offset(file: BinaryIO) -> int:
    """Where the data set starts in a Part 10 file; 0 when its header states no length."""
    file.seek(_PREAMBLE_BYTES)
    head = file.read(_GROUP_LENGTH.size)
    if len(head) < _GROUP_LENGTH.size:
        return 0
    group, element, vr, _, length = _GROUP_LENGTH.unpack(head)
    if (group, element, vr) != (0x0002, 0x0000, b"UL"):
        return 0
    return _PREAMBLE_BYTES + _GROUP_LENGTH.size + int(length)


class Received(StrEnum):
    """What receiving an instance changed."""

    STORED = "stored"
    ALREADY_HERE = "already_here"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance that is safely in the spool."""

    study_key: str
    instance_key: str
    path: Path
    received: Received
    n_bytes: int


class Spool:
    """A folder of received instances. Several threads and processes may use it at once."""

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        self._incoming = root / "incoming"
        self._studies = root / "studies"
        self._headers = root / "headers"
        self._min_free_bytes = min_free_bytes
        for folder in (self._incoming, self._studies):
            folder.mkdir(parents=True, exist_ok=True)

    def has_room(self) -> bool:
        """Whether the disk has the configured minimum of free bytes."""
        disk = os.statvfs(self._incoming)
        return disk.f_bavail * disk.f_frsize >= self._min_free_bytes

    def open(self) -> Incoming:
        """A new file on its way in; `publish` or `drop` ends it. Raises `OSError`."""
        return Incoming(self._incoming / f"{uuid.uuid4().hex}.part")

    def publish(self, incoming: Incoming, identity: Identity) -> StoredInstance:
        """`incoming` in its place, durably; whatever happens, it is no longer in `incoming/`.

        Raises
        ------
        OSError
            The disk is full or failing; the spool is as it was before.
        """
        study, instance = hashed(identity.study_instance_uid), hashed(identity.sop_instance_uid)
        path = self._studies / study / f"{instance}.dcm"
        try:
            incoming.sync()
            with self._locked(study) as folder_fd:
                received = _place(incoming.path, path)
                os.fsync(folder_fd)
                sync_folder(self._studies)
            return StoredInstance(study, instance, path, received, incoming.n_bytes)
        finally:
            incoming.drop()

    def studies(self) -> list[str]:
        """Keys of the studies that hold at least one instance, in order."""
        return sorted(p.name for p in self._studies.iterdir() if self.instances(p.name))

    def instances(self, study_key: str) -> list[Path]:
        """Files of a study in order of their names; empty when there is no such study."""
        return sorted((self._studies / study_key).glob("*.dcm"))

    def replaced(self, study_key: str) -> list[Path]:
        """Files of a study whose UID came again with another data set, in order of their names."""
        return sorted((self._studies / study_key).glob("*.old"))

    def folder_of(self, study_key: str) -> Path:
        """Where a study's files are, or will be."""
        return self._studies / study_key

    def header_index(self, study_key: str) -> Path:
        """Where the headers of a study's files may be cached; nothing depends on it."""
        return self._headers / f"{study_key}.jsonl"

    def changed_at(self, study_key: str) -> float:
        """When the study last changed, in seconds since the epoch; now when there is none."""
        try:
            return (self._studies / study_key).stat().st_mtime
        except FileNotFoundError:
            return time.time()

    def quiet_s(self, study_key: str) -> float:
        """Seconds since the study last changed; 0 when there is no such study."""
        return max(0.0, time.time() - self.changed_at(study_key))

    @staticmethod
    def fingerprint(paths: Sequence[Path]) -> str:
        """16 hex digits that change when, and only when, the content of `paths` does.

        From names, sizes and times of last write: a restart or a re-sent equal object leaves
        these as they are, and nothing is read.
        """
        digest = hashlib.sha256()
        for path in sorted(paths):
            stat = path.stat()
            digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def discard(self, study_key: str) -> None:
        """Remove a study and everything received of it; nothing happens when it is not there."""
        folder = self._studies / study_key
        removed = self._incoming / f"{uuid.uuid4().hex}.discarded"
        if folder.is_dir():
            with self._locked(study_key):
                folder.rename(removed)
                sync_folder(self._studies)
            shutil.rmtree(removed)
            self.header_index(study_key).unlink(missing_ok=True)

    def clear_incoming(self) -> int:
        """Number of files removed that a killed process left half written.

        A file still being written is locked by its writer and stays.
        """
        removed = 0
        for path in self._incoming.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif not is_locked(path, when_missing=True):
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    @contextmanager
    def _locked(self, study_key: str) -> Iterator[int]:
        """Descriptor of the study's folder, made if need be and locked against other writers."""
        folder = self._studies / study_key
        while True:
            folder.mkdir(exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                lock(descriptor)
                if _is_at(folder, descriptor):  # else it was discarded while we waited
                    yield descriptor
                    return
            finally:
                os.close(descriptor)


def _is_at(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _place(new: Path, path: Path) -> Received:
    """Give `new` the name `path`, keeping what had it before when that was something else."""
    if not path.exists():
        new.rename(path)
        return Received.STORED
    if _same_data_set(new, path):
        return Received.ALREADY_HERE
    kept = path.with_suffix(f".{_digest(path)[:8]}.old")
    if not kept.exists():
        os.link(path, kept)
    new.replace(path)
    return Received.REPLACED


def _same_data_set(one: Path, other: Path) -> bool:
    """Whether two Part 10 files hold the same data set bytes, whatever their file meta is."""
    with one.open("rb") as a, other.open("rb") as b:
        a.seek(data_set_offset(a))
        b.seek(data_set_offset(b))
        while True:
            block = a.read(_COMPARED_AT_ONCE)
            if block != b.read(_COMPARED_AT_ONCE):
                return False
            if not block:
                return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

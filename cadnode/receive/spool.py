"""The spool: received instances on disk, each there whole or not at all.

    ROOT/incoming/                          files being written
    ROOT/studies/<study_key>/<instance_key>.dcm
                             <instance_key>.<sha8>.old   what another object of that UID replaced
    ROOT/headers/<study_key>.jsonl          what was noted of their headers; may be removed
    ROOT/removed/<study_key>.json           what is remembered of what was removed
    ROOT/trash/                             what is being deleted: nobody reads it any more

A key is `hashed(uid)`: no identifier is in a name. A file is written in `incoming/`, fsynced,
renamed into its study's folder, and the folder is fsynced; only then is it received. A UID that
comes again with the same data set changes nothing; with another data set the newcomer takes the
name and the older file stays beside it (`Spool.replaced`): nothing is lost, and a reader can
distinguish a corrected header from another image.
"""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cadnode.files import file_sha256, lock, make_folder, sync_folder
from cadnode.log import hashed
from cadnode.receive import removed
from cadnode.receive.identity import InstanceIdentity
from cadnode.receive.removed import Removed, data_set_offset, data_set_sha256

_COMPARED_AT_ONCE = 1 << 20


class Incoming:
    """A file being written, and locked, so that it is not taken for a leftover.

    Raises `FileNotFoundError` where it was taken for one before it was locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_bytes = 0
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        lock(self._descriptor)
        if not _is_at(path, self._descriptor):
            os.close(self._descriptor)
            raise FileNotFoundError(path)

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


class Received(StrEnum):
    """What receiving an instance changed."""

    STORED = "stored"
    ALREADY_HERE = "already_here"
    REPLACED = "replaced"
    RETURNED = "returned"
    """It had been removed, and came again with the same data set."""
    ASIDE = "aside"
    """It came at the node's own request, as a prior exam: not into the spool, and not read."""


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
        self._removed = root / "removed"
        self._trash = root / "trash"
        self._min_free_bytes = min_free_bytes
        for folder in (self._incoming, self._studies):
            make_folder(folder)
        sync_folder(root)  # a start that a power cut broke off may have left it unsynced

    def has_room(self) -> bool:
        """Whether the disk has the configured minimum of free bytes."""
        disk = os.statvfs(self._incoming)
        return disk.f_bavail * disk.f_frsize >= self._min_free_bytes

    def open(self) -> Incoming:
        """A new file on its way in; `publish` or `drop` ends it. Raises `OSError`."""
        while True:
            try:
                return Incoming(self._incoming / f"{uuid.uuid4().hex}.part")
            except FileNotFoundError:  # another listener that starts has cleared it away
                if not self._incoming.is_dir():
                    raise

    def publish(self, incoming: Incoming, identity: InstanceIdentity) -> StoredInstance:
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
                received = self._place(incoming, path)
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

    def whereabouts(self, since: float = 0.0) -> tuple[dict[str, tuple[str, ...]], float]:
        """Keys of the studies that hold an instance, by its key, and when the last one changed.

        Of studies that have changed at `since` or later, by the clock of the disk (epoch, s): one
        look at every folder.
        """
        found: dict[str, tuple[str, ...]] = {}
        with os.scandir(self._studies) as folders:
            changed = {one.name: _changed_at(one) for one in folders}
        for study in sorted(study for study, at in changed.items() if at >= since):
            for path in self.instances(study):
                found[path.stem] = (*found.get(path.stem, ()), study)
        return found, max(changed.values(), default=since)

    def sync(self, study_key: str) -> bool:
        """Bring a study's names to the disk; whether there is such a study. Raises `OSError`."""
        try:
            sync_folder(self._studies / study_key)
        except FileNotFoundError:
            return False
        sync_folder(self._studies)
        return True

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

    def removed(self, study_key: str) -> Removed | None:
        """What is remembered of the files that were removed of a study; None when none were."""
        return removed.load(self._removed / f"{study_key}.json")

    def forget_removed(self, study_key: str) -> None:
        """Take what is here again of a removed study, and what comes, as if it were new."""
        if (known := self.removed(study_key)) is None:
            return
        with self._locked(study_key):
            for path in self.instances(study_key):
                if known.holds([path]):
                    os.utime(path)
            (self._removed / f"{study_key}.json").unlink(missing_ok=True)

    def renew(self, study_key: str) -> int:
        """Number of a study's files, which from now on are as if they had just come.

        Its content has another fingerprint then: it is read once more.
        """
        if not (self._studies / study_key).is_dir():
            return 0
        with self._locked(study_key) as folder_fd:
            paths = self.instances(study_key)
            for path in paths:
                os.utime(path)
            (self._removed / f"{study_key}.json").unlink(missing_ok=True)
            os.utime(folder_fd)
        return len(paths)

    def remove(self, study_key: str, content: str, *, as_of: float) -> bool:
        """Whether a study's files were removed: all of them, or none.

        None when the study has changed since `as_of` (its `changed_at`) or is not here. `content`
        is the fingerprint of what had been read of it; it is remembered beside what the files were
        (`removed`). Whoever publishes meanwhile waits, and then finds no study: the newcomer is the
        first of a new one. A crash leaves the study whole, or in the trash.

        Raises
        ------
        OSError
            What is to be remembered cannot be written; the study is as it was.
        """
        folder = self._studies / study_key
        if not folder.is_dir():
            return False
        with self._locked(study_key):
            if self.changed_at(study_key) != as_of:
                return False
            before = self.removed(study_key) or Removed()
            now = before.with_study(content, self.instances(study_key))
            self._removed.mkdir(exist_ok=True)
            removed.save(self._removed / f"{study_key}.json", now)
            self._throw_away(folder)
        self.header_index(study_key).unlink(missing_ok=True)
        self.empty_trash()
        return True

    @contextmanager
    def kept_out(self, study_key: str) -> Iterator[bool]:
        """Within the block nothing of the study is received; gives whether nothing is here."""
        folder = self._studies / study_key
        with self._locked(study_key):
            is_empty = not any(folder.iterdir())
            yield is_empty
            if is_empty:
                folder.rmdir()

    def take_out(self, study_key: str, names: Sequence[str]) -> int:
        """Number of a study's files of these names that were removed, others stay as they are.

        Nothing is remembered of them: one that comes again is new. Whoever publishes meanwhile
        waits. A crash leaves some of them; the call may be repeated. Raises `OSError`.
        """
        folder, count = self._studies / study_key, 0
        if not folder.is_dir():
            return 0
        with self._locked(study_key):
            thrown = self._trash / uuid.uuid4().hex
            thrown.mkdir(parents=True)
            for name in names:
                with suppress(FileNotFoundError):
                    (folder / name).rename(thrown / name)
                    count += 1
            if any(folder.iterdir()):
                sync_folder(folder)
            else:
                folder.rmdir()
                sync_folder(self._studies)
        self.empty_trash()
        return count

    def hold(self, study_key: str, content: str, paths: Sequence[Path]) -> None:
        """Have these files of a study count as `content`, once the others are taken out.

        They were read as a part of it; as long as nothing else comes, they are not read again.
        Raises `OSError`.
        """
        with self._locked(study_key):
            before = self.removed(study_key) or Removed()
            self._removed.mkdir(exist_ok=True)
            known = before.with_study(content, paths)
            removed.save(self._removed / f"{study_key}.json", known)

    def discard(self, study_key: str) -> None:
        """Remove a study and everything received of it; nothing happens when it is not there."""
        folder = self._studies / study_key
        if folder.is_dir():
            with self._locked(study_key):
                self._throw_away(folder)
            self.header_index(study_key).unlink(missing_ok=True)
            self.empty_trash()

    def empty_trash(self) -> None:
        """Delete what a removal, maybe of a process that was killed in it, has thrown away."""
        if self._trash.is_dir():
            for folder in self._trash.iterdir():
                shutil.rmtree(folder, ignore_errors=True)

    def _throw_away(self, folder: Path) -> None:
        """Take a study's folder out of everybody's sight, at once and for good."""
        self._trash.mkdir(exist_ok=True)
        folder.rename(self._trash / uuid.uuid4().hex)
        sync_folder(self._studies)

    def clear_incoming(self, older_than_s: float = 0.0) -> int:
        """Number of files removed that a killed process left half written.

        A file still being written is locked by its writer and stays; `older_than_s` spares those
        of a running listener that are not locked yet.
        """
        count, before = 0, time.time() - older_than_s
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.stat().st_mtime <= before:
                    count += _cleared(path)
        return count

    def _place(self, incoming: Incoming, path: Path) -> Received:
        """Give the file its name; one that was here before gets back its time of last write."""
        if not path.exists() and self._returns(incoming.path, path):
            incoming.path.rename(path)
            return Received.RETURNED
        return _place(incoming.path, path)

    def _returns(self, new: Path, path: Path) -> bool:
        """Whether `new` is a file that was removed, and now as old on the disk as that was."""
        before = self.removed(path.parent.name)
        known = before.files.get(path.stem) if before else None
        if known is None or known.sha256 != data_set_sha256(new):
            return False
        os.utime(new, ns=(known.mtime_ns, known.mtime_ns))
        descriptor = os.open(new, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True

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


def _cleared(path: Path) -> bool:
    """Whether a file is removed that nobody writes: locked meanwhile, so that nobody begins to."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not lock(descriptor, wait=False):
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)


def _changed_at(folder: os.DirEntry[str]) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # removed just now
        return 0.0


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
    kept = path.with_suffix(f".{file_sha256(path)[:8]}.old")
    if not kept.exists():
        os.link(path, kept)
        sync_folder(path.parent)  # else a power cut may keep the newcomer's name and lose this one
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

"""Who may work on a study: its workflow's steps pass, unless the study is being erased.

STORAGE/erasures/locks/<2 digits>.lock   shared by steps, held alone by an erasure: a lock for each
                                         beginning of the studies' keys
STORAGE/erasures/locks/<2 digits>.report held by a worker that reports such a study
STORAGE/erasures/key                     random bytes, for hashes that nobody else can make
STORAGE/erasures/gone/<hash>             one a content that was erased: a late job of it ends; one a
                                         study that was erased whole: no outcome of it waits

What was erased is remembered by a keyed hash (HMAC, RFC 2104) of study and content, or of the study
alone where it was hers alone. A study
that is sent again has another content, since its files have other times: it is received as new.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cadnode.errors import CadnodeError
from cadnode.files import lock, make_folder, sync_folder

FOLDER: Final = "erasures"
_N_LOCKS: Final = 256
_LOOK_EVERY_S: Final = 0.1
_REPORTED_WITHIN_S: Final = 60.0


class StudyBusy(CadnodeError):
    """A step of a study's workflow did not end in time."""


class StudyGate:
    """The gate of one storage folder. Threads and processes may share it."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER
        self._gone = self._folder / "gone"
        self._key: bytes | None = None

    def prepare(self) -> None:
        """Make what is missing. Raises `OSError`."""
        make_folder(self._folder / "locks")
        make_folder(self._gone)
        for number in range(_N_LOCKS):
            if not (file := self._lock_file(f"{number:02x}")).exists():
                file.touch(mode=0o640)
        if not (self._folder / "key").exists():
            self._draw_key()

    def has_key(self) -> bool:
        """Whether anything was ever hashed here: a look makes no key."""
        return (self._folder / "key").exists()

    @contextmanager
    def passing(self, study: str) -> Iterator[None]:
        """Within the block the study is not erased; waits for an erasure that is under way.

        A node whose disk is too full for `prepare` passes all the same.
        """
        try:
            descriptor = os.open(self._lock_file(study), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield
            return
        try:
            lock(descriptor, shared=True)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def closed(self, study: str, within_s: float) -> Iterator[None]:
        """Within the block no step works on the study.

        Raises
        ------
        StudyBusy
            One that was at work has not ended in that time.
        """
        descriptor = os.open(self._lock_file(study), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        try:
            deadline = time.monotonic() + within_s
            while not lock(descriptor, wait=False):
                if time.monotonic() > deadline:
                    raise StudyBusy(
                        f"study {study}, or one beside it, is still being read, fetched or "
                        f"delivered after {within_s:.0f} s: repeat the command, give it a longer "
                        "--wait, or restart the node if a destination never answers"
                    )
                time.sleep(_LOOK_EVERY_S)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def reporting(self, study: str) -> Iterator[None]:
        """Within the block no other process reports the study, or that it is late.

        A node whose disk is too full for `prepare` reports all the same.

        Raises
        ------
        StudyBusy
            Another has done so for a minute: it hangs.
        """
        file = self._lock_file(study).with_suffix(".report")
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        except OSError:
            yield
            return
        try:
            deadline = time.monotonic() + _REPORTED_WITHIN_S
            while not lock(descriptor, wait=False):
                if time.monotonic() > deadline:
                    raise StudyBusy(f"another worker has been reporting study {study} for long")
                time.sleep(_LOOK_EVERY_S)
            yield
        finally:
            os.close(descriptor)

    def mark_erased(self, study: str, content: str) -> None:
        """Have every late job of that content end, durably. Raises `OSError`."""
        (self._gone / self.hashed("content", study, content)).touch(mode=0o640)
        sync_folder(self._gone)

    def is_erased(self, study: str, content: str) -> bool:
        """Whether that content was erased."""
        if self._key is None and not self.has_key():
            return False
        return (self._gone / self.hashed("content", study, content)).exists()

    def mark_study_erased(self, study: str) -> None:
        """Have no outcome of a study that was erased whole wait for it. Raises `OSError`."""
        (self._gone / self.hashed("study", study)).touch(mode=0o640)
        sync_folder(self._gone)

    def is_study_erased(self, study: str) -> bool:
        """Whether a study was once erased whole; it may have been sent again since."""
        if self._key is None and not self.has_key():
            return False
        return (self._gone / self.hashed("study", study)).exists()

    def hashed(self, *parts: str) -> str:
        """32 hex digits that stand for the parts, and that nobody can make without the key."""
        if self._key is None:
            self._key = (self._folder / "key").read_bytes()
        text = "\0".join(parts).encode("utf-8", "surrogateescape")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]

    def _lock_file(self, study: str) -> Path:
        return self._folder / "locks" / f"{study[:2]}.lock"

    def _draw_key(self) -> None:
        """One that is whole or not there, whoever draws first."""
        drawn = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            with open(os.open(drawn, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # takes no other process's key away
                (self._folder / "key").hardlink_to(drawn)
        finally:
            drawn.unlink(missing_ok=True)
        sync_folder(self._folder)

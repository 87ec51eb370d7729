"""Files of secrets: read only where others cannot write or read them, followed as they change."""

import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar

from cadnode.errors import SettingsError
from cadnode.limits import SECRET_FILE_BYTES
from cadnode.log import get_logger

T = TypeVar("T")
Stamp: TypeAlias = tuple[int, ...]

OURS: Final = 0o137
"""Rights that a file of ours must not give: all but the owner's to read and write, the group's to
read."""
NOT_OTHERS: Final = 0o007
"""Rights that no file of secrets must give."""
_LOOK_AGAIN_S: Final = 2.0

log = get_logger("identity")


class SecretFileError(SettingsError):
    """A file of secrets cannot be used; `code` says so in logs, where no text of it may stand."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def read(path: Path, key: str, forbidden: int = OURS) -> tuple[list[str], Stamp]:
    """The file's lines, and by what its next version is told from this one.

    Raises
    ------
    SecretFileError
        It cannot be read, is too large or no text, or gives others rights to it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SecretFileError("no_file", f"{key} {path} is no file")
            _check_rights(path, key, status.st_mode, forbidden)
            content = file.read(SECRET_FILE_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        advice = "; `cadnode users` makes it" if forbidden == OURS else ""
        raise SecretFileError(
            "unreadable", f"{key} {path} cannot be read: {type(error).__name__}{advice}"
        ) from None
    if len(content) > SECRET_FILE_BYTES:
        raise SecretFileError("too_large", f"{key} {path} has more than 1 MB")
    return text.splitlines(), _stamp(status)


def first_line(path: Path, key: str, what: str) -> str:
    """The secret in a file's first line.

    Raises
    ------
    SecretFileError
        As `read`, or the line is empty or not printable ASCII.
    """
    lines, _ = read(path, key, NOT_OTHERS)
    secret = lines[0].strip() if lines else ""
    if not secret or not secret.isascii() or not secret.isprintable():
        raise SecretFileError("no_secret", f"{key} {path} has no usable first line: {what}")
    return secret


def _check_rights(path: Path, key: str, mode: int, forbidden: int) -> None:
    if mode & NOT_OTHERS:
        raise SecretFileError(
            "rights",
            f"{key} {path} can be read by everybody on this machine: `chmod o-rwx {path}`",
        )
    if mode & forbidden & 0o022:
        raise SecretFileError(
            "rights", f"{key} {path} can be changed by its group: `chmod 640 {path}`"
        )
    if mode & forbidden:
        raise SecretFileError("rights", f"{key} {path} may be 0640 at most: `chmod 640 {path}`")


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


class Followed(Generic[T]):
    """What a file of secrets says, read again when the file changes.

    A new version that cannot be used, or a file that is gone, changes nothing but a line in the
    log: who was known stays known, and a slip of an editor locks nobody out.

    Raises
    ------
    SettingsError
        The file cannot be used at the start.
    """

    def __init__(self, path: Path, key: str, parse: Callable[[Sequence[str]], T]) -> None:
        self._path = path
        self._key = key
        self._parse = parse
        self._lock = threading.Lock()
        lines, self._stamp = read(path, key)
        self._value = parse(lines)
        self._told: Stamp | None = None
        self._look_at = 0.0

    def now(self) -> T:
        """What it says now; never raises."""
        if self._has_changed():
            with self._lock:
                if self._has_changed():
                    self._read_again()
        return self._value

    def _has_changed(self) -> bool:
        stamp = self._stamp_now()
        is_told = stamp == self._told and time.monotonic() < self._look_at
        return stamp != self._stamp and not is_told

    def _read_again(self) -> None:
        before = self._stamp_now()
        try:
            lines, stamp = read(self._path, self._key)
            value = self._parse(lines)
        except SettingsError as error:
            if before != self._told:
                code = error.code if isinstance(error, SecretFileError) else "content"
                log.error("secret_file_refused", where=self._key, reason=code)
            self._told, self._look_at = before, time.monotonic() + _LOOK_AGAIN_S
            return
        self._value, self._stamp, self._told = value, stamp, None
        log.info("secret_file_read", where=self._key)

    def _stamp_now(self) -> Stamp:
        try:
            return _stamp(self._path.stat())
        except OSError:
            return ()

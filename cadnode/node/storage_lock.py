"""One node to a storage folder: the lock that the first holds, and why a second does not start.

STORAGE/node.lock   locked while a node runs, with who holds it as JSON

The supervisor holds it alone, and its roles hold it with it: until the last of them has ended, the
folder is not free. Roles that are run by hand share it, and each role has a lock of its own
(`node.role_status`): of one role there is one process. Commands that look (`cadnode check`,
`cadnode studies`) take no lock. The lock is `flock`'s, and the kernel lets go of it however a
process ends. On NFS the server keeps it for all machines, from Linux 2.6.12 on and where `nolock`
or `local_lock` are not mount options; where a file system knows no locks, the node does not start.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cadnode.errors import SettingsError
from cadnode.files import is_locked, lock

FILE: Final = "node.lock"
WITHIN_S: Final = 5.0  # the processes of a node that was killed end within that time
_LONGEST: Final = 4096


class StorageTaken(SettingsError):
    """Another node works in the storage folder."""


class StorageLock:
    """The lock while it is held. `descriptor` may be passed on to the node's processes."""

    def __init__(self, descriptor: int, *, was_killed: bool) -> None:
        self.descriptor = descriptor
        self.was_killed = was_killed
        """Whether the node that held it before did not end by itself."""


@contextmanager
def held(
    storage: Path, *, shared: bool = False, within_s: float = WITHIN_S
) -> Iterator[StorageLock]:
    """Within the block this process works in the folder, alone or beside other roles of one node.

    Further workers that share one PostgreSQL database are further roles: they take it `shared`.

    Raises
    ------
    StorageTaken
        Another node does; the message names the folder, and that node as far as it is known.
    """
    path = storage / FILE
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise SettingsError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        deadline = time.monotonic() + within_s
        while not _locked(descriptor, path, shared=shared):
            if time.monotonic() > deadline:
                raise StorageTaken(_taken(storage, _read(descriptor)))
            time.sleep(0.1)
        found = StorageLock(descriptor, was_killed=bool(_read(descriptor)) and not shared)
        if not shared:
            _write(descriptor, {"pid": os.getpid(), "host": socket.gethostname()})
        try:
            yield found
        finally:
            if not shared:
                _write(descriptor, {})  # it ended by itself
    finally:
        os.close(descriptor)


def supervisor(storage: Path) -> int | None:
    """The process id of the node that works in the folder; None: there is none on this machine."""
    path = storage / FILE
    if not is_locked(path, when_missing=False):
        return None
    with path.open("rb") as file:
        holder = _read(file.fileno())
    if holder.get("host") != socket.gethostname() or not _may_run(holder):
        return None
    return int(holder["pid"])


def is_held_alone(storage: Path) -> bool:
    """Whether a supervisor works in the folder, here or on another machine; roles share it."""
    path = storage / FILE
    if not is_locked(path, when_missing=False):
        return False
    with path.open("rb") as file:
        return not lock(file.fileno(), shared=True, wait=False)


def _locked(descriptor: int, path: Path, *, shared: bool) -> bool:
    try:
        return lock(descriptor, shared=shared, wait=False)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be locked ({error.strerror}): two nodes could then work in one folder; "
            "put storage.folder on a file system with locks"
        ) from None


def _taken(storage: Path, holder: dict[str, Any]) -> str:
    whose = "roles that are run by hand"
    if holder and _may_run(holder):
        whose = f"a node with process id {holder.get('pid')} on {holder.get('host')}"
    return (
        f"another node works in {storage.absolute()}: {whose}. Stop it first, or give this node "
        "a storage.folder of its own"
    )


def _may_run(holder: dict[str, Any]) -> bool:
    """Whether the node that is noted may still run: on another machine that is not known here."""
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _read(descriptor: int) -> dict[str, Any]:
    try:
        document = json.loads(os.pread(descriptor, _LONGEST, 0) or b"{}")
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write(descriptor: int, document: dict[str, Any]) -> None:
    """In place, and as long as before: a full disk keeps no node from starting."""
    try:
        os.pwrite(descriptor, json.dumps(document).ljust(256).encode() + b"\n", 0)
    except OSError:
        return  # only the name of the holder is missing then

"""Which roles of the node are up, as other processes can see it: `roles/` in the storage folder.

roles/<role>.lock    locked while the role runs: the kernel lets go of it however the role ends,
so a reused process id is never mistaken for it after a restart
<role>.error   the error the role ended with
<role>.died    when the supervisor last saw it end unasked, and with which exit code
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.errors import CadnodeError
from cadnode.files import is_locked, locked, write_whole
from cadnode.log import get_logger
from cadnode.node import worker_state

SETTLED_S: Final = 60.0  # a role that has run for so long after a death has recovered
SAME_DEATH_S: Final = 10.0  # an error and a death so close to each other belong together

log = get_logger("presence")


@dataclass(frozen=True, slots=True)
class Presence:
    """How a role is. `pid` is 0 when it is not up; `error` and `exit_code` are of its last death.

    `is_restarting`: it died a short while ago, once or again and again.
    """

    is_up: bool
    pid: int = 0
    is_restarting: bool = False
    error: str = ""
    exit_code: int | None = None


@contextmanager
def present(storage: Path, role: str) -> Iterator[None]:
    """Context manager: within it the role counts as up; an error of ours is left for `look`."""
    folder = storage / "roles"
    folder.mkdir(parents=True, exist_ok=True)
    if role == "worker":  # one of the same number, as in a container, may have left it
        (storage / worker_state.FILE).unlink(missing_ok=True)
    # A few may run at once, on purpose or for a moment while one ends: the lock is a shared one.
    with locked(folder / f"{role}.lock", shared=True):
        write_whole(folder / f"{role}.pid", str(os.getpid()).encode())
        try:
            yield
        except CadnodeError as error:
            _write(folder / f"{role}.error", {"at": time.time(), "error": str(error)})
            raise


def note_death(storage: Path, role: str, exit_code: int) -> None:
    """Record that the role ended unasked; a full disk does not keep it from being restarted."""
    _write(storage / "roles" / f"{role}.died", {"at": time.time(), "exit_code": exit_code})


def look(storage: Path, role: str) -> Presence:
    """How the role is now."""
    folder = storage / "roles"
    is_up = is_locked(folder / f"{role}.lock", when_missing=False)
    died = _read(folder / f"{role}.died")
    pid = int(_text(folder / f"{role}.pid") or 0) if is_up else 0
    if not died or (is_up and time.time() - died["at"] > SETTLED_S):
        return Presence(is_up, pid)
    failure = _read(folder / f"{role}.error")
    is_why = failure and abs(died["at"] - failure["at"]) < SAME_DEATH_S
    return Presence(
        is_up, pid,
        is_restarting=time.time() - died["at"] <= SETTLED_S,
        error=str(failure["error"]) if is_why else "",
        exit_code=died["exit_code"],
    )  # fmt: skip


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        write_whole(path, json.dumps(document).encode())
    except OSError as error:
        log.warning("presence_not_written", error=error)


def _read(path: Path) -> dict[str, Any]:
    """What `_write` wrote; {} when it is not there."""
    with suppress(OSError, ValueError):
        document = json.loads(path.read_bytes())
        return document if isinstance(document, dict) else {}
    return {}


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""

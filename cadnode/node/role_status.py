"""Which roles of the node are up, as other processes can see it: `roles/` in the storage folder.

roles/<role>.lock    locked while the role runs, by one process alone: the kernel lets go of it
                     however the role ends, so a reused process id is never mistaken for it
      <role>.beat    its last heartbeat (`node.heartbeat`)
      <role>.error   the error the role ended with
      <role>.died    when the supervisor last saw it end unasked, and how

Workers and listeners that share a PostgreSQL database stand in slots: `worker`, `worker-2`,
`worker-3` and so on, each with files of its own. A slot is free again when its process has ended;
of one that was asked to end, `<role>.pid` is removed, so that what is left tells of a death.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cadnode.errors import CadnodeError, SettingsError
from cadnode.files import is_locked, lock, write_whole
from cadnode.log import get_logger
from cadnode.node import heartbeat, worker_state
from cadnode.node.heartbeat import Beat

SETTLED_S: Final = 60.0  # a role that has run for so long after a death has recovered
MOST_SLOTS: Final = 64
LOCK_WITHIN_S: Final = 10.0  # its predecessor may be ending, and lookers hold the lock for a moment
SAME_DEATH_S: Final = 10.0  # an error and a death so close to each other belong together
_NUMBER: Final = re.compile(r"-\d+$")
_CLOCKS_S: Final = 1.0  # by which the disk's clock may be ahead
GONE_SHOWN_S: Final = 24 * 3600.0  # for which a slot is shown whose process ended unasked

log = get_logger("presence")


@dataclass(frozen=True, slots=True)
class Presence:
    """How a role is. `pid` is 0 when it is not up; `error` and `exit_code` are of its last death.

    `is_restarting`: it died a short while ago, once or again and again. `hung` is why the
    supervisor ended it then, "" when it died by itself. `hangs` is why it does not go on now, and
    `waits_for` what it waits for, both in words. `works`: it says itself that it does its work.
    `is_here`: as far as is known, its process runs on this machine.
    """

    is_up: bool
    pid: int = 0
    is_restarting: bool = False
    error: str = ""
    exit_code: int | None = None
    hung: str = ""
    hangs: str = ""
    waits_for: str = ""
    works: bool = False
    is_here: bool = True


class RoleTaken(SettingsError):
    """Another process is this role already, in the same storage folder."""


@contextmanager
def present(storage: Path, role: str, *, beside: bool = False) -> Iterator[str]:
    """Context manager: within it the role counts as up; an error of ours is left for `look`.

    Gives the role's name in the folder: `role`, or with `beside`, where there may be several, its
    first free slot.

    Raises
    ------
    RoleTaken
        Another process is the role, or all slots are taken.
    """
    folder = storage / "roles"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone_in_slot(folder, role) if beside else _alone(folder, role) as role:
        if role == "worker":  # one of the same number, as in a container, may have left it
            (storage / worker_state.FILE).unlink(missing_ok=True)
        with suppress(OSError):  # a full disk: the heartbeat has the number, too
            write_whole(folder / f"{role}.pid", str(os.getpid()).encode())
        try:
            yield role
        except CadnodeError as error:
            _write(folder / f"{role}.error", {"at": time.time(), "error": str(error)})
            raise
        if beside:
            (folder / f"{role}.pid").unlink(missing_ok=True)


@contextmanager
def _alone_in_slot(folder: Path, role: str) -> Iterator[str]:
    for name in (role, *(f"{role}-{number}" for number in range(2, MOST_SLOTS + 1))):
        descriptor = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            if lock(descriptor, wait=False):
                yield name
                return
        finally:
            os.close(descriptor)
    raise RoleTaken(f"{MOST_SLOTS} processes are a {role} in {folder.parent.absolute()} already")


@contextmanager
def _alone(folder: Path, role: str) -> Iterator[str]:
    descriptor = os.open(folder / f"{role}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + LOCK_WITHIN_S
        while not lock(descriptor, wait=False):
            if time.monotonic() > deadline:
                pid = _text(folder / f"{role}.pid") or "unknown"
                raise RoleTaken(
                    f"a {role} works in {folder.parent.absolute()} already (process id {pid}): "
                    "stop it first, or give this one a storage.folder of its own"
                )
            time.sleep(0.1)
        yield role
    finally:
        os.close(descriptor)


def note_death(storage: Path, role: str, exit_code: int, hung: str = "") -> None:
    """Record that the role ended unasked; a full disk does not keep it from being restarted."""
    document = {"at": time.time(), "exit_code": exit_code, "hung": hung}
    _write(storage / "roles" / f"{role}.died", document)


def look(storage: Path, role: str) -> Presence:
    """How the role is now; where it stands in several slots, the one that does its work best."""
    return max((look_at(storage, slot) for slot in slots(storage, role)), key=_fitness)


def look_around(storage: Path, role: str) -> dict[str, Presence]:
    """How the role is in each slot where a process is, or ended unasked within the last day.

    Where there is none at all, `role` itself is down.
    """
    found = {slot: look_at(storage, slot) for slot in slots(storage, role)}
    if any(one.is_up for one in found.values()):
        found = {slot: one for slot, one in found.items() if one.is_up or has_died(storage, slot)}
    else:
        found = {role: found[role]}
    return found


def role_of(slot: str) -> str:
    """The role of which it is a slot."""
    return _NUMBER.sub("", slot)


def has_died(storage: Path, slot: str) -> bool:
    """Whether the slot's process ended unasked within the last day, and none came after it."""
    folder = storage / "roles"
    with suppress(OSError):
        age_s = time.time() - heartbeat.file_of(storage, slot).path.stat().st_mtime
        is_left = (folder / f"{slot}.pid").exists() and age_s < GONE_SHOWN_S
        return is_left and not is_locked(folder / f"{slot}.lock", when_missing=False)
    return False


def _fitness(presence: Presence) -> int:
    """How well it does its work: of the first of the best it is asked."""
    is_held_up = bool(presence.hangs or presence.waits_for)
    return 4 * presence.is_up + 2 * (not is_held_up) + presence.works


def slots(storage: Path, role: str) -> list[str]:
    """The role's slots in which a process has stood: `role` itself, then the others by number."""
    names = (path.stem for path in (storage / "roles").glob(f"{role}-*.lock"))
    numbers = (name.removeprefix(f"{role}-") for name in names)
    return [role, *(f"{role}-{n}" for n in sorted(int(n) for n in numbers if n.isdecimal()))]


def look_at(storage: Path, role: str) -> Presence:
    """How the role is now in exactly this slot."""
    folder = storage / "roles"
    is_up = is_locked(folder / f"{role}.lock", when_missing=False)
    beat = _beat(storage, role) if is_up else None
    pid = (beat.pid if beat else int(_text(folder / f"{role}.pid") or 0)) if is_up else 0
    now = Presence(is_up, pid)
    if beat is not None:
        now = replace(
            now,
            hangs=_hangs(beat),
            waits_for=beat.waits_for,
            works=_works(beat),
            is_here=beat.boot in ("", heartbeat.boot()),
        )
    died = _read(folder / f"{role}.died")
    if not died and not is_up:  # without a supervisor: what its last process ended with
        return replace(now, error=_last_words(folder, role))
    if not died or (is_up and time.time() - died["at"] > SETTLED_S):
        return now
    failure = _read(folder / f"{role}.error")
    is_why = failure and abs(died["at"] - failure["at"]) < SAME_DEATH_S
    return replace(
        now,
        is_restarting=time.time() - died["at"] <= SETTLED_S,
        error=str(failure["error"]) if is_why else "",
        exit_code=died["exit_code"],
        hung=str(died.get("hung", "")),
    )


def _last_words(folder: Path, role: str) -> str:
    """The error of ours with which the slot's last process ended; "" of another end."""
    failure = _read(folder / f"{role}.error")
    with suppress(OSError):
        began_at = (folder / f"{role}.pid").stat().st_mtime
        if failure and failure["at"] >= began_at - _CLOCKS_S:
            return str(failure["error"])
    return ""


def _beat(storage: Path, role: str) -> Beat | None:
    """The last beat of a process that is up; None of an older version, or of an earlier boot."""
    file = heartbeat.file_of(storage, role)
    beat = heartbeat.decoded(file.read())
    if beat is not None and beat.boot not in ("", heartbeat.boot()):  # of another machine or boot
        with suppress(OSError):
            age_s = max(0.0, time.time() - file.path.stat().st_mtime)
            beat = replace(beat, at=time.monotonic() - age_s)
    if beat is None or beat.at > time.monotonic():
        return None
    pid = _text(storage / "roles" / f"{role}.pid")
    is_silent = time.monotonic() - beat.at > heartbeat.SHOWN_SILENT_S
    return None if is_silent and pid and int(pid) != beat.pid else beat


def _hangs(beat: Beat) -> str:
    if beat.stuck:
        return beat.stuck
    longest_s = max(heartbeat.SHOWN_SILENT_S, beat.silent_s())
    return "no heartbeat" if time.monotonic() - beat.at > longest_s else ""


def _works(beat: Beat) -> bool:
    return not beat.is_starting and not _hangs(beat)


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

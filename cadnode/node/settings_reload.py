"""New settings for a running node: what may change, who takes it up, and what was answered.

    STORAGE/roles/applied.toml    the configuration file as the node applies it: its roles read this
                  settings.json   how the last reload ended
                  settings-listener.json   whether the listener could take it up

The file that people edit is read when the node starts, and on SIGHUP to the supervisor. One that
is wrong changes nothing, also for a role that is started again meanwhile. The listener takes new
settings up while its associations go on (`node.listener`); worker and web server are started
again, each once it has ended what it has in hand. A role that runs by itself has no supervisor:
`node.own_settings`.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pydantic import BaseModel

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.trail import Trail
from cadnode.errors import SettingsError
from cadnode.files import written_whole
from cadnode.log import get_logger, set_level
from cadnode.node.new_addresses import check_addresses
from cadnode.node.web_security import check_security
from cadnode.settings import Settings, load
from cadnode.settings.taking_up import FIXED, OF_THE_SUPERVISOR, is_one_of
from cadnode.tls import client_context, server_context

APPLIED: Final = Path("roles") / "applied.toml"
ANSWER: Final = Path("roles") / "settings.json"
_TRIED: Final = ("listener", "web")
"""Roles whose new ports are tried before anything changes."""
_OF_THE_LISTENER: Final = (
    "listener.*", "storage.*", "study.*", "destinations", "audit.*", "log.*",
)  # fmt: skip
_NOT_OF_THE_WORKER: Final = ("web.*", "listener.*")
_MODE: Final = 0o600  # a URL may have a password

log = get_logger("serve")


@dataclass(frozen=True, slots=True)
class ReloadAnswer:
    """How a reload ended. `problem` is why nothing was changed, "" where it was.

    `changed` are keys with another value now, `roles` who takes them up, `at_next_start` those
    keys that the supervisor itself takes up only when the node is started again.
    """

    at: float
    problem: str = ""
    changed: tuple[str, ...] = field(default=())
    roles: tuple[str, ...] = field(default=())
    at_next_start: tuple[str, ...] = field(default=())


def keep_applied(config: Path, storage: Path) -> Path | None:
    """The copy of the configuration file that the node's roles read; None: the disk takes none."""
    path = storage / APPLIED
    try:
        with written_whole(path) as file:
            os.fchmod(file.fileno(), _MODE)
            file.write(config.read_bytes())
    except OSError:
        return None
    return path


def reloaded(
    config: Path, before: Settings, roles: Iterable[str] = _TRIED
) -> tuple[Settings, ReloadAnswer]:
    """The settings that apply now, and the answer; those of before where the file is refused.

    New ports of these `roles` are tried.
    """
    now = time.time()
    try:
        after = load(config)
        changed = differences(before, after)
        if fixed := [key for key in changed if key in FIXED]:
            raise SettingsError(
                f"{', '.join(fixed)} cannot change while the node runs: restart it, or set it back"
            )
        if after.listener.tls_files is not None:
            server_context(after.listener.tls_files)
        of_peers = [one.tls_files for one in after.destinations]
        of_peers += [one.tls_files for one in after.sources]
        for files in filter(None, of_peers):
            client_context(files)
        if after.web.enabled:
            check_security(after.web)
        check_addresses(before, after, roles)
    except SettingsError as error:
        return before, ReloadAnswer(now, str(error))
    later = tuple(key for key in changed if is_one_of(key, OF_THE_SUPERVISOR))
    return after, ReloadAnswer(now, "", changed, roles_of(changed), later)


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """Keys whose values differ: `section.key`; of the lists of peers their names alone."""
    found: list[str] = []
    for section in type(before).model_fields:
        old, new = getattr(before, section), getattr(after, section)
        if not isinstance(old, BaseModel):
            found += [section] if old != new else []
            continue
        keys = type(old).model_fields
        found += [f"{section}.{key}" for key in keys if getattr(old, key) != getattr(new, key)]
    return tuple(found)


def roles_of(changed: Iterable[str]) -> tuple[str, ...]:
    """Which roles take up changes; the web server always does, since it shows settings."""
    keys = tuple(changed)
    roles = ["web"] if keys else []
    if any(is_one_of(key, _OF_THE_LISTENER) for key in keys):
        roles.append("listener")
    if any(key == "listener.ae_title" or not is_one_of(key, _NOT_OF_THE_WORKER) for key in keys):
        roles.append("worker")
    return tuple(sorted(roles))


def take_up(config: Path | None, settings: Settings, renew: Callable[[str], None]) -> Settings:
    """The settings that apply now: those in the file, or where they cannot, those of before.

    `renew` gets the names of the roles that are to take them up.
    """
    storage = settings.storage.folder
    if config is None:
        answer = ReloadAnswer(time.time(), "the node was started without --config")
    else:
        after, answer = reloaded(config, settings)
        if not answer.problem and keep_applied(config, storage) is None:
            answer = ReloadAnswer(answer.at, "the disk of storage.folder takes no file")
        settings = settings if answer.problem else after
    if answer.problem:
        log.error("settings_refused", role="node", reason=answer.problem)
    else:
        set_level(settings.log.level)
        for role in answer.roles:
            renew(role)
        log.info("settings_reloaded", role="node", count=len(answer.changed))
    outcome = EventOutcome.FAILURE if answer.problem else EventOutcome.SUCCESS
    detail = " ".join(answer.changed) or None
    Trail.of(settings).record(
        Event(Action.SETTINGS_RELOADED, outcome, this_node("node"), detail=detail)
    )
    note_answer(storage, answer)
    return settings


@contextmanager
def asked_for() -> Iterator[Callable[[], bool]]:
    """Within the block SIGHUP asks for new settings; gives whether it has since the last look.

    The SIGHUP of a terminal that is closed ends a node that was started there, as ever.
    """
    asked = [False]
    at_terminal = os.isatty(0)

    def hear(_number: int, _frame: FrameType | None) -> None:
        if at_terminal and _has_hung_up():
            os.kill(os.getpid(), signal.SIGTERM)
        asked[0] = True

    def was_asked() -> bool:
        was, asked[0] = asked[0], False
        return was

    before = signal.signal(signal.SIGHUP, hear)
    try:
        yield was_asked
    finally:
        signal.signal(signal.SIGHUP, before)


def _has_hung_up() -> bool:
    try:
        os.tcgetpgrp(0)
    except OSError:
        return True
    return False


def note_answer(storage: Path, answer: ReloadAnswer, slot: str = "") -> None:
    """Leave the answer for who asked; a full disk costs the answer alone.

    It is of the supervisor, or of the role in a `slot`.
    """
    with suppress(OSError), written_whole(_answer_file(storage, slot)) as file:
        file.write(json.dumps(asdict(answer)).encode())


def answer_of(storage: Path, slot: str = "") -> ReloadAnswer | None:
    """How the last reload ended; None: there was none that is known."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(_answer_file(storage, slot).read_bytes())
        lists = (tuple(map(str, found[key])) for key in ("changed", "roles", "at_next_start"))
        return ReloadAnswer(float(found["at"]), str(found["problem"]), *lists)
    return None


def together(answers: Mapping[str, ReloadAnswer]) -> ReloadAnswer:
    """The answers of several as one: `roles` are those without a problem, which names its role."""
    problems = [f"the {who} {one.problem}" for who, one in answers.items() if one.problem]
    refused = {who for who, answer in answers.items() if answer.problem}
    taken = {role for answer in answers.values() if not answer.problem for role in answer.roles}
    changed = dict.fromkeys(key for answer in answers.values() for key in answer.changed)
    later = dict.fromkeys(key for answer in answers.values() for key in answer.at_next_start)
    at = max(answer.at for answer in answers.values())
    roles = tuple(sorted(taken - refused))
    if problems and roles:
        problems.append(f"taken up by {', '.join(roles)}")
    return ReloadAnswer(at, "; ".join(problems), tuple(changed), roles, tuple(later))


def as_document(answer: ReloadAnswer) -> dict[str, Any]:
    """For JSON."""
    return asdict(answer)


def _answer_file(storage: Path, slot: str) -> Path:
    return storage / (ANSWER if not slot else ANSWER.with_stem(f"{ANSWER.stem}-{slot}"))


class AppliedFile:
    """The applied settings as a role sees them: `changed` once for each time they are others.

    `settings` are those that the role began with: it may have taken seconds since to start.
    """

    def __init__(self, storage: Path, settings: Settings) -> None:
        self._storage = storage
        self._path = storage / APPLIED
        self._seen = stamp_of(self._path)
        now = self._loaded()
        self._missed = now if now is not None and differences(settings, now) else None

    def changed(self) -> Settings | None:
        """The new settings; None: they are the same, or cannot be read (the supervisor has)."""
        missed, self._missed = self._missed, None
        stamp = stamp_of(self._path)
        if stamp == self._seen:
            return missed
        self._seen = stamp
        return self._loaded()

    def answer(self, problem: str) -> None:
        """Say of the settings that `changed` gave that they are in force, or why they are not."""
        note_answer(self._storage, ReloadAnswer(time.time(), problem), "listener")

    def _loaded(self) -> Settings | None:
        try:
            return load(self._path)
        except SettingsError:
            return None


def stamp_of(path: Path) -> tuple[int, int]:
    """What changes when a file is written whole; zeros of none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)

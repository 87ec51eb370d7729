"""`cadnode serve`: starts listener, worker and web as processes of their own and watches them.

A role that dies is started again, with a pause that doubles while it keeps dying; receiving,
reading and answering HTTP never take each other down. A role that lives, but does not do its work
(`node.heartbeat`), is killed and started again. No role outlives its supervisor (`node.orphans`),
and of one storage folder there is one node (`node.storage_lock`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from cadnode.log import get_logger
from cadnode.node import (
    audit_keeper,
    job_database,
    retry,
    role_status,
    settings_reload,
    trial_job,
)
from cadnode.node.heartbeat import Listened
from cadnode.node.metrics import table
from cadnode.node.metrics.counts import NODE, Counts
from cadnode.node.orphans import is_orphan
from cadnode.node.poison import Casualties, Cause, cause_of, memory_kills
from cadnode.node.storage_lock import StorageLock, held
from cadnode.node.web_security import check_security
from cadnode.node.workflow import prepare
from cadnode.settings import Settings

ROLES = ("worker", "listener", "web")
STOP_WITHIN_S = 20.0

log = get_logger("serve")


@dataclass(slots=True)
class _Role:
    """A role's process, and when to start it again should it die."""

    name: str
    command: Sequence[str]
    storage: Path
    storage_lock: StorageLock
    process: subprocess.Popen[bytes] | None = None
    line: Listened = field(default_factory=Listened)
    started_at: float = 0.0
    n_memory_kills: int = 0
    pause_s: float = retry.ROLE.first_pause_s
    start_again_at: float = 0.0
    counts: Counts = field(default_factory=Counts)
    kill_at: float | None = None  # it was asked to end, to be started again; None: it was not

    def start(self) -> None:
        self.line.close()
        self.line = Listened()
        self.n_memory_kills = memory_kills()
        self.process = subprocess.Popen(
            self.command,
            stdin=self.line.role_end.fileno(),
            pass_fds=(self.storage_lock.descriptor,),
        )
        self.line.started()
        self.started_at = time.monotonic()
        log.info("role_started", role=self.name, pid=self.process.pid)

    def look(self) -> None:
        """Notice a death or a hang; start again when its pause is over."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_again_at:
                self.start()
        elif (code := self.process.poll()) is not None:
            if self.kill_at is None:
                self._died(code)
            else:
                self._renewed()
        elif self.kill_at is not None:
            if now > self.kill_at:
                log.warning("role_killed", role=self.name)
                self.process.kill()
        elif hung := self.line.stuck():
            log.error("role_hung", role=self.name, pid=self.process.pid, reason=hung)
            self.process.kill()  # it answers no gentler signal
            self._died(self.process.wait(), hung)

    def renew(self) -> None:
        """Have it end what it has in hand, and start it again with the settings that apply now."""
        if self.process is not None and self.kill_at is None:
            self.kill_at = time.monotonic() + STOP_WITHIN_S
            self.stop()

    def _renewed(self) -> None:
        self.kill_at = None
        if self.name == "worker":
            Casualties(self.storage).let_go()  # what was in hand did not end it
        self.start()

    def _died(self, code: int, hung: str = "") -> None:
        now = time.monotonic()
        lived_well = now - self.started_at >= retry.GOOD_RUN_S
        self.pause_s = retry.ROLE.pause_after_s(0.0 if lived_well else self.pause_s)
        self.start_again_at = now + self.pause_s
        self.process = None
        log.error("role_died", role=self.name, exit_code=code, seconds=self.pause_s)
        role_status.note_death(self.storage, self.name, code, hung)
        ran_out = memory_kills() > self.n_memory_kills
        cause = cause_of(code, hung=bool(hung), memory_ran_out=ran_out)
        Casualties(self.storage).note(self.name, cause)
        self.counts.add(table.DEATHS, self.name, cause.value)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("role_killed", role=self.name)
            self.process.kill()
            self.process.wait()


def command(role: str, config: Path | None, applied: Path | None = None) -> list[str]:
    """Command line that runs one role in a process of its own; with the settings in `applied`."""
    arguments = [sys.executable, "-m", "cadnode", "serve", "--role", role]
    if role != "all":
        arguments.append("--supervised")
    if applied is not None:
        arguments += ["--applied", str(applied)]
    return [*arguments, "--config", str(config)] if config else arguments


def serve(config: Path | None, settings: Settings) -> None:
    """Run all roles until SIGTERM or SIGINT; they then finish what they have in hand.

    Raises
    ------
    SettingsError
        A role could never work: the token or a certificate cannot be used, no job runs here, or
        another node works in the storage folder.
    """
    if settings.web.enabled:  # without it a node has no health: its death would go unnoticed
        check_security(settings.web)
    # A reload that is asked for while the node starts is done then; unheard, it would end the node.
    with settings_reload.asked_for() as asked, held(settings.storage.folder) as storage_lock:
        if storage_lock.was_killed:
            Casualties(settings.storage.folder).note("node", Cause.NODE_ENDED)
        _prepare_jobs(settings)
        with audit_keeper.running(settings, was_killed=storage_lock.was_killed):
            _watch(config, settings, storage_lock, asked)
    log.info("stopped", role="node")


def _prepare_jobs(settings: Settings) -> None:
    """Make the job database, where it can be used now; otherwise the worker waits for it.

    Raises `SettingsError` where no job could ever run here.
    """
    if problem := job_database.problem_of(settings.database_url):
        log.error("jobs_unavailable", role="node", reason=problem.code)
        return
    trial_job.ensure(settings.database_url, settings.storage.folder)
    prepare(settings.database_url)


def _watch(
    config: Path | None,
    settings: Settings,
    storage_lock: StorageLock,
    asked: Callable[[], bool],
) -> None:
    storage = settings.storage.folder
    names = [name for name in ROLES if name != "web" or settings.web.enabled]
    counts = Counts.of(storage, NODE, os.getpid())
    (storage / settings_reload.APPLIED).unlink(missing_ok=True)  # of a node before this one
    applied = None if config is None else settings_reload.keep_applied(config, storage)
    roles = [
        _Role(name, command(name, config, applied), storage, storage_lock, counts=counts)
        for name in names
    ]

    def renew(name: str) -> None:
        for role in roles:
            if role.name == name and name != "listener":  # which takes settings up by itself
                role.renew()

    for name in names:
        for cause in (Cause.CRASHED, Cause.HUNG, Cause.KILLED, Cause.OUT_OF_MEMORY):
            counts.begin(table.DEATHS, name, cause.value)
    with counts.kept(), stopping_on_signal(supervised=False) as stopping:
        for role in roles:
            role.start()
        while not stopping():
            if asked():
                settings = settings_reload.take_up(config, settings, renew)
            for role in roles:
                role.look()
            time.sleep(0.2)
    for role in roles:
        role.stop()
    deadline = time.monotonic() + STOP_WITHIN_S
    for role in roles:
        role.wait(deadline)
    Casualties(storage).let_go()  # what was in hand did not end the worker


class stopping_on_signal:  # noqa: N801 - reads as a statement: `with stopping_on_signal() as …`
    """Context manager: within it SIGTERM and SIGINT set a flag; gives a function that returns it.

    A supervised role also stops when its supervisor is gone, however early: a killed supervisor
    leaves no orphans.
    """

    def __init__(self, *, supervised: bool) -> None:
        self._stop = False
        self._supervised = supervised

    def __enter__(self) -> Callable[[], bool]:
        self._before = {s: signal.signal(s, self._set) for s in (signal.SIGTERM, signal.SIGINT)}
        return lambda: self._stop or (self._supervised and is_orphan())

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _set(self, number: int, _frame: FrameType | None) -> None:
        log.info("stop_asked", signal=signal.Signals(number).name)
        self._stop = True

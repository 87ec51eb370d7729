"""New settings for a role that runs by itself: by hand with `--role`, or in a container.

    STORAGE/roles/reload.asked         written by who asks all of them (`cadnode settings reload`)
                  settings-SLOT.json   how the last reload of that role ended

A role is asked by SIGHUP or by that file, since roles in containers cannot signal each other. It
reads its own configuration file again, and refuses one that is wrong. The listener takes new
settings up while its associations go on; worker and web server end what they have in hand, and
begin again in the same process: who runs them (systemd, Compose) notices nothing.
"""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.trail import Trail
from cadnode.beside import kept_running
from cadnode.files import write_whole
from cadnode.log import get_logger, set_level
from cadnode.node import settings_reload
from cadnode.node.settings_reload import ReloadAnswer
from cadnode.settings import Settings

ASKED: Final = Path("roles") / "reload.asked"
_EVERY_S: Final = 0.2

log = get_logger("serve")


class OwnSettings:
    """The settings of a role that has no supervisor. `slot` is its name in the storage folder."""

    def __init__(self, role: str, slot: str, config: Path | None, settings: Settings) -> None:
        self._role, self._slot, self._config = role, slot, config
        self._settings = settings
        self._storage = settings.storage.folder
        self._stamp = settings_reload.stamp_of(self._storage / ASKED)
        self._waiting: queue.SimpleQueue[tuple[Settings, ReloadAnswer]] = queue.SimpleQueue()
        self._tried: ReloadAnswer | None = None
        self.begins_again = False
        """Whether the role was ended to begin again with new settings."""

    def changed(self) -> Settings | None:
        """New settings, once; None: there are none. Who asks says then how it went (`answer`)."""
        try:
            new, self._tried = self._waiting.get_nowait()
        except queue.Empty:
            return None
        return new

    def answer(self, problem: str) -> None:
        """Say of the settings that `changed` gave that they are in force, or why they are not."""
        if self._tried is not None:
            self._end(replace(self._tried, problem=problem))

    def look(self, asked: Callable[[], bool]) -> None:
        """Read the file again where somebody has asked for it, and take up what it says."""
        by_signal, stamp = asked(), settings_reload.stamp_of(self._storage / ASKED)
        if not by_signal and stamp == self._stamp:
            return
        self._stamp = stamp
        if self._config is None:
            self._end(ReloadAnswer(time.time(), "the role was started without --config"))
            return
        after, answer = settings_reload.reloaded(self._config, self._settings, (self._role,))
        mine = (self._slot,) if self._role in answer.roles else ()
        answer = replace(answer, roles=mine, at_next_start=())
        if not answer.problem:
            self._settings = after
            set_level(after.log.level)
            if mine and self._role == "listener":
                self._waiting.put((after, answer))
                return
        self._end(answer)
        if mine and not answer.problem:
            self.begins_again = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _end(self, answer: ReloadAnswer) -> None:
        if answer.problem:
            log.error("settings_refused", role=self._role, reason=answer.problem)
        else:
            log.info("settings_reloaded", role=self._role, count=len(answer.changed))
        outcome = EventOutcome.FAILURE if answer.problem else EventOutcome.SUCCESS
        detail = " ".join(answer.changed) or None
        Trail.of(self._settings).record(
            Event(Action.SETTINGS_RELOADED, outcome, this_node(self._role), detail=detail)
        )
        settings_reload.note_answer(self._storage, answer, self._slot)


@contextmanager
def watched(own: OwnSettings) -> Iterator[None]:
    """Within the block, in the main thread, the role hears who asks it for new settings.

    While it starts, and could not end in good order yet, it is not heard; it is then done.
    """
    with settings_reload.asked_for() as asked, kept_running(partial(_run, own, asked), "settings"):
        yield


def ask(storage: Path) -> None:
    """Ask every role of a storage folder that runs by itself. Raises `OSError`."""
    write_whole(storage / ASKED, f"{time.time()}\n".encode())


def begin_again() -> NoReturn:
    """Run this process's own command line once more, in its place."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _run(own: OwnSettings, asked: Callable[[], bool], stopping: threading.Event) -> None:
    while not stopping.wait(_EVERY_S) and not own.begins_again:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # it would end at once
            own.look(asked)

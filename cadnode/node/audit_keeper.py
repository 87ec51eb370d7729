"""The supervisor's part in the audit trail: it is sent on, and months go in their time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.forwarder import Forwarder
from cadnode.audit.syslog import Repository
from cadnode.audit.trail import Trail
from cadnode.log import get_logger
from cadnode.settings import Settings

_EVERY_S: Final = 1.0
_MONTHS_EVERY: Final = 3600  # rounds
_END_WITHIN_S: Final = 5.0

log = get_logger("audit")


@contextmanager
def running(settings: Settings, *, was_killed: bool = False) -> Iterator[None]:
    """Within the block the node runs: its start and its end are in the trail, which is sent on.

    Raises
    ------
    SettingsError
        A file of TLS towards the repository cannot be used.
    """
    trail = Trail.of(settings)
    keeper = _Keeper(settings, trail)
    node = this_node("node")
    detail = "killed before" if was_killed else None
    trail.record(Event(Action.STARTED, EventOutcome.SUCCESS, node, detail=detail))
    keeper.start()
    try:
        yield
    finally:
        trail.record(Event(Action.STOPPED, EventOutcome.SUCCESS, node))
        keeper.stop()


class _Keeper:
    """A thread that looks after one node's trail. Raises `SettingsError` as `Repository`."""

    def __init__(self, settings: Settings, trail: Trail) -> None:
        self._trail = trail
        self._keep_days = settings.audit.keep_days
        has_repository = settings.audit.syslog_host is not None
        repository = Repository(settings.audit) if has_repository else None
        self._forwarder = None if repository is None else Forwarder(trail.folder, repository)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is left if the repository takes it soon, and end."""
        self._stopping.set()
        self._thread.join(_END_WITHIN_S)

    def _run(self) -> None:
        n_rounds = 0
        while True:
            is_last = self._stopping.is_set()
            try:
                self._round(looks_at_months=n_rounds % _MONTHS_EVERY == 0)
            except Exception as error:
                # A thread's loop: whatever the disk does, the next round comes.
                log.error("audit_failed", error=error)
            n_rounds += 1
            if is_last:
                return
            self._stopping.wait(_EVERY_S)

    def _round(self, *, looks_at_months: bool) -> None:
        if self._forwarder is not None:
            self._forwarder.round()
        if looks_at_months and self._keep_days > 0:
            sent = None if self._forwarder is None else self._forwarder.sent
            n_removed = self._trail.close_months(self._keep_days, sent)
            if n_removed:
                log.info("audit_months_removed", count=n_removed)

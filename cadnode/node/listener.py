"""The listener role: receives into the spool and announces what arrived to the job database."""

import errno
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from cadnode.audit.trail import Trail
from cadnode.errors import SettingsError
from cadnode.log import get_logger, set_level
from cadnode.node import (
    commitment_reports,
    commitments,
    heartbeat,
    job_database,
    priority,
    readiness,
    retry,
    role_status,
)
from cadnode.node.commitments import Archives
from cadnode.node.header_index import HeaderIndex
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_database import is_full
from cadnode.node.metrics import table
from cadnode.node.metrics.arrivals import CountedArrivals, titles_of
from cadnode.node.metrics.counts import Counts
from cadnode.node.refused_peers import RefusalWitness
from cadnode.node.scp_config import scp_config
from cadnode.node.senders import Senders, senders_of
from cadnode.node.supervise import stopping_on_signal
from cadnode.node.workflow import Announcer
from cadnode.receive import scp
from cadnode.receive.commitment import CommitmentService
from cadnode.receive.commitment_requests import CommitmentRequests
from cadnode.receive.holdings import Holdings
from cadnode.receive.prior_store import AwaitedPriors, PriorStore
from cadnode.receive.spool import Spool, StoredInstance
from cadnode.receive.way_log import WayLog
from cadnode.receive.witness import AuditWitness
from cadnode.settings import Settings

log = get_logger("listener")


class NewSettings(Protocol):
    """Where new settings come from while the listener runs, and who hears what became of them."""

    def changed(self) -> Settings | None:
        """The new ones, once; None: there are none."""

    def answer(self, problem: str) -> None:
        """They are in force, or why they are not."""


def run(
    settings: Settings,
    pulse: Pulse,
    renewal: NewSettings,
    *,
    supervised: bool,
    slot: str = "listener",
) -> None:
    """Listen until SIGTERM or SIGINT, in a slot of the storage folder (`node.role_status`).

    New settings (`node.settings_reload`) are taken up by a second generation on the same sockets;
    the first accepts nobody more, and ends with its last association.
    """
    announcer = Announcer(settings.database_url)
    counts = Counts.of(settings.storage.folder, slot, os.getpid())
    counts.begin(table.STUDIES, "received")
    counts.begin(table.BYTES_RECEIVED)
    with counts.kept(), stopping_on_signal(supervised=supervised) as stopping, ExitStack() as ends:
        now = _Generation(settings, pulse, announcer, counts, slot)
        older: list[_Generation] = []
        ends.callback(lambda: _end((*older, now)))
        refused = ""
        pulse.say(heartbeat.WORKING)
        while not stopping():
            pulse.tick("listener")
            if (new := renewal.changed()) is not None:
                set_level(new.log.level)
                try:
                    now, before = now.replaced(new), now
                    older, refused = [*older, before], ""
                    renewal.answer("")
                except SettingsError as error:
                    refused = "for settings that can be used: it goes on with those before"
                    log.error("settings_not_taken_up", role="listener", reason=str(error))
                    renewal.answer(str(error))
            older = [one for one in older if not one.has_ended()]
            for one in (*older, now):
                one.tell()
            if problem := now.problem or refused:
                pulse.say(heartbeat.WAITING, problem)
            else:
                pulse.say(heartbeat.WORKING)
            time.sleep(0.2)
        pulse.ended("accepting connections")
        pulse.ended("listener")
    announcer.close()


class _Generation:
    """The listener with the settings of one moment, until its last association has ended.

    Raises
    ------
    SettingsError
        It cannot listen with these settings; one that it was to replace goes on.
    """

    def __init__(
        self,
        settings: Settings,
        pulse: Pulse,
        announcer: Announcer,
        counts: Counts,
        slot: str,
        before: "_Generation | None" = None,
    ) -> None:
        self._pulse, self._announcer, self._counts = pulse, announcer, counts
        self._settings, self._slot = settings, slot
        self._open, self._reports = ExitStack(), ExitStack()
        storage, spool = settings.storage.folder, open_spool(settings, pulse)
        self._requests: CommitmentRequests = (
            _requests(settings, slot) if before is None else before._requests
        )
        commitment = CommitmentService(
            self._requests,
            # what others receive, those before a reload among them, is looked for
            Holdings(spool, scp.STORAGE_CLASSES, shares=bool(self._requests.owner or before)),
            Archives(settings).take,
            is_offered=settings.listener.commitment,
        )
        for peer in (*sorted(titles_of(settings.listener)), table.OTHER):
            counts.begin(table.IMAGES_RECEIVED, peer)
        audit = AuditWitness(Trail.of(settings), way=WayLog(storage))
        self._witness = RefusalWitness(
            storage, audit, on_study=self._note_priority, slot=slot,
            is_one_of_several=job_database.is_shared(settings.database_url),
        )  # fmt: skip
        self._headers, self._rules = HeaderIndex(spool), readiness.rules_of(settings)
        self._listening: scp.Listener = self._open.enter_context(
            scp.serve(
                scp_config(settings), spool, self._on_instance,
                lambda: pulse.tick("accepting connections"),
                commitment if asks_or_offers(settings) else None,
                CountedArrivals(counts, self._witness, settings.listener),
                AwaitedPriors(PriorStore(storage), settings.listener.ae_title),
                takes_over=None if before is None else before._listening,
            )
        )  # fmt: skip
        if before is not None:
            before._retire()
        self._reports.enter_context(commitment_reports.running(settings, commitment))
        if senders_of(settings.listener) is Senders.ANYBODY:
            log.warning("listener_open", port=settings.listener.port)
        port = self._listening.port or self._listening.tls_port
        log.info("listening", role="listener", port=port, slot=slot)

    @property
    def problem(self) -> str:
        """What it waits for, in words; "" for nothing."""
        if self._listening.problem():
            return "for certificates that can be used: it shows the old"
        return ""

    def replaced(self, settings: Settings) -> "_Generation":
        """The next one, which listens from now on. Raises `SettingsError`, and nothing changes."""
        return _Generation(settings, self._pulse, self._announcer, self._counts, self._slot, self)

    def has_ended(self) -> bool:
        """Whether the last association of one that was replaced has ended; it is then closed."""
        if not self._listening.is_done():
            return False
        self.end()
        return True

    def tell(self) -> None:
        """Pass on who was refused."""
        self._witness.tell()

    def end(self) -> None:
        """Let messages on their way arrive for a while, and end."""
        self._reports.close()
        self._open.close()
        self._witness.tell(everything=True)

    def _retire(self) -> None:
        self._reports.close()
        self._listening.retire()

    def _on_instance(self, stored: StoredInstance) -> None:
        self._counts.add(table.BYTES_RECEIVED, by=stored.n_bytes)
        files = self._headers.files(stored.study_key)
        wait_s = readiness.debounce_s(readiness.views_of(files), self._rules)
        try:
            if any(f.marks_regions and f.path.stem == stored.instance_key for f in files):
                self._announcer.mark(stored.study_key)
            self._announcer.announce(stored.study_key, wait_s)
        except SQLAlchemyError as error:
            # The image is safe in the spool; the worker's sweep finds unannounced studies.
            log.warning("announcement_failed", study=stored.study_key, error=error)

    def _note_priority(self, ae_title: str, address: str, study: str) -> None:
        found = priority.of_sender(self._settings.listener.peers, ae_title, address)
        if found is not None:
            with suppress(OSError):  # a full disk: the image itself says so
                priority.state(self._settings.storage.folder, study, priority.Origin.PEER, found)


def _end(generations: Iterable[_Generation]) -> None:
    for one in generations:
        one.end()


def open_spool(settings: Settings, pulse: Pulse | None = None) -> Spool:
    """The node's spool: with the `pulse` of a role that starts, as soon as the disk takes it."""
    pause_s = 0.0
    while True:
        try:
            return Spool(
                settings.storage.folder / "spool",
                min_free_bytes=int(settings.storage.min_free_gb * 1e9),
            )
        except OSError as error:
            if pulse is None or not (is_full(error) or error.errno == errno.EIO):
                raise
            pause_s = retry.ROOM.pause_after_s(pause_s)
            log.error("spool_failed", error=error, seconds=pause_s)
            with pulse.waiting("the disk of storage.folder is full, or fails"):
                time.sleep(pause_s)


def asks_or_offers(settings: Settings) -> bool:
    """Whether storage commitment is served at all, to senders or for archives."""
    return settings.listener.commitment or any(d.commit for d in settings.destinations)


def _requests(settings: Settings, slot: str) -> CommitmentRequests:
    """What senders have asked for: one object for all generations, which report nothing twice."""
    storage = settings.storage.folder
    commitments.prepare(storage)
    shares = job_database.is_shared(settings.database_url)

    def is_gone(owner: str) -> bool:
        of = owner.partition(".")[0] or "listener"  # "": of a listener that was alone
        return of == slot or not role_status.look_at(storage, of).is_up

    return CommitmentRequests(
        storage / "commitments" / "requested",
        owner=f"{slot}.{secrets.token_hex(4)}" if shares else "",
        is_gone=is_gone,
    )

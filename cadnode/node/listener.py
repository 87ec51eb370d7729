"""The listener role: receives into the spool and announces what arrived to the job database."""

import errno
import os
import time
from contextlib import suppress
from ipaddress import ip_network

from sqlalchemy.exc import SQLAlchemyError

from cadnode.audit.trail import Trail
from cadnode.identity.secret_file import first_line
from cadnode.log import get_logger
from cadnode.node import (
    commitment_reports,
    commitments,
    heartbeat,
    priority,
    readiness,
    retry,
)
from cadnode.node.commitments import Archives
from cadnode.node.header_index import HeaderIndex
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_database import is_full
from cadnode.node.metrics import table
from cadnode.node.metrics.arrivals import CountedArrivals, titles_of
from cadnode.node.metrics.counts import Counts
from cadnode.node.refused_peers import RefusalWitness
from cadnode.node.senders import Senders, senders_of
from cadnode.node.supervise import stopping_on_signal
from cadnode.node.workflow import Announcer
from cadnode.receive import scp
from cadnode.receive.admission import AllowedPeer
from cadnode.receive.commitment import CommitmentService
from cadnode.receive.commitment_requests import CommitmentRequests
from cadnode.receive.holdings import Holdings
from cadnode.receive.prior_store import AwaitedPriors, PriorStore
from cadnode.receive.spool import Spool, StoredInstance
from cadnode.receive.way_log import WayLog
from cadnode.receive.witness import AuditWitness
from cadnode.settings import Settings
from cadnode.settings.sections import ListenerPeer

log = get_logger("listener")


def run(settings: Settings, pulse: Pulse, *, supervised: bool) -> None:
    """Listen until SIGTERM or SIGINT."""
    spool = open_spool(settings, pulse)
    announcer = Announcer(settings.database_url)
    headers, rules = HeaderIndex(spool), readiness.rules_of(settings)
    counts = Counts.of(settings.storage.folder, "listener", os.getpid())
    counts.begin(table.STUDIES, "received")
    counts.begin(table.BYTES_RECEIVED)
    for peer in (*sorted(titles_of(settings.listener)), table.OTHER):
        counts.begin(table.IMAGES_RECEIVED, peer)

    def on_instance(stored: StoredInstance) -> None:
        counts.add(table.BYTES_RECEIVED, by=stored.n_bytes)
        files = headers.files(stored.study_key)
        wait_s = readiness.debounce_s(readiness.views_of(files), rules)
        try:
            if any(f.marks_regions and f.path.stem == stored.instance_key for f in files):
                announcer.mark(stored.study_key)
            announcer.announce(stored.study_key, wait_s)
        except SQLAlchemyError as error:
            # The image is safe in the spool; the worker's sweep finds unannounced studies.
            log.warning("announcement_failed", study=stored.study_key, error=error)

    commitment = commitment_service(settings, spool)
    storage, peers = settings.storage.folder, settings.listener.peers

    def on_study(ae_title: str, address: str, study: str) -> None:
        if (found := priority.of_sender(peers, ae_title, address)) is not None:
            with suppress(OSError):  # a full disk: the image itself says so
                priority.state(storage, study, priority.Origin.PEER, found)

    audit = AuditWitness(Trail.of(settings), way=WayLog(storage))
    witness = RefusalWitness(storage, audit, on_study=on_study)
    counted = CountedArrivals(counts, witness, settings.listener)
    with (
        counts.kept(),
        stopping_on_signal(supervised=supervised) as stopping,
        scp.serve(
            scp_config(settings), spool, on_instance, lambda: pulse.tick("accepting connections"),
            commitment if asks_or_offers(settings) else None, counted,
            AwaitedPriors(PriorStore(settings.storage.folder), settings.listener.ae_title),
        ) as listening,
        commitment_reports.running(settings, commitment),
    ):  # fmt: skip
        if senders_of(settings.listener) is Senders.ANYBODY:
            log.warning("listener_open", port=settings.listener.port)
        port = listening.port or listening.tls_port
        log.info("listening", role="listener", port=port)
        pulse.say(heartbeat.WORKING)
        while not stopping():
            pulse.tick("listener")
            witness.tell()
            if listening.problem():
                pulse.say(heartbeat.WAITING, "for certificates that can be used: it shows the old")
            else:
                pulse.say(heartbeat.WORKING)
            time.sleep(0.2)
        pulse.ended("accepting connections")
        pulse.ended("listener")
    witness.tell(everything=True)
    announcer.close()


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


def commitment_service(settings: Settings, spool: Spool) -> CommitmentService:
    """Storage commitment, as the listener offers it to senders and takes it from archives."""
    commitments.prepare(settings.storage.folder)
    return CommitmentService(
        CommitmentRequests(settings.storage.folder / "commitments" / "requested"),
        Holdings(spool, scp.STORAGE_CLASSES),
        Archives(settings).take,
        is_offered=settings.listener.commitment,
    )


def scp_config(settings: Settings) -> scp.ScpConfig:
    """The listener's part of the settings."""
    listener = settings.listener
    return scp.ScpConfig(
        ae_title=listener.ae_title,
        host=listener.host,
        port=listener.port,
        in_clear=listener.in_clear,
        tls=listener.tls_files,
        tls_port=listener.tls_port,
        peers=tuple(
            AllowedPeer(
                title,
                ip_network(peer.address, strict=False),
                peer.certificate_sha256 or "",
                peer.username,
                _passcode(peer),
            )
            for peer in listener.peers
            for title in peer.titles or ("",)
        ),
        calling_ae_titles=listener.calling_ae_titles,
        check_called_ae_title=listener.check_called_ae_title,
        max_associations=listener.max_associations,
        max_associations_per_address=listener.max_associations_per_address,
        max_connections=listener.max_connections,
        network_timeout_s=listener.network_timeout_s,
        least_bytes_per_s=listener.least_bytes_per_s,
    )


def _passcode(peer: ListenerPeer) -> str:
    if peer.password_file is None:
        return ""
    key = "listener.peers.password_file"
    return first_line(peer.password_file, key, "it holds the peer's passcode")

"""The web role: answers HTTP about the node's studies, and takes notices of new ones."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from cadnode import log_files
from cadnode.audit.trail import Trail
from cadnode.beside import kept_running
from cadnode.domain import Priority
from cadnode.identity.identities import Identities
from cadnode.log import get_logger, hashed
from cadnode.node import heartbeat, priority
from cadnode.node.exposition import Exposition
from cadnode.node.health import HealthCheck
from cadnode.node.heartbeat import Pulse
from cadnode.node.http_server import REMOTE, HttpLimits, HttpServer
from cadnode.node.jobs import JobLookup
from cadnode.node.listener import open_spool
from cadnode.node.model_desk import ModelDesk
from cadnode.node.orders import DeliveryDesk
from cadnode.node.outcome_desk import OutcomeDesk
from cadnode.node.peer_desk import PeerDesk
from cadnode.node.priors.desk import Priors
from cadnode.node.reader_verdicts import VerdictStore
from cadnode.node.ready_check import ReadyCheck
from cadnode.node.region_desk import RegionDesk
from cadnode.node.remote.desk import RemoteDesk
from cadnode.node.study_index import Studies
from cadnode.node.study_queue import StudyQueue
from cadnode.node.study_readings import StudyReadings
from cadnode.node.study_views import StudyViewer
from cadnode.node.study_way import StudyWays
from cadnode.node.supervise import stopping_on_signal
from cadnode.node.uploads import SpoolUploads
from cadnode.node.view_pixels import PixelCache
from cadnode.node.web_port import listened_in_time
from cadnode.node.workflow import Announcer
from cadnode.phrases import N_
from cadnode.quality import store
from cadnode.receive.fetch import requests
from cadnode.settings import Settings, WebSection
from cadnode.settings.provenance import KnownSettings
from cadnode.tls import Reloaded, server_context
from cadnode.web.access import Access
from cadnode.web.api import create
from cadnode.web.library import library_file
from cadnode.web.node import Node, Notice, Unavailable, UnknownSource, jobs_away

log = get_logger("web")


def run(
    settings: Settings,
    pulse: Pulse,
    *,
    supervised: bool,
    config: Path | None = None,
    listening: socket.socket | None = None,
) -> None:
    """Serve HTTP until SIGTERM or SIGINT; a port that is taken is tried again and again.

    `config` is the file that the settings were read from, `listening` the port's socket where it
    could be had at once (`web_port`).

    Raises
    ------
    SettingsError
        A file of identities or the certificate cannot be used.
    """
    files = settings.web.tls_files
    access = Access(
        Identities.of(settings.web, time.time), files is not None, settings.web.metrics_from
    )
    tls = Reloaded(files, server_context) if files is not None else None
    known = KnownSettings(settings, config)
    announcer = Announcer(settings.database_url)
    progress = JobLookup(settings.database_url)
    with stopping_on_signal(supervised=supervised) as stopping:
        listening = listening or listened_in_time(settings.web, stopping, pulse)
        if listening is not None:
            desk = DeliveryDesk(settings, progress)
            spool, cache = open_spool(settings, pulse), PixelCache()
            studies = Studies(settings, spool, progress)
            shows_raw = settings.reading.for_processing
            viewer = StudyViewer(spool, studies, cache, for_processing=shows_raw)
            priors = Priors(settings, spool, Trail.of(settings), "web", cache)
            region_desk = RegionDesk(settings, progress)
            queue = StudyQueue(settings, studies, progress)
            node = node_of(settings, progress, announcer, studies, queue)
            outcomes = OutcomeDesk(settings.storage.folder)
            node = replace(
                node, orders=desk.orders(), viewing=viewer.viewing(library_file()),
                priors=priors.desk(), regions=region_desk.regions(),
                verdicts=VerdictStore(settings.storage.folder).book(),
                peers=PeerDesk(settings, desk.listed).peers(),
                models=ModelDesk(settings).models(), settings=known,
                log=partial(log_files.read, settings.storage.folder / log_files.FOLDER),
                uploads=SpoolUploads(settings, spool, announcer),
                quality=partial(store.read, settings.storage.folder),
                outcomes=outcomes.figures, outcomes_waiting=outcomes.n_waiting,
                remote=RemoteDesk(settings, spool).readings(),
            )  # fmt: skip
            app = create(node, access, Trail.of(settings), settings.web.language)
            # The list of studies is kept up whether somebody asks for it or not.
            with kept_running(queue.keep, "queue", within_s=None), cache.kept():
                _serve(app, tls, limits_of(settings.web), listening, stopping, pulse)
            priors.bringer.stop()
            desk.close()
            region_desk.close()
    progress.close()
    announcer.close()


def node_of(
    settings: Settings,
    progress: JobLookup,
    announcer: Announcer,
    studies: Studies,
    queue: StudyQueue,
) -> Node:
    """What the HTTP side asks, bound to this node's folders and job database."""

    def notify(notice: Notice) -> None:
        names = tuple(source.name for source in settings.sources)
        if notice.source not in names:
            raise UnknownSource(names)
        asked = requests.Request(
            notice.study_instance_uid, notice.source, notice.orthanc_id, notice.at_once
        )
        stated = notice.priority or (Priority.URGENT if notice.at_once else None)
        try:
            if stated is not None:
                key = hashed(notice.study_instance_uid)
                priority.state(settings.storage.folder, key, priority.Origin.REQUEST, stated)
            announcer.fetch(requests.save(settings.storage.folder / "spool", asked))
        except (SQLAlchemyError, TimeoutError) as error:
            raise jobs_away() from error
        except OSError as error:
            raise Unavailable(N_("the request cannot be kept"), N_("is the disk full?")) from error

    health, ready = HealthCheck(settings, progress), ReadyCheck(settings, progress)
    return Node(
        state_of=studies.state_of,
        listed=queue.listed,
        notify=notify,
        patient_of=studies.patient_of,
        page_of=studies.page_of,
        readings_of=StudyReadings(settings, studies).of,
        recent_scores=queue.recent_scores,
        health=health,
        ready=ready,
        metrics=Exposition(settings, health, ready),
        way_of=StudyWays(settings, studies).of,
    )


def limits_of(web: WebSection) -> HttpLimits:
    """How many connections from elsewhere there may be, as it is configured."""
    in_all, per_address = web.max_connections, web.max_connections_per_address
    return HttpLimits(replace(REMOTE, in_all=in_all, per_address=per_address))


def _serve(
    app: ASGIApp,
    tls: Reloaded | None,
    limits: HttpLimits,
    listening: socket.socket,
    stopping: Callable[[], bool],
    pulse: Pulse,
) -> None:
    """Serve in a thread: this one watches for signals and for a parent that is gone."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    server = HttpServer(app, pulse, limits, None if tls is None else tls.current)
    thread = threading.Thread(target=server.run, args=([listening],), name="http")
    thread.start()
    log.info("serving", role="web", port=listening.getsockname()[1])
    while thread.is_alive() and not stopping():
        pulse.tick("web")
        if tls is not None and tls.problem:
            pulse.say(heartbeat.WAITING, "for a certificate that can be used: it shows the old")
        else:
            pulse.say(heartbeat.WORKING)
        time.sleep(0.2)
    server.should_exit = True
    thread.join()
    listening.close()

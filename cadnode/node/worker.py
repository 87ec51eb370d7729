"""The worker role: runs the durable workflow, sweeps the spool, ends within its time."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from cadnode.beside import kept_running
from cadnode.errors import ModelError
from cadnode.log import get_logger
from cadnode.models.device import choose_device, gpu_memory
from cadnode.node import commitment_watch, drift_watch, heartbeat, housekeeping, verdict_watch
from cadnode.node.active_models import ActiveModels, settled
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_watch import JobWatch
from cadnode.node.listener import open_spool
from cadnode.node.metrics import gpu, table
from cadnode.node.metrics.counts import Counts
from cadnode.node.model_overview import examine
from cadnode.node.poison import Casualties
from cadnode.node.readers import load_readers
from cadnode.node.study_gate import StudyGate
from cadnode.node.supervise import STOP_WITHIN_S, stopping_on_signal
from cadnode.node.sweep import SWEEP, Sweep
from cadnode.node.worker_lease import AnyLease, lease_of
from cadnode.node.worker_steps import WorkerSteps
from cadnode.node.workflow import launch, stop
from cadnode.node.workflow_steps import Start
from cadnode.settings import Settings

_WITHOUT_MODELS_S: Final = 60.0

log = get_logger("worker")


def run(settings: Settings, pulse: Pulse, *, supervised: bool, slot: str = "worker") -> None:
    """Work until SIGTERM or SIGINT, in a slot of the storage folder (`node.role_status`)."""
    with Counts.of(settings.storage.folder, slot, os.getpid()).kept() as counts:
        _work(settings, pulse, counts, supervised=supervised, slot=slot)


def _work(settings: Settings, pulse: Pulse, counts: Counts, *, supervised: bool, slot: str) -> None:
    casualties = Casualties(settings.storage.folder, slot)
    if not supervised:  # nobody else notes how the last one ended
        casualties.note_leftover()
    device = choose_device(settings.reading.device)
    models = ActiveModels(
        settings,
        lambda old: settled(
            lambda: load_readers(
                settings, device, loaded=old or (), look_at=examine if old else None
            )
        ),
    )
    lease = lease_of(settings, slot, pulse)
    try:
        readers = models.start()
    except ModelError:
        if settings.study.answer_within_s > 0:
            steps, sweep = _bound(settings, models, casualties, pulse, lease, counts)
            _answer_without_models(settings, steps, sweep, pulse, lease, supervised=supervised)
        raise
    steps, sweep = _bound(settings, models, casualties, pulse, lease, counts)
    try:
        steps.elsewhere.begin(readers)
    except OSError as error:  # a full disk: with the first exam, then
        log.warning("remote_not_begun", role="worker", error=error)

    def before() -> None:
        lease.take()
        steps.jobs.compare()

    with stopping_on_signal(supervised=supervised) as stopping:
        # While models were loaded another node may have got the job database: nothing is launched.
        jobs = JobWatch(settings.database_url, pulse, stopping, lease.executor)
        start = jobs.launched(
            steps.bound(),
            before=before,
            after=lambda start: steps.jobs.take_up(start, is_first=lease.is_first),
        )
        if start is None:
            lease.release()
            return
        lease.take_over()
        log.info("working", role="worker", device=device, count=len(list(readers)))

        def is_ours() -> bool:
            return jobs.is_usable and lease.is_first

        with (
            _sweeping(sweep, start, is_ours, settings.study.sweep_s),
            housekeeping.running(settings),
            drift_watch.running(settings),
            commitment_watch.running(settings, start.deliver_again, is_ours),
            verdict_watch.running(settings, start.deliver, is_ours),
            _gpu_watched(counts, device),
        ):
            while not stopping():
                pulse.tick("worker")
                if not jobs.look():
                    pulse.ended(SWEEP)
                time.sleep(0.2)
    pulse.ended("worker")
    steps.stopping.set()
    stop(within_s=STOP_WITHIN_S / 2)
    lease.release()
    casualties.let_go()


@contextmanager
def _gpu_watched(counts: Counts, device: str) -> Iterator[None]:
    """Within the block the GPU's memory is counted, where one is read on."""
    with ExitStack() as watched:
        if device != "cpu":
            look = gpu.watched(counts, device, gpu_memory)
            watched.enter_context(kept_running(look, "gpu", within_s=0.0))
        yield


def _bound(
    settings: Settings,
    models: ActiveModels,
    casualties: Casualties,
    pulse: Pulse,
    lease: AnyLease,
    counts: Counts,
) -> tuple[WorkerSteps, Sweep]:
    spool = open_spool(settings, pulse)
    try:
        StudyGate(settings.storage.folder).prepare()
    except OSError as error:  # a full disk: studies are read all the same
        log.warning("gate_not_made", error=error)
    _begin(counts, settings)
    steps = WorkerSteps(settings, spool, models, pulse, casualties, lease.confirm, counts)
    return steps, Sweep(settings, spool, steps, casualties, pulse)


def _begin(counts: Counts, settings: Settings) -> None:
    """Show from 0 on what will be counted for sure."""
    for state in table.STUDY_STATES[1:]:
        counts.begin(table.STUDIES, state)
    for metric in (table.RECEIVED_TO_READ, table.READING, table.VIEW_READING):
        counts.begin(metric)
    for destination in settings.destinations:
        for status in table.DELIVERY_ENDS:
            counts.begin(table.DELIVERIES, destination.name, status)
        for metric in (table.READ_TO_DELIVERED, table.TRY):
            counts.begin(metric, destination.name)


def _answer_without_models(
    settings: Settings,
    steps: WorkerSteps,
    sweep: Sweep,
    pulse: Pulse,
    lease: AnyLease,
    *,
    supervised: bool,
) -> None:
    """Keep the promise of `study.answer_within_s`, and deliver, until the models are tried again.

    What is to be read stays queued.
    """
    pulse.say(heartbeat.WAITING, "the models cannot be loaded")
    with stopping_on_signal(supervised=supervised) as stopping:
        lease.take()
        url = settings.database_url
        start = launch(steps.bound(), url, reads=False, executor=lease.executor)
        until = time.monotonic() + _WITHOUT_MODELS_S
        next_sweep = 0.0
        while not stopping() and time.monotonic() < until:
            pulse.tick("worker")
            if time.monotonic() >= next_sweep:
                if lease.is_first:
                    sweep.answer_late(start)
                next_sweep = time.monotonic() + settings.study.sweep_s
            time.sleep(0.2)
    steps.stopping.set()
    stop(within_s=STOP_WITHIN_S / 2)
    lease.release()


@contextmanager
def _sweeping(
    sweep: Sweep, start: Start, is_ours: Callable[[], bool], every_s: float
) -> Iterator[None]:
    """Within the block the spool is swept, in a thread: the job database may let it wait."""

    def keep_on(end: threading.Event) -> None:
        while not end.is_set():
            if is_ours():
                try:
                    sweep.take(start)
                except (SQLAlchemyError, OSError, dbos_error.DBOSException) as error:
                    log.error("sweep_failed", role="worker", error=error)
            end.wait(every_s)

    with kept_running(keep_on, "sweep", within_s=STOP_WITHIN_S / 4):
        yield

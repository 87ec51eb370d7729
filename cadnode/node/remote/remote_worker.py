"""The remote worker's role: reads exams for a node that it reaches by HTTP alone.

It has its own models, and of the node's exams what it reads just now, in `remote/scratch` of its
own storage folder: fetched, read, brought back, deleted. It makes no DICOM object, delivers
nothing and keeps nothing: all of that is the node's.
"""

import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cadnode.beside import kept_running
from cadnode.errors import CadnodeError, SettingsError
from cadnode.exam.read import read_study
from cadnode.http import HttpFailure
from cadnode.imaging import pixels
from cadnode.log import get_logger
from cadnode.models.device import choose_device
from cadnode.node import heartbeat, role_status
from cadnode.node.active_models import ActiveModels, settled
from cadnode.node.heartbeat import Pulse
from cadnode.node.model_overview import examine
from cadnode.node.readers import choices_of, load_readers
from cadnode.node.remote.machines import FOLDER
from cadnode.node.remote.node_line import ClaimAnswer, ClaimOver, NodeLine
from cadnode.node.remote.offers import SILENT_S
from cadnode.node.remote.parcel import Read, packed
from cadnode.node.supervise import stopping_on_signal
from cadnode.reading import Readers, read_exam
from cadnode.settings import Settings

ASKS_EVERY_S: Final = 1.0
KEEPS_EVERY_S: Final = 5.0
_AWAY_S: Final = 5.0
_FAILED_S: Final = 30.0  # until the next question, after an exam that failed here

log = get_logger("remote-worker")


class _WorkerStops(CadnodeError):
    """The reading ends, because this process does."""


def run(settings: Settings, pulse: Pulse, *, slot: str) -> None:
    """Read for the node at `remote.url` until SIGTERM or SIGINT.

    Raises
    ------
    SettingsError
        `remote.url` is not set.
    ModelError
        There is nothing to read with.
    """
    values = settings.remote.http_values()
    if values is None:
        raise SettingsError("remote.url is not set: it names the node that this worker reads for")
    scratch = settings.storage.folder / FOLDER / "scratch" / slot
    remove_left(settings.storage.folder, slot)
    device = choose_device(settings.reading.device)
    models = ActiveModels(
        settings,
        lambda old: settled(
            lambda: load_readers(
                settings, device, loaded=old or (), look_at=examine if old else None
            )
        ),
    )
    models.start()
    with stopping_on_signal(supervised=False) as stopping:
        line = NodeLine(values, machine_name(slot))
        worker = RemoteWorker(settings, line, models, scratch, stopping, pulse)
        log.info("working", role="remote-worker", device=device)
        while not stopping():
            pulse.tick("remote worker")
            pause_s = worker.work()
            until = time.monotonic() + pause_s
            while time.monotonic() < until and not stopping():
                time.sleep(0.1)
    pulse.ended("remote worker")


def remove_left(storage: Path, slot: str) -> None:
    """Remove the images that workers which were killed have left, whichever slots they had."""
    for folder in (storage / FOLDER / "scratch").glob("*"):
        if folder.name == slot or not role_status.look_at(storage, folder.name).is_up:
            shutil.rmtree(folder, ignore_errors=True)


def machine_name(slot: str) -> str:
    """What the node calls this worker: the machine's name, and which of several on it."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("-._")[:48] or "worker"
    number = slot.rpartition("-")[2]
    return f"{name}-{number}" if number.isdecimal() else name


class RemoteWorker:
    """Takes one reading after the other. One thread uses it."""

    def __init__(
        self,
        settings: Settings,
        line: NodeLine,
        models: ActiveModels,
        scratch: Path,
        stopping: Callable[[], bool],
        pulse: Pulse,
    ) -> None:
        self._settings, self._line, self._models = settings, line, models
        self._scratch, self._stopping, self._pulse = scratch, stopping, pulse
        self._images = pixels.ImageCache()
        self._problem = ""

    def work(self) -> float:
        """Read one exam, if there is one; how many seconds to wait before the next question."""
        try:
            readers = self._models.current()
            digest = readers.digest(choices_of(self._settings.reading))
            found = self._line.readings(digest)
            self._say(found.refused or "")
            for reading in found.readings:
                if (claimed := self._line.claim(reading, digest)) is not None:
                    has_read = self._has_read(reading.partition("-")[0], claimed, readers)
                    return 0.0 if has_read else _FAILED_S
        except HttpFailure as failure:
            self._say(str(failure))
        except OSError as error:  # the scratch's disk
            self._say(f"the disk takes no images: {os.strerror(error.errno or 0)}")
        return _AWAY_S if self._problem else ASKS_EVERY_S

    def _say(self, problem: str) -> None:
        if problem:
            self._pulse.say(heartbeat.WAITING, problem)
        else:
            self._pulse.say(heartbeat.WORKING)
        if problem and problem != self._problem:
            log.warning("node_gives_nothing", reason=problem)
        self._problem = problem

    def _has_read(self, study: str, claimed: ClaimAnswer, readers: Readers) -> bool:
        """Read a claimed exam and bring it back; False where that failed: it is given back."""
        began, over = time.monotonic(), threading.Event()
        try:
            with self._kept(claimed.claim, over):
                read = self._read(claimed, readers, over)
                self._bring(claimed.claim, packed(read, self._scratch), over)
            seconds = round(time.monotonic() - began, 2)
            log.info("study_read", study=study, count=len(read), seconds=seconds)
        except ClaimOver:
            log.warning("reading_lost", study=study)
        except _WorkerStops:
            self._give_up(claimed, has_failed=False)
        except HttpFailure:
            raise  # the node is away: the claim ends by itself
        except Exception as error:
            # The worker loop: whatever failed with one exam, the node has it read otherwise.
            log.error("study_failed", study=study, error=error)
            self._give_up(claimed, has_failed=True)
            if isinstance(error, OSError):
                raise
            return False
        finally:
            self._images.clear()
            shutil.rmtree(self._scratch, ignore_errors=True)
        return True

    def _give_up(self, claimed: ClaimAnswer, *, has_failed: bool) -> None:
        with suppress(ClaimOver, HttpFailure):
            self._line.give_up(claimed.claim, has_failed=has_failed)

    def _read(self, claimed: ClaimAnswer, readers: Readers, over: threading.Event) -> list[Read]:
        def still_wanted(_stage: str = "") -> None:
            if over.is_set():
                raise ClaimOver
            if self._stopping():
                raise _WorkerStops

        self._scratch.mkdir(parents=True, mode=0o750)
        paths: list[Path] = []
        replaced: list[Path] = []
        for file in claimed.files:
            still_wanted()
            path = self._line.image(claimed.claim, file, self._scratch)
            (replaced if file.replaced else paths).append(path)
        reading = self._settings.reading
        with self._pulse.step("reading", reading.longest_per_image_s * (len(paths) + 1)):
            exams = read_study(
                paths,
                replaced=replaced,
                read_for_processing=claimed.for_processing,
                checks=pixels.CHECKS,
            )
            read: list[Read] = []
            for exam in exams:
                began = time.monotonic()
                result = read_exam(
                    exam,
                    readers,
                    choices=choices_of(reading),
                    load=self._images.load,
                    on_progress=still_wanted,
                )
                read.append((result, time.monotonic() - began))
        return read

    def _bring(self, claim: str, parcel: bytes, over: threading.Event) -> None:
        """Bring the reading, again as long as the node may keep the exam for this machine."""
        while True:
            try:
                return self._line.result(claim, parcel)
            except HttpFailure as failure:
                if not failure.retryable or over.wait(ASKS_EVERY_S):
                    raise

    @contextmanager
    def _kept(self, claim: str, over: threading.Event) -> Iterator[None]:
        """Within the block the node hears that the reading goes on; `over` is set when it ends.

        It has ended, too, for who has not heard of the node for so long that it takes this machine
        for dead: no image stays longer here than the node knows of.
        """

        def keep_on(end: threading.Event) -> None:
            heard = time.monotonic()
            while not end.wait(KEEPS_EVERY_S):
                try:
                    self._line.keep(claim)
                    heard = time.monotonic()
                except ClaimOver:
                    over.set()
                    return
                except HttpFailure as failure:
                    log.warning("claim_not_kept", reason=str(failure))
                    if time.monotonic() - heard > SILENT_S:
                        over.set()
                        return

        with kept_running(keep_on, "claim", within_s=KEEPS_EVERY_S):
            yield

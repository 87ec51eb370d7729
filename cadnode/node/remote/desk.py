"""What remote workers are answered: offers, images of the spool, and readings that are kept."""

import re
from typing import Final

from cadnode import __version__
from cadnode.files import file_sha256
from cadnode.log import get_logger
from cadnode.node.remote.machines import RemoteMachines, SeenWorker
from cadnode.node.remote.offers import Offers
from cadnode.node.remote.reading_offer import ReadingOffer
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.remote import (
    ClaimedReading,
    OpenReadings,
    RemoteFile,
    RemoteImage,
    RemoteMachine,
    RemoteReadings,
)

_KEY: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")

log = get_logger("web")


class RemoteDesk:
    """The HTTP side's answers to remote workers. Threads share it."""

    def __init__(self, settings: Settings, spool: Spool) -> None:
        self._settings, self._spool = settings, spool
        self._offers = Offers(settings.storage.folder)

    def readings(self) -> RemoteReadings | None:
        """What may be asked; None where this node has no remote workers."""
        if not self._settings.remote.workers:
            return None
        return RemoteReadings(
            self.open_for, self.claim, self._keeps, self.image, self.take, self._give_up
        )

    def open_for(self, machine: RemoteMachine) -> OpenReadings:
        """What a machine may read, and why it gets nothing where its models are others."""
        seen = _seen(machine)
        self._offers.machines.note_seen(seen)
        if problem := self._refusal(seen):
            return OpenReadings((), problem)
        found = self._offers.open_for(machine.name, machine.digest)
        return OpenReadings(tuple(one.key for one in found))

    def claim(self, reading: str, machine: RemoteMachine) -> ClaimedReading | None:
        """A reading's files, for the machine that has it from now on. Raises `OSError`."""
        if not _KEY.fullmatch(reading) or self._refusal(_seen(machine)):
            return None
        found = self._offers.claim(reading, machine.name, machine.digest, machine.token)
        if found is None:
            return None
        offer, claim = found
        try:
            files = [
                *self._files(offer, offer.files),
                *self._files(offer, offer.replaced, old=True),
            ]
        except FileNotFoundError:  # replaced or removed since: the node's worker sees to it
            self._offers.give_up(claim.claim, claim.token, has_failed=False)
            return None
        log.info("reading_claimed", study=offer.study, peer=machine.name, count=len(files))
        return ClaimedReading(claim.claim, offer.study, files, offer.for_processing)

    def image(self, claim: str, token: str, name: str) -> RemoteImage | None:
        """A file of the reading that a machine has."""
        offer = self._offers.held(claim, token)
        if offer is None or name not in (*offer.files, *offer.replaced):
            return None
        path = self._spool.folder_of(offer.study) / name
        try:
            return RemoteImage(offer.study, path, file_sha256(path))
        except FileNotFoundError:
            return None

    def take(self, claim: str, token: str, parcel: bytes) -> str | None:
        """The study of a reading that is on this node's disk now. Raises `OSError`."""
        return _study(self._offers.end(claim, token, parcel))

    def _keeps(self, claim: str, token: str) -> str | None:
        return _study(self._offers.held(claim, token))

    def _give_up(self, claim: str, token: str, has_failed: bool) -> str | None:
        offer = self._offers.give_up(claim, token, has_failed=has_failed)
        if offer is not None:
            log.warning(
                "reading_given_back",
                study=offer.study,
                status="failed" if has_failed else "stopped",
            )
        return _study(offer)

    def _refusal(self, worker: SeenWorker) -> str:
        """Why a machine gets nothing now; "" where it may have an exam."""
        if problem := refusal(self._offers.digest(), worker):
            return problem
        return failing(self._offers.machines, worker.machine)

    def _files(
        self, offer: ReadingOffer, names: tuple[str, ...], *, old: bool = False
    ) -> list[RemoteFile]:
        found = []
        for name in names:
            path = self._spool.folder_of(offer.study) / name
            stat = path.stat()
            found.append(RemoteFile(name, stat.st_size, stat.st_mtime_ns, old))
        return found


def refusal(digest: str, worker: SeenWorker) -> str:
    """Why a remote worker gets nothing from a node that reads with `digest`; "" where it may."""
    if worker.version != __version__:
        return f"it has cadnode {worker.version}, the node {__version__}: install the same"
    if not digest:
        return "the node's worker has not loaded its models yet"
    if worker.digest != digest:
        return (
            "it reads with other models or another [reading] than the node: install and activate "
            "the same versions, and set the same counts, operating_point, flips and bf16"
        )
    return ""


def failing(machines: RemoteMachines, machine: str) -> str:
    """Why a machine that failed with its last exams gets none for a while; "" where it may."""
    if not (pause_s := machines.pause_s(machine)):
        return ""
    n = machines.n_failed(machine)
    failed = "it failed with its last exam" if n == 1 else f"it failed with its last {n} exams"
    return f"{failed}: its log says why; it gets the next in {pause_s:.0f} s"


def _seen(machine: RemoteMachine) -> SeenWorker:
    return SeenWorker(machine=machine.name, version=machine.version, digest=machine.digest)


def _study(offer: ReadingOffer | None) -> str | None:
    return None if offer is None else offer.study

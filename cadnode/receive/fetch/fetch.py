"""A study fetched from a source into the spool: only what concerns us, and only what is missing.

Each instance streams from the source into a file of the spool and is published when it is whole;
it is never in memory. What is in the spool already is not asked for again, so that a fetch that
was killed or cut continues with the rest.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file
from cadnode.exam.kind import is_own_output
from cadnode.http import HttpFailure
from cadnode.log import get_logger, hashed
from cadnode.receive.fetch.listing import Listed, wanted
from cadnode.receive.fetch.requests import FetchCode, Request
from cadnode.receive.fetch.studies import ListedStudy
from cadnode.receive.identity import InstanceIdentity, read_file_identity
from cadnode.receive.spool import Incoming, Received, StoredInstance

log = get_logger("receive")

BLOCK_BYTES = 128 << 10  # of one write; measured, see benchmarks/LOG.md


class FetchFailure(Exception):
    """A fetch that failed or was cut short. Its text holds no more than its code does.

    `retryable`: asking again later may help. `n_new` instances came before it failed.
    """

    def __init__(self, code: FetchCode, text: str, *, retryable: bool, n_new: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.retryable = retryable
        self.n_new = n_new


def failure_of(failure: HttpFailure, n_new: int = 0) -> FetchFailure:
    """What a failed request means for a fetch."""
    if failure.status in (401, 403):  # retryable: a changed password is used at the next try
        code = FetchCode.SOURCE_REFUSED
    elif failure.retryable:
        code = FetchCode.SOURCE_UNREACHABLE
    else:
        code = FetchCode.SOURCE_NOT_UNDERSTOOD
    return FetchFailure(code, str(failure), retryable=failure.retryable, n_new=n_new)


class Stopped(Exception):
    """The node stops: the fetch continues at its next start."""


Sink = Callable[[bytes], None]


class StudySource(Protocol):
    """Where studies come from; its failures are `HttpFailure`."""

    def check(self) -> str:
        """A line on what was found, when the source answers and lets us in."""

    def instances(self, request: Request) -> Sequence[Listed]:
        """Every instance of the study that the source lists; empty for an unknown study."""

    def stream(self, instance: Listed, sink: Sink) -> bool:
        """Give the instance's Part 10 file, as stored, to `sink`; False when it is gone."""

    def studies_of(self, value: str, keyword: str = "PatientID") -> Sequence[ListedStudy]:
        """The studies that the source lists under a Patient ID, a bounded number of them.

        `keyword` may be `AccessionNumber` or `StudyInstanceUID` instead. What is listed may be
        more than what has exactly that value.
        """


class Receiver(Protocol):
    """Where fetched files go: the spool, or a place that takes files as the spool does."""

    def instances(self, study_key: str) -> list[Path]:
        """Files of a study that are here."""

    def has_room(self) -> bool:
        """Whether the disk has the configured minimum of free bytes."""

    def open(self) -> Incoming:
        """A new file on its way in. Raises `OSError`."""

    def publish(self, incoming: Incoming, identity: InstanceIdentity) -> StoredInstance:
        """The file in its place, durably. Raises `OSError`."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the spool holds now of what concerns us, and how much of it is new."""

    n_instances: int
    n_new: int


def fetch(
    request: Request,
    source: StudySource,
    spool: Receiver,
    stopping: Callable[[], bool] = lambda: False,
) -> Fetched:
    """The study's mammograms and marked regions, in `spool` when this returns.

    An instance that is no DICOM, or another one than was asked for, does not keep the others. One
    that is gone is passed over only when the source, asked again, lists it no longer.

    Raises
    ------
    FetchFailure
        The source does not know the study, holds no mammograms of it, lists what it does not
        give, or fails; or there is no room for it.
    Stopped
        `stopping()` became true.
    """
    listed, ours = _listing(request, source)
    study = hashed(request.study_instance_uid)
    here = {path.stem for path in spool.instances(study)}
    missing = [i for i in ours if hashed(i.sop_instance_uid) not in here]
    log.info("fetch_begins", study=study, count=len(missing), skipped=len(listed) - len(missing))
    one = _OneByOne(request, source, spool, stopping)
    for instance in missing:
        one.fetch(instance)
    one.log()
    if one.gone:
        _look_again(request, source, one)
    if one.n_unusable:
        raise FetchFailure(
            FetchCode.SOURCE_NOT_UNDERSTOOD, "an instance is not what it should be",
            retryable=False, n_new=one.n_new,
        )  # fmt: skip
    return Fetched(len(ours) - len(missing) + one.n_new, one.n_new)


def _listing(
    request: Request, source: StudySource, n_new: int = 0
) -> tuple[list[Listed], list[Listed]]:
    """All that the source lists, and what of it concerns us; raises `FetchFailure`."""
    try:
        listed = list(source.instances(request))
    except HttpFailure as failure:
        raise failure_of(failure, n_new) from None
    if not listed:
        raise FetchFailure(FetchCode.UNKNOWN_STUDY, "unknown study", retryable=False, n_new=n_new)
    ours = wanted(listed)
    if not ours:
        raise FetchFailure(FetchCode.NO_MAMMOGRAMS, "no mammograms", retryable=False, n_new=n_new)
    return listed, ours


def _look_again(request: Request, source: StudySource, one: "_OneByOne") -> None:
    """Nothing, when what was gone is no longer listed; raises `FetchFailure` when it is."""
    _, ours = _listing(request, source, one.n_new)
    missing = one.gone & {instance.sop_instance_uid for instance in ours}
    if missing:
        raise FetchFailure(
            FetchCode.INSTANCE_MISSING, f"the source does not give {len(missing)} that it lists",
            retryable=True, n_new=one.n_new,
        )  # fmt: skip


class _OneByOne:
    """Fetches instance after instance and counts."""

    def __init__(
        self, request: Request, source: StudySource, spool: Receiver, stopping: Callable[[], bool]
    ) -> None:
        self._request = request
        self._source = source
        self._spool = spool
        self._stopping = stopping
        self._started = time.monotonic()
        self.n_new = self.n_unusable = self.n_bytes = 0
        self.gone: set[str] = set()  # SOP Instance UIDs

    def fetch(self, instance: Listed) -> None:
        """One instance into the spool, unless it is gone, unusable or our own."""
        if self._stopping():
            raise Stopped
        if not self._spool.has_room():
            raise self._no_room()
        try:
            incoming = self._spool.open()
            try:
                self._fetch_into(incoming, instance)
            finally:
                incoming.drop()
        except OSError as error:
            log.error("spool_failed", error=error)
            raise self._no_room() from None
        except HttpFailure as failure:
            raise failure_of(failure, self.n_new) from None

    def log(self) -> None:
        """One line on what came."""
        log.info(
            "fetch_ended", study=hashed(self._request.study_instance_uid), count=self.n_new,
            bytes=self.n_bytes, skipped=self.n_unusable,
            seconds=round(time.monotonic() - self._started, 2),
        )  # fmt: skip

    def _fetch_into(self, incoming: Incoming, instance: Listed) -> None:
        def sink(data: bytes) -> None:
            if self._stopping():
                raise Stopped
            incoming.write(data)

        if not self._source.stream(instance, sink):
            log.info("instance_gone", instance=hashed(instance.sop_instance_uid))
            self.gone.add(instance.sop_instance_uid)
            return
        identity = _identity(incoming.path)
        if identity is None or (
            identity.study_instance_uid != self._request.study_instance_uid
            or identity.sop_instance_uid != instance.sop_instance_uid
        ):
            log.warning("instance_unusable", instance=hashed(instance.sop_instance_uid))
            self.n_unusable += 1
        elif not _is_ours(incoming.path):
            stored = self._spool.publish(incoming, identity)
            self.n_new += stored.received is not Received.ALREADY_HERE
            self.n_bytes += stored.n_bytes

    def _no_room(self) -> FetchFailure:
        return FetchFailure(FetchCode.NO_ROOM, "no room", retryable=True, n_new=self.n_new)


def _identity(path: Path) -> InstanceIdentity | None:
    try:
        return read_file_identity(path)
    except NotProcessable:
        return None


def _is_ours(path: Path) -> bool:
    """Whether cadnode made the object; a damaged file counts as another's."""
    try:
        return is_own_output(open_file(path).header)
    except NotProcessable:
        return False

"""Which studies somebody asked for, and how fetching them ended: small files beside the spool.

    SPOOL/requests/<study_key>.json       what is asked for: there until it is fetched or refused
                   <study_key>.ended      how the last fetch went: a code and counts
                   <study_key>.fetching   locked while a process fetches the study
                   lock                   held for the moment in which any of these changes

The job database holds no identifiers, so the UIDs are here, where the images are. Every request
and every further try has a ticket of its own: whoever asks while the study is being fetched is
served by one more look at the source, and nobody's request is lost.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from cadnode.files import write_whole
from cadnode.log import hashed
from cadnode.receive.identity import is_valid_uid


@dataclass(frozen=True, slots=True)
class Request:
    """A study that is to be fetched from a configured source.

    `source_id` is the source's own name of the study (Orthanc's identifier), "" when unknown.
    `at_once`: read it without waiting for `study.quiet_s`.
    """

    study_instance_uid: str
    source: str
    source_id: str = ""
    at_once: bool = False


class FetchCode(StrEnum):
    """How a fetch ended, or why it is tried again."""

    FETCHED = "fetched"
    NO_MAMMOGRAMS = "no_mammograms"
    UNKNOWN_STUDY = "unknown_study"
    UNKNOWN_SOURCE = "unknown_source"
    SOURCE_REFUSED = "source_refused"
    SOURCE_NOT_UNDERSTOOD = "source_not_understood"
    SOURCE_UNREACHABLE = "source_unreachable"
    NO_ROOM = "no_room"
    INTERRUPTED = "interrupted"
    GIVEN_UP = "given_up"

    @property
    def meaning(self) -> str:
        """The code in words."""
        return _MEANINGS[self]


_MEANINGS = {
    FetchCode.FETCHED: "everything of the study that concerns this node is here",
    FetchCode.NO_MAMMOGRAMS: "the source holds no mammograms of the study",
    FetchCode.UNKNOWN_STUDY: "the source does not know the study",
    FetchCode.UNKNOWN_SOURCE: "the configuration names no such source",
    FetchCode.SOURCE_REFUSED: "the source refused: user, password, token or rights are wrong",
    FetchCode.SOURCE_NOT_UNDERSTOOD: "the source's answer cannot be used",
    FetchCode.SOURCE_UNREACHABLE: "the source cannot be reached; it is asked again",
    FetchCode.NO_ROOM: "this node's disk is full; the source is asked again",
    FetchCode.INTERRUPTED: "this node was stopped meanwhile; it goes on at its next start",
    FetchCode.GIVEN_UP: "the source could not be reached for too long",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last fetch of a study went.

    `is_final` is False while it is tried again. `n_instances` of the study are here,
    `n_new` of them came with this fetch.
    """

    code: FetchCode
    is_final: bool
    n_instances: int = 0
    n_new: int = 0


def save(folder: Path, request: Request) -> str:
    """Key of the study, the spool's; `request` is on disk in place of an earlier one.

    `folder` is the spool's. A waiting request to read at once stays one.

    Raises
    ------
    ValueError
        `study_instance_uid` is no UID.
    OSError
        The disk is full.
    """
    if not is_valid_uid(request.study_instance_uid):
        raise ValueError("no valid Study Instance UID")
    key = hashed(request.study_instance_uid)
    with _locked(folder) as where:
        waiting = _read(where, key)
        if waiting is not None:
            request = replace(request, at_once=request.at_once or waiting[0].at_once)
        _write(where, key, request)
    return key


def load(folder: Path, key: str) -> Request | None:
    """The request that waits or is being served; None when nobody asks for that study."""
    found = _read(folder / "requests", key)
    return found[0] if found else None


def ticket(folder: Path, key: str) -> str:
    """Changes with every request and try; "" when nobody asks for the study."""
    found = _read(folder / "requests", key)
    return found[1] if found else ""


def waiting(folder: Path) -> list[str]:
    """Keys of the studies that are asked for, in order."""
    return sorted(p.stem for p in (folder / "requests").glob("*.json"))


def ended(folder: Path, key: str) -> Ended | None:
    """How the last fetch of the study went; None when there was none."""
    try:
        document = json.loads((folder / "requests" / f"{key}.ended").read_bytes())
    except FileNotFoundError:
        return None
    return Ended(**{**document, "code": FetchCode(document["code"])})


def remove(folder: Path, key: str) -> None:
    """Forget the study's request and how its fetch went; nothing happens when there is none."""
    with _locked(folder) as where:
        for suffix in ("json", "ended"):
            (where / f"{key}.{suffix}").unlink(missing_ok=True)


class Taken:
    """A request in the hands of the process that fetches the study; `take` gives it.

    One of `finish`, `postpone` and `release` ends it.
    """

    def __init__(self, folder: Path, key: str, descriptor: int) -> None:
        self._folder = folder
        self._key = key
        self._descriptor = descriptor
        self.request, self.ticket = self._current()

    def finish(self, how: Ended) -> bool:
        """Whether this was all: the request is gone, and the study free for others.

        False when somebody asked again meanwhile: then `request` and `ticket` are the new ones.
        """
        with _locked(self._folder) as where:
            self._note(where, how)
            found = _read(where, self._key)
            if found is not None and found[1] != self.ticket:
                self.request, self.ticket = found
                return False
            (where / f"{self._key}.json").unlink(missing_ok=True)
            self._let_go(where)
            return True

    def postpone(self, how: Ended) -> str:
        """The ticket of the next try; the request waits for it, and the study is free for others.

        Every older ticket is void with it, so that there is one next try only.
        """
        with _locked(self._folder) as where:
            self._note(where, how)
            found = _read(where, self._key)
            next_ticket = _write(where, self._key, found[0]) if found else ""
            self._let_go(where)
            return next_ticket

    def release(self) -> None:
        """Leave the request as it is. May be called after the others."""
        with _locked(self._folder) as where:
            self._let_go(where)

    def _note(self, where: Path, how: Ended) -> None:
        write_whole(where / f"{self._key}.ended", json.dumps(asdict(how)).encode())

    def _let_go(self, where: Path) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            (where / f"{self._key}.fetching").unlink(missing_ok=True)
            os.close(descriptor)

    def _current(self) -> tuple[Request, str]:
        found = _read(self._folder / "requests", self._key)
        if found is None:
            raise FileNotFoundError(self._key)
        return found


def take(folder: Path, key: str) -> Taken | None:
    """The waiting request; None when nobody asks, or when another is fetching the study.

    Who is told None need not come back: `Taken.finish` sees what was asked meanwhile.
    """
    with _locked(folder) as where:
        if _read(where, key) is None:
            return None
        descriptor = _lock(where / f"{key}.fetching", fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None if descriptor < 0 else Taken(folder, key, descriptor)


def _read(where: Path, key: str) -> tuple[Request, str] | None:
    try:
        document: dict[str, Any] = json.loads((where / f"{key}.json").read_bytes())
    except FileNotFoundError:
        return None
    number = document.pop("ticket")
    return Request(**document), str(number)


def _write(where: Path, key: str, request: Request) -> str:
    """The request's new ticket."""
    number = uuid.uuid4().hex[:16]
    document = {**asdict(request), "ticket": number}
    write_whole(where / f"{key}.json", json.dumps(document).encode())
    return number


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """The folder of requests, made if need be, while nobody else changes it."""
    where = folder / "requests"
    where.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(where / "lock", fcntl.LOCK_EX)
    try:
        yield where
    finally:
        os.close(descriptor)


def _lock(path: Path, how: int) -> int:
    """Descriptor of the locked file, which is made if need be; -1 when another holds it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o640)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    return descriptor

"""Which studies were requested, and how fetching them ended: small files beside the spool.

    SPOOL/requests/<study_key>.json       a request: there until it is fetched or refused
                   <study_key>.ended      how the last fetch went: a code and counts; of one that
                                          failed also what was asked for, to be asked for again
                   <study_key>.fetching   locked while a process fetches the study
                   lock                   held for the moment in which any of these changes

The job database holds no identifiers, so the UIDs are here, where the images are. Every request
and every further try has a ticket of its own: a client that asks during a fetch is served by one
more query of the source, and no request is lost. A file that cannot be read is moved aside as
`unreadable-NAME`, so that only its own study loses a fetch.
"""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from cadnode.files import lock, locked, make_folder, write_whole
from cadnode.log import get_logger, hashed
from cadnode.phrases import N_
from cadnode.receive.identity import is_valid_uid

__all__ = [
    "GOOD", "Ended", "FetchCode", "Request", "Taken", "asked_at", "ended", "ended_since",
    "failed", "forget_ended", "known", "load", "remove", "save", "take", "ticket", "waiting",
]  # fmt: skip
_MODE = 0o640  # of the lock files
_ASKED = "request"  # in the note of a fetch that failed
log = get_logger("receive")


class FetchCode(StrEnum):
    """How a fetch ended, or why it is tried again."""

    FETCHED = "fetched"
    NO_MAMMOGRAMS = "no_mammograms"
    UNKNOWN_STUDY = "unknown_study"
    UNKNOWN_SOURCE = "unknown_source"
    SOURCE_REFUSED = "source_refused"
    SOURCE_NOT_UNDERSTOOD = "source_not_understood"
    SOURCE_UNREACHABLE = "source_unreachable"
    INSTANCE_MISSING = "instance_missing"
    NODE_UNKNOWN = "node_unknown"
    NO_ROOM = "no_room"
    FETCH_FAILED = "fetch_failed"
    INTERRUPTED = "interrupted"
    GIVEN_UP = "given_up"

    @property
    def meaning(self) -> str:
        """The code in words."""
        return _MEANINGS[self]


_MEANINGS = {
    FetchCode.FETCHED: N_("everything of the study that concerns this node is here"),
    FetchCode.NO_MAMMOGRAMS: N_("the source holds no mammograms of the study"),
    FetchCode.UNKNOWN_STUDY: N_("the source does not know the study"),
    FetchCode.UNKNOWN_SOURCE: N_("the configuration names no such source"),
    FetchCode.SOURCE_REFUSED: N_(
        "the source refused: user, password, token or rights are wrong; it is asked again"
    ),
    FetchCode.SOURCE_NOT_UNDERSTOOD: N_("the source's answer cannot be used"),
    FetchCode.SOURCE_UNREACHABLE: N_("the source cannot be reached; it is asked again"),
    FetchCode.INSTANCE_MISSING: N_(
        "the source lists an instance that it does not give; it is asked again"
    ),
    FetchCode.NODE_UNKNOWN: N_(
        "the source does not know this node's AE title as a destination of "
        "C-MOVE; it is asked again"
    ),
    FetchCode.NO_ROOM: N_("this node's disk is full; the source is asked again"),
    FetchCode.FETCH_FAILED: N_(
        "this node failed while it fetched; its log says how; it tries again"
    ),
    FetchCode.INTERRUPTED: N_("this node was stopped meanwhile; it goes on at its next start"),
    FetchCode.GIVEN_UP: N_(
        "the source could not be reached, or did not give the study, for too long"
    ),
}
GOOD = frozenset({FetchCode.FETCHED, FetchCode.NO_MAMMOGRAMS})  # nothing went wrong


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
        waiting, asked_at = _read(where, key), time.time()
        if waiting is not None:
            at_once = request.at_once or waiting.request.at_once
            request, asked_at = replace(request, at_once=at_once), waiting.asked_at
        _write(where, key, request, asked_at)
    return key


def load(folder: Path, key: str) -> Request | None:
    """The request that waits or is being served; None when there is none."""
    found = _read(folder / "requests", key)
    return found.request if found else None


def ticket(folder: Path, key: str) -> str:
    """Changes with every request and try; "" when the study has no request."""
    found = _read(folder / "requests", key)
    return found.ticket if found else ""


def asked_at(folder: Path, key: str) -> float | None:
    """When the study was first requested, seconds since the epoch; None without a request.

    Further tries and requests do not change it.
    """
    found = _read(folder / "requests", key)
    return found.asked_at if found else None


def waiting(folder: Path) -> list[str]:
    """Keys of the studies that have a request, in order."""
    return sorted(p.stem for p in (folder / "requests").glob("*.json"))


def known(folder: Path) -> set[str]:
    """Keys of the studies that have a request, or had one."""
    return {p.stem for kind in ("json", "ended") for p in (folder / "requests").glob(f"*.{kind}")}


def ended(folder: Path, key: str) -> Ended | None:
    """How the last fetch of the study went; None when there was none."""
    path = folder / "requests" / f"{key}.ended"
    try:
        document = json.loads(path.read_bytes())
        document.pop(_ASKED, None)
        return Ended(**{**document, "code": FetchCode(document["code"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        _move_aside(path, error)
        return None


def failed(folder: Path, key: str) -> Request | None:
    """What was asked for by the last fetch, where it failed for good; None where it did not.

    None, too, where an older version, which did not keep it, noted the failure.
    """
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        document = json.loads((folder / "requests" / f"{key}.ended").read_bytes())
        request = Request(**document[_ASKED])
        if is_valid_uid(request.study_instance_uid) and document["is_final"]:
            return request
    return None


def ended_since(folder: Path, since: float) -> list[Ended]:
    """How the last fetches went of the studies whose fetch ended after `since` (epoch, s)."""
    keys = []
    for path in (folder / "requests").glob("*.ended"):
        with suppress(FileNotFoundError):  # asked for again in this moment
            if path.stat().st_mtime >= since:
                keys.append(path.stem)
    return [how for key in keys if (how := ended(folder, key)) is not None]


def remove(folder: Path, key: str) -> None:
    """Forget the study's request and how its fetch went; nothing happens when there is none."""
    with _locked(folder) as where:
        for suffix in ("json", "ended"):
            (where / f"{key}.{suffix}").unlink(missing_ok=True)


def forget_ended(folder: Path, before: float) -> int:
    """Number of studies of which it is forgotten how their fetch went: it ended before then.

    What could not be read and was moved aside goes, too. A study that is requested again is kept.
    """
    count = 0
    with _locked(folder) as where:
        old = [p for pattern in ("*.ended", "unreadable-*") for p in where.glob(pattern)]
        for path in old:
            if path.stat().st_mtime < before and not path.with_suffix(".json").exists():
                path.unlink()
                count += 1
    return count


class Taken:
    """A request in the hands of the process that fetches the study; `take` gives it.

    One of `finish`, `postpone` and `release` ends it.
    """

    def __init__(self, folder: Path, key: str, descriptor: int) -> None:
        self._folder = folder
        self._key = key
        self._descriptor = descriptor
        self.request, self.ticket, _ = self._current()

    def finish(self, how: Ended) -> bool:
        """Whether this was all: the request is gone, and the study free for others.

        False when it was requested again: then `request` and `ticket` are the new ones.
        """
        with _locked(self._folder) as where:
            self._note(where, how)
            found = _read(where, self._key)
            if found is not None and found.ticket != self.ticket:
                self.request, self.ticket, _ = found
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
            next_ticket = _write(where, self._key, found.request, found.asked_at) if found else ""
            self._let_go(where)
            return next_ticket

    def release(self) -> None:
        """Leave the request as it is. May be called after the others."""
        with _locked(self._folder) as where:
            self._let_go(where)

    def _note(self, where: Path, how: Ended) -> None:
        has_failed = how.is_final and how.code not in GOOD
        asked = {_ASKED: asdict(self.request)} if has_failed else {}
        write_whole(where / f"{self._key}.ended", json.dumps(asdict(how) | asked).encode())

    def _let_go(self, where: Path) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            (where / f"{self._key}.fetching").unlink(missing_ok=True)
            os.close(descriptor)

    def _current(self) -> "_Waiting":
        found = _read(self._folder / "requests", self._key)
        if found is None:
            raise FileNotFoundError(self._key)
        return found


def take(folder: Path, key: str) -> Taken | None:
    """The waiting request; None without one, or when another process is fetching the study.

    A caller that gets None need not come back: `Taken.finish` sees later requests.
    """
    with _locked(folder) as where:
        if _read(where, key) is None:
            return None
        descriptor = os.open(where / f"{key}.fetching", os.O_CREAT | os.O_RDWR, _MODE)
        if not lock(descriptor, wait=False):
            os.close(descriptor)
            return None
        return Taken(folder, key, descriptor)


class _Waiting(NamedTuple):
    """A request's file."""

    request: Request
    ticket: str
    asked_at: float


def _read(where: Path, key: str) -> _Waiting | None:
    """The request's file; None when there is none, or none that can be read."""
    path = where / f"{key}.json"
    try:
        changed_at = path.stat().st_mtime
        return _parsed(json.loads(path.read_bytes()), key, changed_at)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        _move_aside(path, error)
        return None


def _parsed(document: dict[str, Any], key: str, changed_at: float) -> _Waiting:
    """Raises ValueError, TypeError, KeyError or AttributeError for what is no request."""
    number = str(document.pop("ticket"))
    asked_at = float(document.pop("asked_at", changed_at))
    request = Request(**document)
    if not all(isinstance(v, str) for v in (request.source, request.source_id)):
        raise TypeError("source")
    if not is_valid_uid(request.study_instance_uid) or hashed(request.study_instance_uid) != key:
        raise ValueError("study")
    return _Waiting(request, number, asked_at)


def _move_aside(path: Path, error: Exception) -> None:
    """Out of everybody's way, for a person to look at."""
    log.error("request_unreadable", reason=path.suffix, error=error)
    with suppress(OSError):
        path.replace(path.with_name(f"unreadable-{path.stem}{path.suffix}.kept"))


def _write(where: Path, key: str, request: Request, asked_at: float) -> str:
    """The request's new ticket."""
    number = uuid.uuid4().hex[:16]
    document = {**asdict(request), "ticket": number, "asked_at": asked_at}
    write_whole(where / f"{key}.json", json.dumps(document).encode())
    return number


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """The folder of requests, made if need be, locked against other changes."""
    where = folder / "requests"
    make_folder(where)
    with locked(where / "lock", mode=_MODE):
        yield where

"""What senders have asked to have committed and were not answered yet: it outlives the process.

    ROOT/<key>.json   one a transaction of a sender; removed when its report was acknowledged
         .lock        held while one of several listeners changes what there is

A request is on the disk before it is accepted. However many are sent, those of one address take a
quarter of the places and bytes (`limits.COMMITMENTS`). They hold UIDs, addresses and AE titles.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cadnode.files import locked, make_folder, write_whole
from cadnode.limits import COMMITMENTS, COMMITMENTS_BYTES
from cadnode.log import get_logger
from cadnode.receive.admission import origin
from cadnode.receive.commitment_data import CommitmentRequest, Reference

ACKNOWLEDGED_WITHIN_S: Final = 30.0  # of a report on the association of its request
_SHARE: Final = 4
_LOCK: Final = ".lock"
_ENDING: Final = ".json"

log = get_logger("receive")


@dataclass(frozen=True, order=True, slots=True)
class Sender:
    """Who asks: the address it connected from, and the AE title that it calls itself."""

    address: str
    ae_title: str


@dataclass(frozen=True, slots=True)
class Requested:
    """A request that waits for its report; `at` is in seconds since the epoch.

    `is_duplicate`: the sender has another one under the same Transaction UID. `owner` is the
    listener that reports it; "" where there is one.
    """

    key: str
    sender: Sender
    request: CommitmentRequest
    at: float
    is_duplicate: bool = False
    owner: str = ""


class Full(Exception):
    """There are too many requests, of this sender or of all, or the disk is full."""


@dataclass(slots=True)
class _Entry:
    """What is known of a request without reading it."""

    sender: Sender
    transaction: str  # hashed with its sender
    at: float
    n_bytes: int
    free_from: float = 0.0  # until then somebody reports it
    owner: str = ""


class CommitmentRequests:
    """The open requests of one node's senders. Threads of one process share it.

    Several listeners share the folder where each has an `owner` of its own, the name of its life:
    what one took it reports, and what is left by one that `is_gone` another does. A request that
    comes once more to another listener is that one's from then on.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.time,
        owner: str = "",
        is_gone: Callable[[str], bool] = lambda owner: True,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self.owner, self._is_gone = owner, is_gone
        self._guard = threading.Lock()
        make_folder(folder)
        self._entries: dict[str, _Entry] = {}
        self._failing: set[str] = set()  # keys of files that could not be read at the last look

    def add(self, sender: Sender, request: CommitmentRequest) -> str:
        """The key of a request that is on the disk now; the same request again has the same key.

        Raises
        ------
        Full
            It is not accepted.
        """
        transaction = _digest(sender.address, sender.ae_title, request.transaction_uid)
        key = _digest(transaction, *(str(one) for one in sorted(request.references)))
        with self._locked():
            now = self._clock()
            try:
                if key in self._entries:
                    self._take(key)
                if key not in self._entries:
                    others = any(one.transaction == transaction for one in self._entries.values())
                    requested = Requested(key, sender, request, now, others, self.owner)
                    data = _encoded(requested)
                    self._admit(sender, len(data))
                    write_whole(self._path(key), data)
                    self._entries[key] = _Entry(sender, transaction, now, len(data), 0, self.owner)
            except OSError as error:
                raise Full from error
            self._entries[key].free_from = now + ACKNOWLEDGED_WITHIN_S
        return key

    def load(self, key: str) -> Requested | None:
        """The request; None when it is reported, or the file holds none.

        Raises
        ------
        OSError
            It cannot be read at this moment.
        """
        try:
            found = json.loads(self._path(key).read_bytes())
            references = tuple(Reference(str(a), str(b)) for a, b in found["references"])
            return Requested(
                key,
                Sender(str(found["address"]), str(found["ae_title"])),
                CommitmentRequest(str(found["transaction_uid"]), references),
                float(found["at"]),
                bool(found["is_duplicate"]),
                str(found.get("owner", "")),
            )
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def owed(self, key: str) -> Requested | None:
        """The request where this listener is to report it: nobody else does for a while.

        Raises `OSError`, as `load`.
        """
        requested = self.load(key)
        if requested is not None and requested.owner == self.owner:
            with self._guard:
                if key in self._entries:
                    self._entries[key].free_from = self._clock() + ACKNOWLEDGED_WITHIN_S
            return requested
        with self._alone():
            requested = self.load(key)
            if requested is None:
                self._remove(key)
            elif key in self._entries:
                self._entries[key].owner = requested.owner
        return None

    def release(self, key: str) -> None:
        """Its report was not acknowledged: the association has ended, or broken."""
        with self._guard:
            if (entry := self._entries.get(key)) is not None:
                entry.free_from = 0.0

    def settle(self, key: str) -> None:
        """Its report was acknowledged, or is given up.

        Raises
        ------
        OSError
            The file cannot be removed: it is reported once more.
        """
        with self._alone():
            self._remove(key)

    def to_report(self) -> dict[Sender, list[str]]:
        """Keys of the requests that nobody reports just now, by sender, the oldest first.

        Where there are several listeners, this one's and those of such as are gone.
        """
        with self._locked():
            self._take_from_the_gone()
            now = self._clock()
            free = [
                (entry.at, key, entry.sender)
                for key, entry in self._entries.items()
                if entry.owner == self.owner
                and not now < entry.free_from <= now + ACKNOWLEDGED_WITHIN_S
            ]
        found: dict[Sender, list[str]] = {}
        for _, key, sender in sorted(free):
            found.setdefault(sender, []).append(key)
        return found

    def asked_at(self, key: str) -> float:
        """When the request came, in seconds since the epoch; now when it is not known."""
        with self._guard:
            entry = self._entries.get(key)
            return self._clock() if entry is None else entry.at

    def _admit(self, sender: Sender, n_bytes: int) -> None:
        """Return when there is room for a request of so many bytes. Raises `Full`."""
        own = origin(sender.address)
        of_sender = [one for one in self._entries.values() if origin(one.sender.address) == own]
        for entries, share in ((list(self._entries.values()), 1), (of_sender, _SHARE)):
            held = sum(one.n_bytes for one in entries)
            if len(entries) >= COMMITMENTS // share or held + n_bytes > COMMITMENTS_BYTES // share:
                raise Full

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Within the block nobody else changes what there is; several listeners lock a file."""
        with self._guard, ExitStack() as held:
            if self.owner:
                held.enter_context(locked(self._folder / _LOCK, mode=0o640))
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Within the block the entries are those on the disk, and nobody else changes them."""
        with self._alone():
            names = [name for name in os.listdir(self._folder) if name.endswith(_ENDING)]
            here = {name.removesuffix(_ENDING) for name in names}
            self._entries = {key: one for key, one in self._entries.items() if key in here}
            for key in here - self._entries.keys():
                self._read(key)
            yield

    def _read(self, key: str) -> None:
        """Know what another process has left; what holds no request is removed."""
        try:
            requested = self.load(key)
            if requested is None:
                self._remove(key)
                return
            n_bytes = self._path(key).stat().st_size
        except OSError as error:  # no descriptor is free, or the disk fails: at another look
            if key not in self._failing:
                log.warning("commitment_failed", error=error)
            self._failing.add(key)
            return
        self._failing.discard(key)
        sender, uid = requested.sender, requested.request.transaction_uid
        transaction = _digest(sender.address, sender.ae_title, uid)
        self._entries[key] = _Entry(
            sender, transaction, requested.at, n_bytes, owner=requested.owner
        )

    def _remove(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)
        self._entries.pop(key, None)

    def _take_from_the_gone(self) -> None:
        """Have what others left as one's own; of several that try, the lock lets one do it."""
        others = {one.owner for one in self._entries.values()} - {self.owner}
        gone = {owner for owner in others if self._is_gone(owner)}
        for key in [key for key, one in self._entries.items() if one.owner in gone]:
            with suppress(OSError):  # a full disk: at another look
                self._take(key, gone)

    def _take(self, key: str, of: Container[str] | None = None) -> None:
        """Have a request as one's own, if it is one `of` these; all within the lock."""
        requested = self.load(key)
        if requested is None:  # reported just now
            del self._entries[key]
            return
        if requested.owner != self.owner and (of is None or requested.owner in of):
            requested = replace(requested, owner=self.owner)
            write_whole(self._path(key), _encoded(requested))
        self._entries[key].owner = requested.owner

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_ENDING}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _encoded(requested: Requested) -> bytes:
    document = {
        "address": requested.sender.address,
        "ae_title": requested.sender.ae_title,
        "transaction_uid": requested.request.transaction_uid,
        "at": requested.at,
        "is_duplicate": requested.is_duplicate,
        "owner": requested.owner,
        "references": [[r.sop_class_uid, r.sop_instance_uid] for r in requested.request.references],
    }
    return json.dumps(document).encode()

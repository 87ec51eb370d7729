"""What senders have asked to have committed and were not answered yet: it outlives the process.

    ROOT/<key>.json   one a transaction of a sender; removed when its report was acknowledged

A request is on the disk before it is accepted. However many are sent, those of one address take a
quarter of the places and bytes (`limits.COMMITMENTS`). They hold UIDs, addresses and AE titles.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.files import make_folder, write_whole
from cadnode.limits import COMMITMENTS, COMMITMENTS_BYTES
from cadnode.receive.admission import origin
from cadnode.receive.commitment_data import CommitmentRequest, Reference

ACKNOWLEDGED_WITHIN_S: Final = 30.0  # of a report on the association of its request
_SHARE: Final = 4


@dataclass(frozen=True, order=True, slots=True)
class Sender:
    """Who asks: the address it connected from, and the AE title that it calls itself."""

    address: str
    ae_title: str


@dataclass(frozen=True, slots=True)
class Requested:
    """A request that waits for its report; `at` is in seconds since the epoch.

    `is_duplicate`: the sender has another one under the same Transaction UID.
    """

    key: str
    sender: Sender
    request: CommitmentRequest
    at: float
    is_duplicate: bool = False


class Full(Exception):
    """There are too many requests, of this sender or of all, or the disk is full."""


@dataclass(slots=True)
class _Entry:
    """What is known of a request without reading it."""

    sender: Sender
    transaction: str  # hashed with its sender
    at: float
    n_bytes: int
    free_from: float = 0.0  # until then an association reports it


class CommitmentRequests:
    """The open requests of one node's senders. Threads of one process share it."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        make_folder(folder)
        self._entries = dict(self._found())

    def add(self, sender: Sender, request: CommitmentRequest) -> str:
        """The key of a request that is on the disk now; the same request again has the same key.

        Raises
        ------
        Full
            It is not accepted.
        """
        transaction = _digest(sender.address, sender.ae_title, request.transaction_uid)
        key = _digest(transaction, *(str(one) for one in sorted(request.references)))
        with self._lock:
            now = self._clock()
            if key not in self._entries:
                others = any(one.transaction == transaction for one in self._entries.values())
                requested = Requested(key, sender, request, now, is_duplicate=others)
                data = _encoded(requested)
                self._admit(sender, len(data))
                try:
                    write_whole(self._path(key), data)
                except OSError as error:
                    raise Full from error
                self._entries[key] = _Entry(sender, transaction, now, len(data))
            self._entries[key].free_from = now + ACKNOWLEDGED_WITHIN_S
        return key

    def load(self, key: str) -> Requested | None:
        """The request; None when it is reported, or cannot be read any more."""
        try:
            found = json.loads(self._path(key).read_bytes())
            references = tuple(Reference(str(a), str(b)) for a, b in found["references"])
            return Requested(
                key,
                Sender(str(found["address"]), str(found["ae_title"])),
                CommitmentRequest(str(found["transaction_uid"]), references),
                float(found["at"]),
                bool(found["is_duplicate"]),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def release(self, key: str) -> None:
        """The association of the request has ended, or broken, without an acknowledgement."""
        with self._lock:
            if (entry := self._entries.get(key)) is not None:
                entry.free_from = 0.0

    def settle(self, key: str) -> None:
        """Its report was acknowledged, or is given up."""
        with self._lock:
            self._entries.pop(key, None)
            self._path(key).unlink(missing_ok=True)

    def to_report(self) -> dict[Sender, list[str]]:
        """Keys of the requests that no association reports, by sender, the oldest first."""
        with self._lock:
            now = self._clock()
            free = [
                (entry.at, key, entry.sender)
                for key, entry in self._entries.items()
                if not now < entry.free_from <= now + ACKNOWLEDGED_WITHIN_S
            ]
        found: dict[Sender, list[str]] = {}
        for _, key, sender in sorted(free):
            found.setdefault(sender, []).append(key)
        return found

    def asked_at(self, key: str) -> float:
        """When the request came, in seconds since the epoch; now when it is not known."""
        with self._lock:
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

    def _found(self) -> Iterator[tuple[str, _Entry]]:
        """What an earlier process has left; a file that cannot be read is removed."""
        for path in self._folder.glob("*.json"):
            requested = self.load(path.stem)
            if requested is None:
                path.unlink(missing_ok=True)
                continue
            sender, uid = requested.sender, requested.request.transaction_uid
            transaction = _digest(sender.address, sender.ae_title, uid)
            yield path.stem, _Entry(sender, transaction, requested.at, path.stat().st_size)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _encoded(requested: Requested) -> bytes:
    document = {
        "address": requested.sender.address,
        "ae_title": requested.sender.ae_title,
        "transaction_uid": requested.request.transaction_uid,
        "at": requested.at,
        "is_duplicate": requested.is_duplicate,
        "references": [[r.sop_class_uid, r.sop_instance_uid] for r in requested.request.references],
    }
    return json.dumps(document).encode()

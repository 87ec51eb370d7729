"""Objects stored by STOW-RS: one multipart POST, one answer for each object (PS3.18 10.5).

Where the server has an object already (0111) its copy is compared: by WADO-RS metadata (10.4), and
where there is none at our address, by QIDO-RS (10.6), as it may be in another study.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydicom import Dataset

from cadnode.deliver import held
from cadnode.deliver.held import PeerCopy
from cadnode.deliver.outcome import Delivered, RefusedObject, all_taken, outcome_of
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.deliver.over_http import OverHttp, delivering
from cadnode.errors import TransientDeliveryError
from cadnode.http import HttpFailure, HttpPeerValues, PeerSession
from cadnode.log import get_logger
from cadnode.settings import Destination

log = get_logger("deliver")

_BLOCK = 256 << 10
_SOME_FAILED: Final = (202, 409)  # PS3.18 table 10.5.3-1: warnings or failures, or nothing stored
_LEVELS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_NO_ANSWER: Final = (401, 403, 500, 501)  # a client that may store need not be allowed to read
_DUPLICATE: Final = 0x0111
_INSTANCE: Final = "00081155"  # Referenced SOP Instance UID
_STORED = "00081199"  # Referenced SOP Sequence
_FAILED = "00081198"  # Failed SOP Sequence
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"


class Multipart:
    """A `multipart/related` body of files: read piecewise while it is sent, its length known."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.boundary = f"cadnode-{secrets.token_hex(16)}"
        self._files = files
        self._head = f"--{self.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._end = f"--{self.boundary}--\r\n".encode()
        self._n_bytes = len(self._end) + sum(
            len(self._head) + file.stat().st_size + 2 for file in files
        )

    @property
    def content_type(self) -> str:
        """Value of the Content-Type header."""
        return f'multipart/related; type="application/dicom"; boundary={self.boundary}'

    def __len__(self) -> int:
        return self._n_bytes

    def __iter__(self) -> Iterator[bytes]:
        for path in self._files:
            yield self._head
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    yield block
            yield b"\r\n"
        yield self._end


class StowKind(OverHttp):
    """Destinations of kind `stow`: DICOMweb servers that store."""

    takes = Takes.OBJECTS
    serial = False

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        """Whether the server offers QIDO-RS, too."""
        return check(destination.http_values())

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        """The exam's objects in one request."""
        return send(outgoing.files, destination.http_values())


def send(files: Sequence[Path], destination: HttpPeerValues) -> Delivered:
    """What the server took: every file, as it is stored, in one request.

    Raises
    ------
    TransientDeliveryError
        It cannot be reached, is busy or out of resources, refuses our credentials, or does not
        report what became of an object: all of it may be sent again.
    PermanentDeliveryError
        It refuses the request, or some of the files, or holds another object under a file's UID.
    """
    if not files:
        return Delivered(0, 0)
    body = Multipart(files)
    headers = {"Content-Type": body.content_type, "Accept": "application/dicom+json"}
    with delivering(destination) as peer:
        with peer.request(
            "POST", "/studies", data=body, headers=headers, also=_SOME_FAILED
        ) as response:
            status, answer = response.status_code, peer.body_of(response)
        delivered = outcome(status, answer, len(files), peer.name)
        copies = _copies(peer, files, _duplicates(answer))
    others, n_unverified = held.judged(copies, destination.name)
    n_sent = delivered.n_sent - len(others)
    log.info("files_sent", destination=destination.name, count=n_sent)
    n_warnings = delivered.n_warnings - len(others)
    return all_taken(n_sent, n_warnings, others, destination.name, n_unverified)


def outcome(status: int, body: bytes, n_files: int, name: str) -> Delivered:
    """What became of `n_files` objects, by an answer's status and DICOM JSON body.

    An object that the server has already (0111) counts as taken here; `send` compares its copy.

    Raises
    ------
    TransientDeliveryError
        The server is out of resources, or the answer does not account for every object.
    PermanentDeliveryError
        The server refuses objects.
    """
    answer = _parsed(body)
    refusals: list[RefusedObject] = []
    n_sent = n_warnings = 0
    for item in answer.get(_STORED, []):
        n_sent += 1
        n_warnings += _number(item, _WARNING_REASON) is not None
    for item in answer.get(_FAILED, []):
        reason = _number(item, _FAILURE_REASON)
        meant = outcome_of(0x0110 if reason is None else reason, name)
        if meant.refusal:
            refusals.append(RefusedObject(meant.refusal, meant.again))
        else:
            n_sent, n_warnings = n_sent + 1, n_warnings + 1
    if n_sent + len(refusals) < n_files:
        if status != 200 or refusals:
            raise TransientDeliveryError(f"{name} does not report what became of some objects")
        n_sent = n_files  # 200: all were stored, whether the answer lists them or not
    return all_taken(n_sent, n_warnings, refusals, name)


def _duplicates(body: bytes) -> list[str]:
    """SOP Instance UIDs of the objects that the server has already; "" of one not named."""
    failed = _parsed(body).get(_FAILED, [])
    duplicates = (item for item in failed if _number(item, _FAILURE_REASON) == _DUPLICATE)
    return [_text(item, _INSTANCE) for item in duplicates]


def _copies(peer: PeerSession, files: Sequence[Path], uids: Sequence[str]) -> list[PeerCopy]:
    """What the server's copies of these instances are."""
    ours = {str(ds.get("SOPInstanceUID") or ""): ds for ds in map(held.sent, files) if uids}
    return [_copy(peer, ours[uid]) if uid in ours else PeerCopy.UNKNOWN for uid in uids]


def _copy(peer: PeerSession, ours: Dataset) -> PeerCopy:
    study, series, instance = (str(ours.get(k) or "") for k in _LEVELS)
    path = f"/studies/{quote(study)}/series/{quote(series)}/instances/{quote(instance)}/metadata"
    here = _asked(peer, path)
    if here:
        return held.worst(held.compared(ours, ds) for ds in here)
    wanted = {"SOPInstanceUID": instance, "includefield": ",".join(held.COMPARED)}
    elsewhere = _asked(peer, "/instances", wanted)
    same = [ds for ds in elsewhere if ds.get("SOPInstanceUID") == instance]
    return held.worst(held.compared_in_part(ours, ds) for ds in same)


def _asked(peer: PeerSession, path: str, params: dict[str, str] | None = None) -> list[Dataset]:
    """The data sets of an answer in DICOM JSON; none where the server returns none.

    Raises
    ------
    HttpFailure
        The server went away or is busy: it may answer at the next try.
    """
    headers = {"Accept": "application/dicom+json"}
    try:
        with peer.request("GET", path, params=params, headers=headers, also=_NO_ANSWER) as response:
            documents = json.loads(peer.body_of(response)) if response.status_code == 200 else []
    except HttpFailure as failure:
        if failure.retryable:
            raise
        return []
    except (ValueError, RecursionError):
        return []
    found = documents if isinstance(documents, list) else [documents]
    return [ds for ds in map(held.from_json, found) if ds is not None]


def check(destination: HttpPeerValues) -> str:
    """What was found. Raises `DeliveryError` as `send` does.

    Asks for one study by QIDO-RS; who stores need not search, so that "not found" is an answer.
    """
    with (
        delivering(destination) as peer,
        peer.request(
            "GET", "/studies", params={"limit": "1"}, also=(404, 405, 501),
            headers={"Accept": "application/dicom+json"},
        ) as response,
    ):  # fmt: skip
        searches = response.status_code < 300
    return "answered QIDO-RS" if searches else "answered, but does not offer QIDO-RS"


def _parsed(body: bytes) -> dict[str, list[dict[str, Any]]]:
    """The sequences of the answer's data set, as items; empty when it is no DICOM JSON."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    ds = document[0] if isinstance(document, list) and document else document
    if not isinstance(ds, dict):
        return {}
    return {tag: list(_items(ds.get(tag))) for tag in (_STORED, _FAILED)}


def _items(element: object) -> Iterable[dict[str, Any]]:
    values = element.get("Value") if isinstance(element, dict) else None
    return (v for v in values if isinstance(v, dict)) if isinstance(values, list) else ()


def _text(item: dict[str, Any], tag: str) -> str:
    """First value of an element; "" when it is no text."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    value = values[0] if isinstance(values, list) and values else ""
    return value if isinstance(value, str) else ""


def _number(item: dict[str, Any], tag: str) -> int | None:
    """First value of a US element, which some servers write as text."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    try:
        return int(values[0]) if isinstance(values, list) and values else None
    except (TypeError, ValueError, OverflowError):  # the last of 1e400, which is infinite
        return None

"""Objects stored by STOW-RS: one multipart POST, one answer for each object (PS3.18 10.5)."""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cadnode.deliver.http import HttpPeerValues, delivering
from cadnode.deliver.outcome import Delivered, all_taken, outcome_of
from cadnode.errors import TransientDeliveryError
from cadnode.log import get_logger

log = get_logger("deliver")

_BLOCK = 256 << 10
_SOME_FAILED: Final = (202, 409)  # PS3.18 table 10.5.3-1: warnings or failures, or nothing stored
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


def send(files: Sequence[Path], destination: HttpPeerValues) -> Delivered:
    """What the server took: every file, as it is stored, in one request.

    Raises
    ------
    TransientDeliveryError
        It cannot be reached, is busy or out of resources, refuses our credentials, or does not
        say what became of an object: all of it may be sent again.
    PermanentDeliveryError
        It refuses the request, or some of the files.
    """
    if not files:
        return Delivered(0, 0)
    body = Multipart(files)
    headers = {"Content-Type": body.content_type, "Accept": "application/dicom+json"}
    with (
        delivering(destination) as peer,
        peer.request("POST", "/studies", data=body, headers=headers, also=_SOME_FAILED) as response,
    ):
        delivered = outcome(response.status_code, response.content, len(files), destination.name)
    log.info("files_sent", destination=destination.name, count=delivered.n_sent)
    return delivered


def outcome(status: int, body: bytes, n_files: int, name: str) -> Delivered:
    """What became of `n_files` objects, by an answer's status and DICOM JSON body.

    An object that the server has already (0111) counts as taken.

    Raises
    ------
    TransientDeliveryError
        The server is out of resources, or the answer does not account for every object.
    PermanentDeliveryError
        The server refuses objects.
    """
    answer = _parsed(body)
    refusals = []
    n_sent = n_warnings = 0
    for item in answer.get(_STORED, []):
        n_sent += 1
        n_warnings += _number(item, _WARNING_REASON) is not None
    for item in answer.get(_FAILED, []):
        reason = _number(item, _FAILURE_REASON)
        meant = outcome_of(0x0110 if reason is None else reason, name)
        if meant.refusal:
            refusals.append(meant.refusal)
        else:
            n_sent, n_warnings = n_sent + 1, n_warnings + 1
    if n_sent + len(refusals) < n_files:
        if status != 200 or refusals:
            raise TransientDeliveryError(f"{name} does not say what became of some objects")
        n_sent = n_files  # 200: all were stored, whether the answer lists them or not
    return all_taken(n_sent, n_warnings, refusals, name)


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
    except ValueError:
        return {}
    ds = document[0] if isinstance(document, list) and document else document
    if not isinstance(ds, dict):
        return {}
    return {tag: list(_items(ds.get(tag))) for tag in (_STORED, _FAILED)}


def _items(element: object) -> Iterable[dict[str, Any]]:
    values = element.get("Value") if isinstance(element, dict) else None
    return (v for v in values if isinstance(v, dict)) if isinstance(values, list) else ()


def _number(item: dict[str, Any], tag: str) -> int | None:
    """First value of a US element, which some servers write as text."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    try:
        return int(values[0]) if isinstance(values, list) and values else None
    except (TypeError, ValueError):
        return None

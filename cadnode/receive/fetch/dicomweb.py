"""Studies from a DICOMweb server, instance by instance in the transfer syntax as stored.

QIDO-RS tells which instances there are (DICOM PS3.18 10.6), WADO-RS gives each (PS3.18 10.4).
The parts of a `multipart/related` answer (RFC 2046 5.1.1) pass through piecewise: nothing is kept
but the last few bytes, which may be the beginning of a boundary.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import requests

from cadnode.http import HttpFailure, Peer, json_of
from cadnode.receive.fetch.compression import Line
from cadnode.receive.fetch.fetch import BLOCK_BYTES, Sink
from cadnode.receive.fetch.listing import Listed
from cadnode.receive.fetch.requests import Request
from cadnode.receive.identity import is_valid_uid

MOST_HEADER_BYTES: Final = 16 << 10  # of one part
_BOUNDARY: Final = re.compile(r'boundary="?([0-9A-Za-z\'()+_,./:=? -]{1,70}?)"?\s*(?:;|$)', re.I)

_SOP_CLASS_UID: Final = "00080016"
_SOP_INSTANCE_UID: Final = "00080018"
_MODALITY: Final = "00080060"
_MANUFACTURER: Final = "00080070"
_BODY_PART_EXAMINED: Final = "00180015"
_FIELDS: Final = (_SOP_CLASS_UID, _MODALITY, _MANUFACTURER, _BODY_PART_EXAMINED)
_SERIES_INSTANCE_UID: Final = "0020000E"
_GONE: Final = (404, 410)
_MOST_PAGES: Final = 1000
_AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class MultipartError(ValueError):
    """The bytes are no multipart body, or end before its last boundary."""


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type header states. Raises `MultipartError` without one."""
    is_multipart = content_type.lower().startswith("multipart/")
    match = _BOUNDARY.search(content_type) if is_multipart else None
    if match is None:
        raise MultipartError("no multipart/related with a boundary")
    return match[1].encode()


def stream_parts(
    blocks: Iterator[bytes], boundary: bytes, open_part: Callable[[int], Callable[[bytes], None]]
) -> int:
    """Number of parts, each given piecewise to the function that `open_part(number)` returns.

    Raises
    ------
    MultipartError
        The last boundary is missing, or a part's header has no end.
    """
    rest = _Rest(blocks)
    delimiter = b"\r\n--" + boundary
    rest.prepend(b"\r\n")  # the first boundary has no line before it
    rest.through(delimiter, lambda data: None)
    number = 0
    while not rest.is_end():
        rest.skip_header()
        rest.through(delimiter, open_part(number))
        number += 1
    return number


class _Rest:
    """The bytes that were not looked at yet."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._data = b""

    def prepend(self, data: bytes) -> None:
        self._data = data + self._data

    def through(self, delimiter: bytes, sink: Callable[[bytes], None]) -> None:
        """Give everything before `delimiter` to `sink`, and go on behind it."""
        while (found := self._data.find(delimiter)) < 0:
            # What might be the delimiter's beginning stays.
            n_safe = max(0, len(self._data) - len(delimiter) + 1)
            if n_safe:
                sink(self._data[:n_safe])
            self._data = self._data[n_safe:] + self._more()
        if found:
            sink(self._data[:found])
        self._data = self._data[found + len(delimiter) :]

    def is_end(self) -> bool:
        """Whether the boundary just passed was the last one; else its line is passed as well."""
        while len(self._data) < 2:
            self._data += self._more()
        if self._data.startswith(b"--"):
            return True
        self._pass_line()
        return False

    def skip_header(self) -> None:
        """Pass a part's header lines and the empty line behind them."""
        n_bytes = 0
        while n := self._pass_line():
            n_bytes += n
            if n_bytes > MOST_HEADER_BYTES:
                raise MultipartError("a part's header has no end")

    def _pass_line(self) -> int:
        """Length of the line that was passed, without its end."""
        while (end := self._data.find(b"\r\n")) < 0:
            if len(self._data) > MOST_HEADER_BYTES:
                raise MultipartError("a part's header has no end")
            self._data += self._more()
        self._data = self._data[end + 2 :]
        return end

    def _more(self) -> bytes:
        block = next(self._blocks, None)
        if block is None:
            raise MultipartError("the last boundary is missing")
        return block


class DicomwebSource:
    """A `pull.Source` that is a DICOMweb server; its url is that of the service root."""

    def __init__(self, peer: Peer, line: Line | None = None) -> None:
        self._peer = peer
        self._line = line or Line()

    def check(self) -> str:
        """That QIDO-RS is answered: one study is asked for. Raises `HttpFailure`."""
        headers = {"Accept": "application/dicom+json"}
        with self._peer.request("GET", "/studies", params={"limit": "1"}, headers=headers):
            return "answered QIDO-RS"

    def instances(self, request: Request) -> list[Listed]:
        """Every instance that the server tells of, page by page until a page brings nothing new.

        Raises
        ------
        HttpFailure
            The server does not answer, refuses us, or answers something else.
        """
        found: dict[str, Listed] = {}
        for _ in range(_MOST_PAGES):
            before = len(found)
            for item in self._page(request, offset=before):
                listed = self._listed(item, request.study_instance_uid)
                found.setdefault(listed.sop_instance_uid, listed)
            if len(found) == before:
                break
        return list(found.values())

    def stream(self, instance: Listed, sink: Sink) -> bool:
        """Give the instance's file, as stored, to `sink`; False when it is gone.

        Raises
        ------
        HttpFailure
            The server does not answer, or its answer ends early or is of another form.
        """
        with (
            self._line.measured(sink) as measured,
            self._peer.request(
                "GET", instance.where, headers={"Accept": _AS_STORED, **measured.headers},
                also=_GONE,
            ) as response,
        ):  # fmt: skip
            if response.status_code in _GONE:
                return False
            self._pass_on(response, measured.sink)
        return True

    def _pass_on(self, response: requests.Response, sink: Sink) -> None:
        """Give the one part of an answer to `sink`."""
        content_type = response.headers.get("Content-Type", "")
        blocks = response.iter_content(BLOCK_BYTES)
        if content_type.lower().startswith("application/dicom"):
            for block in blocks:  # a single part, which PS3.18 8.7.3.1 allows for one instance
                sink(block)
            return
        try:
            boundary = boundary_of(content_type)
        except MultipartError:
            raise self._not_understood() from None
        try:
            n_parts = stream_parts(blocks, boundary, lambda n: sink if n == 0 else _nowhere)
        except MultipartError:
            text = f"{self._peer.name} went away in the middle of an instance"
            raise HttpFailure(text, retryable=True) from None
        if n_parts != 1:
            raise self._not_understood()

    def _page(self, request: Request, offset: int) -> list[Any]:
        # One parameter a field: Orthanc passes over a list with commas.
        params = [("includefield", tag) for tag in _FIELDS]
        if offset:
            params.append(("offset", str(offset)))
        path = f"/studies/{request.study_instance_uid}/instances"
        headers = {"Accept": "application/dicom+json"}
        with self._peer.request(
            "GET", path, params=params, headers=headers, also=(404,)
        ) as response:
            # PS3.18 10.6.3.2: no match is 200 with an empty list, or 204; some answer 404.
            if response.status_code in (204, 404):
                return []
            answer = json_of(response, self._peer.name)
        if not isinstance(answer, list):
            raise self._not_understood()
        return answer

    def _listed(self, item: Any, study_instance_uid: str) -> Listed:
        uid, series = _text(item, _SOP_INSTANCE_UID), _text(item, _SERIES_INSTANCE_UID)
        if not is_valid_uid(uid) or not is_valid_uid(series):
            raise self._not_understood()
        return Listed(
            sop_instance_uid=uid,
            where=f"/studies/{study_instance_uid}/series/{series}/instances/{uid}",
            sop_class_uid=_text(item, _SOP_CLASS_UID),
            modality=_text(item, _MODALITY),
            manufacturer=_text(item, _MANUFACTURER),
            body_part=_text(item, _BODY_PART_EXAMINED),
        )

    def _not_understood(self) -> HttpFailure:
        text = f"{self._peer.name} does not answer as DICOMweb does: is the url right?"
        return HttpFailure(text, retryable=False)


def _text(item: Any, tag: str) -> str:
    """First value of an element of a DICOM JSON data set as text; "" when there is none."""
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]).strip("\0 ") if isinstance(values, list) and values else ""


def _nowhere(data: bytes) -> None:
    """A second part: one was asked for."""

"""The parts of a `multipart/related` body (RFC 2046 5.1.1), piecewise as they arrive.

DICOMweb gives instances in this form (DICOM PS3.18 8.7.3.1). Nothing is kept but the last few
bytes, which may be the beginning of a boundary.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from cadnode.limits import PARTS

MOST_HEADER_BYTES: Final = 16 << 10  # of one part
_BOUNDARY: Final = re.compile(r'boundary="?([0-9A-Za-z\'()+_,./:=? -]{1,70}?)"?\s*(?:;|$)', re.I)


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
    blocks: Iterator[bytes], boundary: bytes, open_part: Callable[[int], Callable[[bytes], object]]
) -> int:
    """Number of parts, each given piecewise to the function that `open_part(number)` returns.

    Raises
    ------
    MultipartError
        The last boundary is missing, a part's header or the preamble has no end, or there are
        more than `PARTS` parts.
    """
    rest = _Rest(blocks)
    delimiter = b"\r\n--" + boundary
    rest.prepend(b"\r\n")  # the first boundary has no line before it
    rest.through(delimiter, _preamble())
    number = 0
    while not rest.is_end():
        if number == PARTS:
            raise MultipartError("there is no end of parts")
        rest.skip_header()
        rest.through(delimiter, open_part(number))
        number += 1
    return number


def first_part(blocks: Iterator[bytes], boundary: bytes, sink: Callable[[bytes], object]) -> int:
    """Number of parts, of which the first is given piecewise to `sink`.

    Raises
    ------
    MultipartError
        As of `stream_parts`.
    """
    return stream_parts(blocks, boundary, lambda number: _nowhere if number else sink)


def _preamble() -> Callable[[bytes], object]:
    """Passes over what stands before the first boundary (RFC 2046 5.1.1), within a limit."""
    n_bytes = 0

    def sink(data: bytes) -> None:
        nonlocal n_bytes
        n_bytes += len(data)
        if n_bytes > MOST_HEADER_BYTES:
            raise MultipartError("the first boundary is missing")

    return sink


class _Rest:
    """The bytes not yet parsed."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._data = b""

    def prepend(self, data: bytes) -> None:
        self._data = data + self._data

    def through(self, delimiter: bytes, sink: Callable[[bytes], object]) -> None:
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


def _nowhere(data: bytes) -> None:
    """Passes over a part that is not wanted."""

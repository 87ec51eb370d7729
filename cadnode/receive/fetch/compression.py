"""Whether a source's answers are asked for compressed: when the line has proved slow, and it helps.

HTTP's own compression (`Accept-Encoding: gzip`, RFC 9110 8.4.1) changes no bit of an instance.
Having the source transcode images would make fewer bytes, but other objects than those that it
holds, and Debian's Orthanc dies of it when its GDCM plugin is loaded (benchmarks/LOG.md).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cadnode.http import HttpFailure
from cadnode.limits import INSTANCE_BYTES

SLOW_BYTES_PER_S: Final = (
    20e6  # 160 Mbit/s; below about 300 gzip pays by itself, benchmarks/fetch.md
)
FEWEST_BYTES: Final = 1 << 20  # shorter instances do not measure a line
_PLAIN, _GZIP = "identity", "gzip"


class Line:
    """What was measured of one source's line. Rates are bytes of instances, not of the line."""

    def __init__(self, slow_bytes_per_s: float = SLOW_BYTES_PER_S) -> None:
        self._slow = slow_bytes_per_s
        self._rates: dict[str, float] = {}

    def encoding(self) -> str:
        """What to send as Accept-Encoding: "identity", or "gzip" where that is to be preferred.

        The first instances come plain. Behind a slow line the next one is asked for compressed,
        and from then on whichever was faster.
        """
        plain = self._rates.get(_PLAIN)
        if plain is None or plain >= self._slow:
            return _PLAIN
        return _GZIP if self._rates.get(_GZIP, plain) >= plain else _PLAIN

    @contextmanager
    def measured(self, sink: Callable[[bytes], None]) -> Iterator["ByteCount"]:
        """One instance on its way: the headers to ask with, and where its bytes go."""
        one = ByteCount(self.encoding(), sink)
        began = time.monotonic()
        yield one
        self.note(one.encoding, one.n_bytes, time.monotonic() - began)

    def note(self, encoding: str, n_bytes: int, seconds: float) -> None:
        """Learn from an instance of `n_bytes` that was asked for with `encoding`."""
        if n_bytes >= FEWEST_BYTES and seconds > 0:
            self._rates[encoding] = n_bytes / seconds


class ByteCount:
    """Counts an instance's bytes as they pass."""

    def __init__(self, encoding: str, sink: Callable[[bytes], None]) -> None:
        self.encoding = encoding
        self.n_bytes = 0
        self._sink = sink

    @property
    def headers(self) -> dict[str, str]:
        """Headers to ask for the instance with."""
        return {"Accept-Encoding": self.encoding}

    def sink(self, data: bytes) -> None:
        """Pass `data` on; raises `HttpFailure` past what an instance can have."""
        self.n_bytes += len(data)
        if self.n_bytes > INSTANCE_BYTES:
            raise HttpFailure("an instance has no end", retryable=False)
        self._sink(data)

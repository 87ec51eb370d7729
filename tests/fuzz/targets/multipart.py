"""Multipart bodies, as a DICOMweb server answers with (`cadnode.multipart`)."""

from collections.abc import Iterator
from random import Random

from cadnode import multipart
from tests.fuzz.mutate import raw
from tests.fuzz.oracles import Violation
from tests.fuzz.target import Target

_BODY = b"--X\r\nContent-Type: application/dicom\r\n\r\nZZQ first\r\n--X\r\n\r\nsecond\r\n--X--\r\n"


class Multipart(Target):
    """A Content-Type, an empty line, and a body that arrives in blocks of any length."""

    name = "multipart"
    allowed = (multipart.MultipartError,)
    tokens = (b"\r\n--X", b"--", b"\r\n\r\n", b"boundary=", b'"', b";", b"\r", b"X" * 71)

    def seeds(self) -> list[bytes]:
        related = b'multipart/related; type="application/dicom"; boundary='
        return [related + b"X\n\n" + _BODY, related + b'"X";x=1\n\npreamble\r\n' + _BODY]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        if rng.random() < 0.02:
            return data.replace(b"\r\n\r\n", b"\r\n" + b"h: v\r\n" * 4000 + b"\r\n", 1)
        return raw.mutated(data, rng, other, self.tokens)

    def run(self, data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        boundary = multipart.boundary_of(head.decode("latin-1"))
        taken = [0]

        def open_part(_number: int) -> object:
            def sink(block: bytes) -> None:
                taken[0] += len(block)

            return sink

        multipart.stream_parts(_blocks(body), boundary, open_part)  # type: ignore[arg-type]
        if taken[0] > len(body):
            raise Violation(f"more came out than went in: {taken[0]} of {len(body)} bytes")


def _blocks(body: bytes) -> Iterator[bytes]:
    at, size = 0, 1 + len(body) % 13
    while at < len(body):
        yield body[at : at + size]
        at, size = at + size, size * 2

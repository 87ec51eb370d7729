"""The multipart parser: however the bytes come, and whatever is in them."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadnode.multipart import MultipartError, boundary_of, first_part, stream_parts

BOUNDARY = b"b-1"


def body_of(parts: list[bytes], preamble: bytes = b"") -> bytes:
    """A body as RFC 2046 5.1.1 wants it."""
    head = b"Content-Type: application/dicom\r\n\r\n"
    lines = [b"--" + BOUNDARY + b"\r\n" + head + part + b"\r\n" for part in parts]
    return preamble + b"".join(lines) + b"--" + BOUNDARY + b"--\r\n"


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    at = [0, *sorted(min(p, len(data)) for p in places), len(data)]
    return (data[a:b] for a, b in pairwise(at))


def parsed(blocks: Iterator[bytes]) -> list[bytes]:
    parts: list[bytearray] = []

    def open_part(number: int):
        parts.append(bytearray())
        assert number == len(parts) - 1
        return parts[number].extend

    assert stream_parts(blocks, BOUNDARY, open_part) == len(parts)
    return [bytes(part) for part in parts]


# Parts that try to look like boundaries.
NASTY = st.lists(
    st.sampled_from([b"\r\n", b"--", b"b-1", b"\r\n--b-", b"\r", b"\n-", b"x", b"\0" * 40])
).map(b"".join)
PART = (NASTY | st.binary(max_size=200)).filter(lambda p: b"\r\n--b-1" not in b"\r\n" + p + b"\r\n")


@given(
    parts=st.lists(PART, min_size=1, max_size=3),
    places=st.lists(st.integers(0, 600), max_size=12),
    preamble=st.sampled_from([b"", b"\r\n", b"to be passed over\r\n"]),
)
def test_parts_are_the_same_however_the_bytes_come(
    parts: list[bytes], places: list[int], preamble: bytes
) -> None:
    assert parsed(cut(body_of(parts, preamble), places)) == parts


def test_of_several_parts_the_first_is_passed_on_and_all_are_counted() -> None:
    found = bytearray()
    assert first_part(iter([body_of([b"one", b"two"])]), BOUNDARY, found.extend) == 2
    assert found == b"one"


@given(length=st.integers(0, 80))
def test_a_body_that_ends_early_is_never_taken_for_whole(length: int) -> None:
    whole = body_of([b"data set"])
    cut_off = whole[: min(length, whole.index(b"--b-1--") + len(b"--b-1-"))]
    with pytest.raises(MultipartError):
        parsed(iter([cut_off]))


def test_headers_without_an_end_are_refused() -> None:
    endless = (b"X-Header: 1\r\n" * 100 for _ in range(1000))
    start = iter([b"--b-1\r\n"])
    with pytest.raises(MultipartError, match="no end"):
        parsed(block for blocks in (start, endless) for block in blocks)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc-1', b"abc-1"),
        ('Multipart/Related; boundary="a b=c"; type="application/dicom"', b"a b=c"),
        ("multipart/related;boundary=9d7c89d0-8ab1 ; start=x", b"9d7c89d0-8ab1"),
    ],
)
def test_the_boundary_is_read_from_the_header(header: str, boundary: bytes) -> None:
    assert boundary_of(header) == boundary


@pytest.mark.parametrize(
    "header", ["", "application/dicom", "multipart/related", "text/html; boundary=x"]
)
def test_an_answer_that_is_not_multipart_is_refused(header: str) -> None:
    with pytest.raises(MultipartError):
        boundary_of(header)

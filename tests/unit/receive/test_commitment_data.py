"""Data sets of storage commitment: read from bytes as they come, written as PS3.4 annex J says."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cadnode.limits import COMMITMENT_BYTES
from cadnode.receive.commitment_data import (
    CommitmentReport,
    CommitmentRequest,
    FailureReason,
    MalformedCommitment,
    Reference,
    TooManyReferences,
    encoded,
    parsed,
    report_in,
    report_of,
    request_in,
    request_of,
)

ONE, OTHER = Reference("1.2.840.1", "1.2.3"), Reference("1.2.840.1", "1.2.30")
IMPLICIT, EXPLICIT = str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian)


def element(tag: int, value: bytes) -> bytes:
    """Implicit VR little endian."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def item(*elements: bytes) -> bytes:
    return element(0xFFFEE000, b"".join(elements))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_request_is_read_as_it_was_written(syntax: str) -> None:
    wanted = CommitmentRequest("2.25.7", (ONE, OTHER))

    assert request_in(parsed(encoded(request_of(wanted), syntax), syntax)) == wanted


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_report_is_read_as_it_was_written(syntax: str) -> None:
    said = CommitmentReport("2.25.7", (ONE,), ((OTHER, 0x0112),))

    assert report_in(parsed(encoded(report_of(said), syntax), syntax)) == said
    assert said.event_type == 2
    assert CommitmentReport("2.25.7", (ONE,)).event_type == 1


def test_an_object_in_both_lists_has_failed() -> None:
    ds = report_of(CommitmentReport("1.2", (ONE, OTHER), ((ONE, 0x0213),)))

    assert report_in(ds) == CommitmentReport("1.2", (OTHER,), ((ONE, 0x0213),))


def test_a_failure_without_a_reason_is_a_failure() -> None:
    failed = item(element(0x00081150, b"1.2.840.1\0"), element(0x00081155, b"1.2.3\0"))
    data = element(0x00081195, b"1.2.4\0") + element(0x00081198, failed)

    assert report_in(parsed(data, IMPLICIT)).failed == ((ONE, FailureReason.PROCESSING_FAILURE),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 100,
        element(0x00081195, b"1.2.4\0"),
        element(0x00081195, b"1.2.4\0") + element(0x00081199, b""),
        element(0x00081195, b"1.2.4\0") + element(0x00081199, item(element(0x00081150, b"1.2"))),
        element(0x00081195, b"DOE^JANE")
        + element(0x00081199, item(element(0x00081150, b"1.2\0"), element(0x00081155, b"1.2.3\0"))),
        element(0x00081195, b"1.2.4\0")
        + element(
            0x00081199, item(element(0x00081150, b"1.2\0"), element(0x00081155, b"not a uid"))
        ),
        element(0x00081195, b"1.2.4\0") + element(0x00081199, b"\xfe\xff\x00\xe0\xff\xff\xff\x7f"),
        b"\0" * (COMMITMENT_BYTES + 1),
    ],
    ids=range(10),
)
def test_what_is_no_request_is_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(MalformedCommitment):
        request_in(parsed(data, IMPLICIT))


TAGS = st.sampled_from(
    [0x00081195, 0x00081199, 0x00081198, 0x00081150, 0x00081155, 0x00081197, 0xFFFEE000, 0xFFFEE0DD]
)


@given(
    pieces=st.lists(st.tuples(TAGS, st.integers(0, 2**32 - 1), st.binary(max_size=40))),
    syntax=st.sampled_from([IMPLICIT, EXPLICIT]),
)
def test_whatever_comes_nothing_else_is_raised(
    pieces: list[tuple[int, int, bytes]], syntax: str
) -> None:
    data = b"".join(
        struct.pack("<HHI", tag >> 16, tag & 0xFFFF, n % 64 if n % 2 else n) + value
        for tag, n, value in pieces
    )
    for read in (request_in, report_in):
        with suppress(MalformedCommitment, TooManyReferences):
            read(parsed(data, syntax))


def test_sequences_within_sequences_end_as_malformed() -> None:
    nested = b"\x08\x00\x99\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20_000
    with pytest.raises(MalformedCommitment):
        request_in(parsed(nested, IMPLICIT))

"""The configured kinds of source, opened; their failures as codes of a fetch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cadnode.http import HttpFailure, HttpPeerValues, PeerSession, connected
from cadnode.receive.fetch.dicomweb import DicomwebSource
from cadnode.receive.fetch.fetch import StudySource, failure_of
from cadnode.receive.fetch.orthanc import OrthancSource

_KINDS: Final[dict[str, Callable[[PeerSession], StudySource]]] = {
    "orthanc": OrthancSource,
    "dicomweb": DicomwebSource,
}


@contextmanager
def opened(kind: str, values: HttpPeerValues) -> Iterator[StudySource]:
    """A source to fetch from, for the length of the block.

    Raises
    ------
    FetchFailure
        It cannot be reached, refuses us, or answers something that is of no use.
    """
    try:
        with connected(values) as peer:
            yield _KINDS[kind](peer)
    except HttpFailure as failure:
        raise failure_of(failure) from None

"""A configured source, opened, whatever it is asked by."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from cadnode.deliver.dicom import DicomPeer, associated
from cadnode.errors import DeliveryError, SettingsError
from cadnode.receive.fetch import sources
from cadnode.receive.fetch.dimse import DimseSource
from cadnode.receive.fetch.fetch import FetchFailure, StudySource
from cadnode.receive.fetch.requests import FetchCode
from cadnode.settings import Source

_MOVE_SILENCE_S: Final = 120.0  # an archive need not answer before all of a C-MOVE is sent


@contextmanager
def opened(source: Source, ae_title: str) -> Iterator[StudySource | DimseSource]:
    """A source to ask and to fetch from, for the length of the block; `ae_title` is this node's.

    Raises
    ------
    FetchFailure
        It cannot be reached, refuses us, or answers something that is of no use.
    """
    if source.kind != "dicom":
        with sources.opened(source.kind, source.http_values()) as one:
            yield one
        return
    peer = peer_of(source, ae_title)
    patient = replace(peer, timeout_s=max(peer.timeout_s, _MOVE_SILENCE_S))
    moving = partial(associated, patient)
    try:
        yield DimseSource(source.name, partial(associated, peer), ae_title, moving)
    except DeliveryError as error:
        code = FetchCode.SOURCE_UNREACHABLE if error.retryable else FetchCode.SOURCE_REFUSED
        raise FetchFailure(code, str(error), retryable=True) from None


def peer_of(source: Source, ae_title: str) -> DicomPeer:
    """The DICOM peer that a source names. Raises `SettingsError` when it is none."""
    if source.port is None or source.ae_title is None:
        raise SettingsError(f"source {source.name!r} is not a DICOM peer")
    return DicomPeer(
        name=source.name,
        host=source.host,
        port=source.port,
        ae_title=source.ae_title,
        calling_ae_title=ae_title,
        timeout_s=source.timeout_s,
        tls=source.tls_files,
        tls_name=source.tls_name,
        username=source.username,
        password_file=source.password_file,
    )

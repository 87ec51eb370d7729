"""Configured peers as the plain values that `receive` and `deliver` take."""

from cadnode.deliver import dicom
from cadnode.errors import SettingsError
from cadnode.http import HttpPeerValues
from cadnode.settings import Destination, Source


def http_values(peer: Destination | Source) -> HttpPeerValues:
    """How a peer is reached by HTTP. Raises `SettingsError` when it is none."""
    if peer.url is None:
        raise SettingsError(f"{peer.name!r} is not reached by HTTP: it has no url")
    return HttpPeerValues(
        name=peer.name,
        url=peer.url,
        username=peer.username,
        password_file=peer.password_file,
        token_file=peer.token_file,
        ca_file=peer.ca_file,
        timeout_s=peer.timeout_s,
    )


def dicom_values(destination: Destination, calling_ae_title: str) -> dicom.DicomPeer:
    """The C-STORE peer that a destination names. Raises `SettingsError` when it is none."""
    if destination.port is None or destination.ae_title is None:
        raise SettingsError(f"destination {destination.name!r} is not a DICOM peer")
    return dicom.DicomPeer(
        name=destination.name,
        host=destination.host,
        port=destination.port,
        ae_title=destination.ae_title,
        calling_ae_title=calling_ae_title,
        timeout_s=destination.timeout_s,
        query_host=destination.query_host,
        query_port=destination.query_port or 0,
        query_ae_title=destination.query_ae_title or "",
    )

"""Delivery by HTTP: a peer's failures as errors of delivery."""

from collections.abc import Iterator
from contextlib import contextmanager

from cadnode.errors import PermanentDeliveryError, TransientDeliveryError
from cadnode.http import HttpFailure, HttpPeerValues, Peer, connected, json_of

__all__ = ["HttpFailure", "HttpPeerValues", "Peer", "delivering", "json_of"]


@contextmanager
def delivering(values: HttpPeerValues) -> Iterator[Peer]:
    """A session with a destination; `Peer.request` and `Peer.get_json` talk to it.

    Raises
    ------
    TransientDeliveryError
        It cannot be reached, is busy, out of storage, refuses our credentials, or went away:
        send all of it again.
    PermanentDeliveryError
        It refuses the request.
    """
    try:
        with connected(values) as peer:
            yield peer
    except HttpFailure as failure:
        kind = TransientDeliveryError if failure.retryable else PermanentDeliveryError
        raise kind(str(failure)) from None

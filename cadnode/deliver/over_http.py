"""What the kinds of destination that are reached by HTTP have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

from cadnode.errors import PermanentDeliveryError, TransientDeliveryError
from cadnode.http import ADVICE, HttpFailure, HttpPeerValues, Peer, connected
from cadnode.settings import Destination


class OverHttp:
    """The part of a kind of destination that finds its server."""

    needs = ("url",)
    advice = ADVICE

    def where(self, destination: Destination) -> str:
        """Its URL."""
        return str(destination.url)


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

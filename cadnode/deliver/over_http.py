"""What the kinds of destination that are reached by HTTP have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

from cadnode.deliver.answers import of_http
from cadnode.errors import Again, not_taken
from cadnode.http import ADVICE, HttpFailure, HttpPeerValues, PeerSession, connected
from cadnode.settings import Destination


class OverHttp:
    """The part of a kind of destination that finds its server."""

    needs = ("url",)
    advice = ADVICE

    def where(self, destination: Destination) -> str:
        """Its URL."""
        return str(destination.url)


@contextmanager
def delivering(values: HttpPeerValues) -> Iterator[PeerSession]:
    """A session with a destination; `PeerSession.request` and `PeerSession.get_json` talk to it.

    Raises
    ------
    TransientDeliveryError
        It cannot be reached, is busy, out of storage, refuses our credentials, or went away:
        send all of it again.
    PermanentDeliveryError
        It refuses the request (`PassingRefusal`: for a cause that can pass).
    """
    try:
        with connected(values) as peer:
            yield peer
    except HttpFailure as failure:
        again = Again.SOON if failure.retryable else of_http(failure.status)
        raise not_taken(again, str(failure)) from None

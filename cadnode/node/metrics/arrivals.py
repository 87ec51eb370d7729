"""What is counted of peers that send: images by configured AE title, studies, refusals."""

from collections.abc import Mapping
from typing import Final

from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts
from cadnode.receive.witness import Witness
from cadnode.settings.sections import ListenerSection

RECEIVE: Final = "receive"
"""The value of the label `stage` for refused peers."""


class CountedArrivals:
    """A `Witness` that counts, and has another one hear of it. Threads may share it."""

    def __init__(self, counts: Counts, witness: Witness, listener: ListenerSection) -> None:
        self._counts = counts
        self._witness = witness
        self._titles = titles_of(listener)

    def received(self, ae_title: str, address: str, study: str) -> None:
        """Count a study that an association brings."""
        self._counts.add(table.STUDIES, "received")
        self._witness.received(ae_title, address, study)

    def brought(self, ae_title: str, studies: Mapping[str, int]) -> None:
        """Count the images of an association that has ended."""
        title = ae_title.strip()
        peer = title if title in self._titles else table.OTHER
        self._counts.add(table.IMAGES_RECEIVED, peer, by=sum(studies.values()))
        self._witness.brought(ae_title, studies)

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        """Count a refusal by its code."""
        self._counts.add(table.FAILURES, RECEIVE, reason)
        self._witness.refused(reason, address, ae_title)


def titles_of(listener: ListenerSection) -> frozenset[str]:
    """The AE titles of senders that the settings name."""
    named = {title for peer in listener.peers for title in peer.titles}
    return frozenset({*named, *listener.calling_ae_titles} - {""})

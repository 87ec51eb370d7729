"""One order for several studies, as after an outage: what is owed is looked up once for all."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.phrases import N_
from cadnode.web.deliveries import Act, Ordered, OrderRefused
from cadnode.web.node import Unavailable

Owed = Sequence[Undelivered]


class Desk(Protocol):
    """Takes an order for one study of which it is known what is owed."""

    def retry_owed(
        self, name: str, destination: str, owed: Owed, *, only_failed: bool = False
    ) -> Ordered:
        """See `orders.DeliveryDesk`."""

    def drop_owed(self, name: str, destination: str, by: str, why: str, owed: Owed) -> Ordered:
        """See `orders.DeliveryDesk`."""

    def redeliver(self, name: str, destination: str) -> Ordered:
        """See `orders.DeliveryDesk`."""

    def reread(self, name: str, by: str) -> Ordered:
        """See `orders.DeliveryDesk`."""


class SeveralOrders:
    """Orders for several studies of one node. Threads may share it."""

    def __init__(self, desk: Desk, index: UndeliveredIndex) -> None:
        self._desk = desk
        self._index = index

    def retry(self, keys: Sequence[str], destination: str) -> list[Act]:
        """Try again what did not succeed of each of these studies; none is read for the first time.

        A list may hold studies that are done, or whose images still arrive.
        """

        def again(key: str, owed: Owed) -> OrderRefused | None:
            done = self._desk.retry_owed(key, destination, owed, only_failed=True)
            if done.deliveries or done.is_read_again or done.is_fetched_again:
                return None
            return OrderRefused(
                N_("there is nothing to try again"), N_("its page says how it stands")
            )

        return self._each_owed(keys, again)

    def drop(self, keys: Sequence[str], destination: str, by: str, why: str) -> list[Act]:
        """Give up what is undelivered of each of these studies."""

        def dropped(key: str, owed: Owed) -> None:
            self._desk.drop_owed(key, destination, by, why, owed)

        return self._each_owed(keys, dropped)

    def redeliver(self, keys: Sequence[str], destination: str) -> list[Act]:
        """Send the newest result of each of these studies again."""

        def sent(key: str) -> None:
            self._desk.redeliver(key, destination)

        return self._each(keys, sent)

    def reread(self, keys: Sequence[str], by: str) -> list[Act]:
        """Read each of these studies once more."""

        def read(key: str) -> None:
            self._desk.reread(key, by)

        return self._each(keys, read)

    def _each_owed(
        self, keys: Sequence[str], order: Callable[[str, Owed], OrderRefused | None]
    ) -> list[Act]:
        """What became of each, by an order that is given what is owed of the study."""
        owed: defaultdict[str, list[Undelivered]] = defaultdict(list)
        for entry in self._index.all():
            owed[entry.study].append(entry)
        return self._each(keys, lambda key: order(key, owed[key]))

    def _each(self, keys: Sequence[str], order: Callable[[str], OrderRefused | None]) -> list[Act]:
        """What became of each; the job database may go away in between, but not at the first."""
        acts: list[Act] = []
        for key in keys:
            try:
                acts.append(Act(key, order(key)))
            except OrderRefused as refused:
                acts.append(Act(key, refused))
            except Unavailable:
                if not acts:
                    raise
                break
        return acts

"""One act for many studies, as after an outage: for those that are named, or all that are like it.

It is bounded: a few seconds of work at a time, by one thread for all callers. What is left then has
a cursor, with which the rest is asked for.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from cadnode.audit.event import EventOutcome
from cadnode.web.deliveries import Act, OrderRefused, Orders
from cadnode.web.node import Node
from cadnode.web.queue import StudyFilter
from cadnode.web.study import KEY

MOST_NAMED: Final = 500
WITHIN_S: Final = 20.0
_PORTION: Final = 100


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """Which studies an act is for: `keys`, or all that `wanted` lets pass; and which act.

    `why` makes it a drop by `by`, else it is a retry. `destination` "": of every destination.
    """

    keys: tuple[str, ...] = ()
    wanted: StudyFilter | None = None
    destination: str = ""
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class BulkDone:
    """What became of it: of `n_found` studies these were done, those after `after` were not."""

    acts: tuple[Act, ...]
    n_found: int
    after: str = ""

    @property
    def n_done(self) -> int:
        """For how many the order was taken."""
        return sum(act.refused is None for act in self.acts)

    @property
    def outcomes(self) -> list[tuple[str, EventOutcome]]:
        """Each study's key, and how it ended, for the trail."""
        return [
            (act.study, EventOutcome.FAILURE if act.refused else EventOutcome.SUCCESS)
            for act in self.acts
        ]


def named(keys: Iterable[str]) -> tuple[str, ...]:
    """The studies that are named, each once, and no more than may be named."""
    return tuple(dict.fromkeys(key for key in keys if KEY.fullmatch(key)))[:MOST_NAMED]


def count(node: Node, order: BulkOrder) -> int:
    """For how many studies an order is. Raises `Unavailable`."""
    if order.wanted is None:
        return len(order.keys)
    return node.listed(replace(order.wanted, limit=1, counted=True)).n_found or 0


def carry_out(
    node: Node, orders: Orders, order: BulkOrder, clock: Callable[[], float] = time.monotonic
) -> BulkDone:
    """Carry out an order for as many of its studies as there is time for.

    Raises
    ------
    Unavailable
        The list or the job database did not answer, before anything was done.
    """
    ends_at, n_found = clock() + WITHIN_S, count(node, order)
    acts: list[Act] = []
    after = ""
    for keys, next_part in _portions(node, order):
        after = next_part
        done = _do(orders, order, keys)
        acts += done
        if len(done) < len(keys):  # the job database went away
            away = OrderRefused("the job database does not answer", "try again later")
            acts += [Act(key, away) for key in keys[len(done) :]]
            break
        if order.wanted is not None and clock() > ends_at:
            break
    return BulkDone(tuple(acts), n_found, after)


def _portions(node: Node, order: BulkOrder) -> Iterator[tuple[list[str], str]]:
    """Keys of a part of the studies, and the cursor of the next part, "": there is none.

    A study that changes while its part is worked on moves to the front of the list, where nobody
    looks any more.
    """
    if order.wanted is None:
        for at in range(0, len(order.keys), _PORTION):
            yield list(order.keys[at : at + _PORTION]), ""
        return
    wanted = replace(order.wanted, limit=_PORTION)
    while True:
        page = node.listed(wanted)
        yield [row.study.key for row in page.rows], page.after
        if not page.after:
            return
        wanted = replace(wanted, after=page.after)


def _do(orders: Orders, order: BulkOrder, keys: list[str]) -> list[Act]:
    if order.why:
        return orders.drop_several(keys, order.destination, order.by, order.why)
    return orders.retry_several(keys, order.destination)

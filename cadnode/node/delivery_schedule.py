"""When a delivery is tried again: the class of the answer, and how long it was tried already."""

from dataclasses import dataclass, replace

from cadnode.errors import Again
from cadnode.node import retry
from cadnode.node.jobs import DeliveryStatus


@dataclass(frozen=True, slots=True)
class Waited:
    """The tries of one delivery so far: the class of the last answer, and the pauses within it.

    `again` is "" before the first try. `waited_s` is the sum of the pauses since the answers are of
    that class, `pause_s` the last one. `delay_s` is the time until the next try where that is not
    the same: what was stored waits for its commitment, and after it the pauses go on.
    """

    attempt: int = 1
    again: str = ""
    waited_s: float = 0.0
    pause_s: float = 0.0
    delay_s: float = 0.0

    @property
    def next_s(self) -> float:
        """Seconds until the next try."""
        return self.delay_s or self.pause_s


@dataclass(frozen=True, slots=True)
class NextDelivery:
    """What follows a try that did not arrive: how it stands, and when it is tried again, if ever.

    `after` is the state in which the next try begins, None when there is none by itself.
    """

    status: DeliveryStatus
    after: Waited | None


def next_delivery(again: Again, before: Waited, give_up_after_s: float) -> NextDelivery:
    """What follows an answer of that class to a try that began with `before`."""
    same = again.value == before.again
    waited_s, pause_s = (before.waited_s, before.pause_s) if same else (0.0, 0.0)
    if again is Again.NEVER:
        return NextDelivery(DeliveryStatus.REFUSED, None)
    status, strategy = DeliveryStatus.REFUSED, retry.REFUSED
    if again is Again.SOON:
        status, strategy = DeliveryStatus.RETRY, retry.DELIVERY.until(give_up_after_s)
        if strategy.is_over(waited_s=waited_s):
            status = DeliveryStatus.GIVEN_UP
            strategy = retry.GIVEN_UP.until(
                give_up_after_s + (retry.GIVEN_UP.give_up_after_s or 0.0)
            )
            pause_s = 0.0
    if strategy.is_over(waited_s=waited_s):
        return NextDelivery(status, None)
    pause_s = strategy.pause_after_s(pause_s)
    return NextDelivery(
        status, Waited(before.attempt + 1, again.value, waited_s + pause_s, pause_s)
    )


def next_question(before: Waited, delay_s: float | None) -> NextDelivery:
    """What follows a try after which the destination has yet to confirm; None: it never did."""
    if delay_s is None:
        return NextDelivery(DeliveryStatus.GIVEN_UP, None)
    after = replace(before, attempt=before.attempt + 1, delay_s=delay_s)
    return NextDelivery(DeliveryStatus.AWAITING_COMMITMENT, after)

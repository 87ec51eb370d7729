"""What commands do to a node is in its audit trail, under the name of the user who ran them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadnode import settings

if TYPE_CHECKING:
    from cadnode.audit.event import Action


@dataclass(slots=True)
class AuditedAct:
    """An act under way: `what` is added to its detail, `has_failed` makes it a failure."""

    detail: str
    what: str = ""
    has_failed: bool = False


@contextmanager
def acting(
    values: settings.Settings,
    action: "Action",
    detail: str = "",
    *,
    study: str | None = None,
    peer: str | None = None,
) -> Iterator[AuditedAct]:
    """Within the block the act is done; then it is recorded, also where it raised.

    `detail` and what is added to it are words of ours, or names that the node knows.
    """
    from cadnode.audit.actors import this_user
    from cadnode.audit.event import Event, EventOutcome
    from cadnode.audit.trail import Trail

    act = AuditedAct(detail)
    try:
        yield act
    except BaseException:
        act.has_failed = True
        raise
    finally:
        outcome = EventOutcome.FAILURE if act.has_failed else EventOutcome.SUCCESS
        words = " ".join(filter(None, (act.detail, act.what))) or None
        Trail.of(values).record(Event(action, outcome, this_user(), study, peer or None, words))


@contextmanager
def changing_models(values: settings.Settings, how: str) -> Iterator[AuditedAct]:
    """Within the block the node's models are changed."""
    from cadnode.audit.event import Action

    with acting(values, Action.MODELS_CHANGED, how) as act:
        yield act

"""The pages of the node's navigation bar, and who sees which: each whose row in `rights` allows it.

The one home of the bar: a page that has a row in `rights` and a line here is in the bar of all.
"""

from dataclasses import dataclass
from typing import Final

from cadnode.phrases import N_
from cadnode.web.caller import Caller
from cadnode.web.rights import RIGHTS


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the bar."""

    path: str
    label: str


BAR: Final = (
    Place("/", N_("Studies")),
    Place("/needs-you", N_("Needs you")),
    Place("/models", N_("Models")),
    Place("/quality", N_("Quality")),
    Place("/destinations", N_("Destinations")),
    Place("/settings", N_("Settings")),
    Place("/log", N_("Log")),
    Place("/upload", N_("Upload")),
)


def places_of(visitor: Caller | None) -> tuple[Place, ...]:
    """What the bar offers to whoever asks; nothing to a stranger."""
    return tuple(place for place in BAR if _may_open(visitor, place.path))


def _may_open(visitor: Caller | None, path: str) -> bool:
    right = RIGHTS.get(("GET", path))
    if visitor is None or right is None:
        return False
    return right.role is None or visitor.may(right.role)

"""Why somebody did not come in."""

from dataclasses import dataclass, field
from enum import StrEnum


class Refusal(StrEnum):
    """The reason, as a code of our own; what the person is told says no more."""

    WRONG = "wrong"  # name or password; which of them is not said
    LOCKED = "locked"  # too many wrong ones, or too many at the same time: later
    STATE = "state"  # the way back from the provider is not of a log-in begun here, or too old
    DENIED = "denied"  # the provider says that the person may not, or did not want to
    PROVIDER = "provider"  # it cannot be reached, or its answer cannot be used
    ID_TOKEN = "id_token"  # what it says of the person is not valid
    NO_ROLE = "no_role"  # the person is in none of the groups of `web.openid_roles`


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody did not come in; `wait_s` is when a next try makes sense, 0 for at once.

    `name` is that of the user whose name was given, for the audit trail alone; "" where there is
    none of that name, since what was typed there may be a password.
    """

    reason: Refusal
    wait_s: float = 0.0
    name: str = field(default="", compare=False)

"""Who sent a request, or why that is not known or not enough."""

from dataclasses import dataclass, field
from enum import StrEnum

from starlette.requests import Request

from cadnode.identity.role import Identity, Role, Via


class Denied(StrEnum):
    """Why a request does not pass; the words are those of the log and of the audit trail."""

    NOBODY = "nobody"  # nothing in it says who sends it
    TOKEN = "token"
    SESSION = "session"  # it has ended
    ROLE = "role"
    PROXY = "proxy"
    HOST = "host"
    ORIGIN = "origin"
    CSRF = "csrf"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, from which address; `csrf` is what the forms of its pages repeat."""

    identity: Identity
    address: str
    csrf: str = field(repr=False)
    session_id: str = field(default="", repr=False)

    def may(self, role: Role) -> bool:
        """Whether the caller may do what needs that role."""
        return self.identity.role.may(role)

    @property
    def may_order(self) -> bool:
        """Whether pages offer what an operator does."""
        return self.may(Role.OPERATOR)

    @property
    def is_machine_itself(self) -> bool:
        """Whether nobody has to log in here: only this machine reaches the node."""
        return self.identity.via is Via.LOOPBACK


def caller_of(request: Request) -> Caller | None:
    """The caller that the gate found; None where nobody is known."""
    found = getattr(request.state, "caller", None)
    return found if isinstance(found, Caller) else None


def by_whom(request: Request) -> str:
    """Who orders something, for the record beside a result."""
    caller = caller_of(request)
    return f"{caller.identity.name}, HTTP from {caller.address}" if caller else "unknown"

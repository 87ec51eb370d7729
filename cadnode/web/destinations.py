"""Other machines as people see them: destinations, sources and senders, and how they answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cadnode.errors import CadnodeError


class PeerGroup(StrEnum):
    """What a peer is to the node; the words are those of the routes."""

    DESTINATIONS = "destinations"
    SOURCES = "sources"
    SENDERS = "senders"


class Protection(StrEnum):
    """How the way to a peer is protected."""

    NONE = "none"
    TLS = "tls"
    MUTUAL = "mutual_tls"
    LOCAL = "local"  # a folder


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """What a destination answered to the last delivery; `at` in seconds since the epoch."""

    at: float
    status: str
    reason: str = ""

    @property
    def time(self) -> datetime:
        """When that was."""
        return datetime.fromtimestamp(self.at, UTC)

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        when = self.time.isoformat(timespec="seconds")
        return {"at": when, "status": self.status, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Echo:
    """A question whether a peer answers: C-ECHO, or an HTTP request. `verdict` "": it is asked now.

    `verdict` is a word of `node.check.CheckVerdict`; `at` is when it was asked.
    """

    at: float
    verdict: str = ""
    found: str = ""
    advice: str = ""

    @property
    def is_running(self) -> bool:
        """Whether the peer has not answered yet."""
        return not self.verdict

    @property
    def time(self) -> datetime:
        """When it was asked."""
        return datetime.fromtimestamp(self.at, UTC)

    def as_dict(self) -> dict[str, str]:
        """For JSON; `verdict` "running" while it is asked."""
        return {
            "at": self.time.isoformat(timespec="seconds"),
            "verdict": self.verdict or "running",
            "found": self.found,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class Owed:
    """Results that a destination does not have, by state; `today`, `week`: those that it got."""

    waiting: int = 0
    awaiting_commitment: int = 0
    refused: int = 0
    given_up: int = 0
    today: int = 0
    week: int = 0
    failed_today: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """One machine of the configuration. `name` is unique in its group; `address` has no secrets.

    `owed` is None for what is no destination, and where the job database does not answer;
    `can_be_asked`: whether there is an address to ask.
    """

    group: PeerGroup
    name: str
    kind: str
    address: str
    protection: Protection
    profile: str = ""
    commits: bool = False
    notes: tuple[str, ...] = ()
    owed: Owed | None = None
    last: LastAnswer | None = None
    echo: Echo | None = None
    can_be_asked: bool = True

    @property
    def anchor(self) -> str:
        """Where it is on the page."""
        return re.sub("[^A-Za-z0-9_-]+", "-", f"{self.group.value}-{self.name}")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "address": self.address,
            "protection": self.protection.value,
            "echo": self.echo and self.echo.as_dict(),
        }
        if self.group is PeerGroup.DESTINATIONS:
            found |= {"profile": self.profile, "commit": self.commits}
            found["last_answer"] = self.last and self.last.as_dict()
            found["undelivered"] = self.owed and {
                word: getattr(self.owed, word)
                for word in ("waiting", "awaiting_commitment", "refused", "given_up")
            }
            found["delivered"] = self.owed and {"today": self.owed.today, "week": self.owed.week}
        return found


class UnknownPeer(CadnodeError):
    """No peer of that name is configured, or it has no address to ask; `hint` says what to do."""

    def __init__(self, error: str, hint: str) -> None:
        super().__init__(f"{error}: {hint}")
        self.error = error
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Peers:
    """What is asked about other machines.

    `listed()`: all of them, as configured. `ask(group, name)`: whether that one answers; it waits
    for a few seconds at most, and the answer is then still running. It raises `UnknownPeer`.
    """

    listed: Callable[[], tuple[Peer, ...]]
    ask: Callable[[PeerGroup, str], Echo]

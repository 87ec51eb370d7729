"""What an audit trail tells: who did what, to which study, and how it ended.

Nothing here names a patient: a study is named by its key (`log.hashed`), as in logs, and a detail
is a code from our own code, never foreign text.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Action(StrEnum):
    """What was done; the words are stable names."""

    LOGGED_IN = "log-in"
    LOG_IN_REFUSED = "log-in refused"
    LOGGED_OUT = "log-out"
    REFUSED = "refused"
    VIEWED = "study viewed"
    EXPORTED = "study exported"
    JUDGED = "finding judged"
    QUERIED = "studies listed"
    ORDERED = "study ordered"
    REGION_ASKED = "region asked about"
    RETRIED = "delivery retried"
    REDELIVERED = "study redelivered"
    DROPPED = "study dropped"
    PINNED = "study pinned"
    UNPINNED = "study unpinned"
    REREAD = "study reread"
    RECEIVED = "study received"
    PEER_REFUSED = "peer refused"
    PEER_ASKED = "peer asked"
    READ = "study read"
    DELIVERED = "result delivered"
    NOT_DELIVERED = "result not delivered"
    OUTCOMES_IMPORTED = "outcomes imported"
    MODELS_CHANGED = "models changed"
    USERS_CHANGED = "users changed"
    SCORES_ACCEPTED = "scores accepted"
    ERASED = "patient erased"
    REMOVED = "study removed"
    BACKED_UP = "backup made"
    RESTORED = "backup restored"
    SETTINGS_RELOADED = "settings reloaded"
    STARTED = "node started"
    STOPPED = "node stopped"


class EventOutcome(StrEnum):
    """How it ended (the event outcome indicators 0, 4 and 8 of DICOM PS3.15 A.5.1)."""

    SUCCESS = "success"
    FAILURE = "failure"
    SERIOUS = "serious failure"


class ActorKind(StrEnum):
    """Who acts: a person or a program by HTTP, a DICOM peer, a command of the console, the node."""

    PERSON = "person"
    MACHINE = "machine"
    PEER = "peer"
    COMMAND = "command"
    NODE = "node"


@dataclass(frozen=True)
class Actor:
    """Who acts: a user, a token's name, an AE title; the role that let it; where it came from."""

    kind: ActorKind
    name: str
    role: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Event:
    """One act. `study` is a key, `peer` a configured name, `detail` a code from our own code."""

    action: Action
    outcome: EventOutcome
    actor: Actor
    study: str | None = None
    peer: str | None = None
    detail: str | None = None


class Recorder(Protocol):
    """Keeps events. Whatever happens to it, the act that it records goes on: nothing is raised."""

    def record(self, event: Event) -> None:
        """Keep an event."""

"""A line of the trail: an event, or what the trail says of itself, bound to the line before it.

A line is canonical JSON (keys sorted, no space, ASCII). Its `hash` is the SHA-256 of the hash of
the line before it and of the line without its hash: whoever changes, inserts or removes a line has
to write all later ones again.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome

GENESIS: Final = "0" * 64  # the hash before the first line
_LONGEST: Final = 200  # characters of a field


class RemarkKind(StrEnum):
    """What the trail says of itself."""

    LOST = "events lost"
    """So many events could not be written: the disk was full, or failed."""
    CUT_OFF = "line cut off"
    """Bytes before this line are what a power cut or a full disk left of one."""
    MISSING = "lines missing"
    """So many lines of the end were gone when this line was written, or the trail's head was."""
    CLOCK = "clock set back"
    """By so many seconds: the times of what follows are before those of what came before."""
    REMOVED = "month removed"
    """A month had its time (`audit.keep_days`); where it ended is said, so that the chain holds."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What the trail says of itself; `end`: in which sequence and hash a month ended."""

    kind: RemarkKind
    count: int = 0
    detail: str | None = None
    end: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """A line. `at` is UTC as `timestamp` writes it; `node` is the AE title that wrote it."""

    sequence: int
    at: str
    node: str
    version: str
    said: Event | Remark
    hash: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not known is left out."""
        head = {"sequence": self.sequence, "at": self.at, "node": self.node}
        found = {**head, "version": self.version, **_as_dict(self.said)}
        return {**found, "hash": self.hash} if self.hash else found

    def line(self) -> bytes:
        """The line, with its end."""
        return _canonical(self.as_dict()) + b"\n"

    def hash_after(self, previous: str) -> str:
        """The hash that the line must have after one with the hash `previous`."""
        content = {key: value for key, value in self.as_dict().items() if key != "hash"}
        return hashlib.sha256(f"{previous}\n".encode() + _canonical(content)).hexdigest()


def timestamp(at: float) -> str:
    """A time as lines have it (RFC 3339, UTC, microseconds): in the order of text, too."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(at: str) -> float:
    """Seconds since the epoch of a line's time. Raises `ValueError`."""
    return datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()


def parsed(line: bytes) -> TrailEntry | None:
    """The entry of a line; None: it is none, or is not written as this node writes."""
    try:
        found = json.loads(line)
        entry = TrailEntry(
            int(found["sequence"]), str(found["at"]), str(found["node"]), str(found["version"]),
            _said(found), str(found["hash"]),
        )  # fmt: skip
        seconds(entry.at)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
    return entry if entry.line().rstrip(b"\n") == line.rstrip(b"\n") else None


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _as_dict(said: Event | Remark) -> dict[str, Any]:
    if isinstance(said, Remark):
        found: dict[str, Any] = {"remark": said.kind.value, "count": said.count}
        if said.detail is not None:
            found["detail"] = said.detail
        if said.end is not None:
            found["end"] = list(said.end)
        return found
    named = {"study": said.study, "peer": said.peer, "detail": said.detail}
    return {
        "action": said.action.value,
        "outcome": said.outcome.value,
        "actor": _known(asdict(said.actor)),
        **_known(named),
    }


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """Those that are known, none of them longer than a line can take."""
    return {key: str(value)[:_LONGEST] for key, value in fields.items() if value is not None}


def _said(found: dict[str, Any]) -> Event | Remark:
    if "remark" in found:
        end = (int(found["end"][0]), str(found["end"][1])) if "end" in found else None
        detail = None if found.get("detail") is None else str(found["detail"])
        return Remark(RemarkKind(found["remark"]), int(found["count"]), detail, end)
    actor = {**found["actor"], "kind": ActorKind(found["actor"]["kind"])}
    return Event(
        Action(found["action"]), EventOutcome(found["outcome"]), Actor(**actor),
        found.get("study"), found.get("peer"), found.get("detail"),
    )  # fmt: skip

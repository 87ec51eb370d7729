"""Trails for tests."""

from pathlib import Path

from cadnode.audit.entry import TrailEntry
from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome
from cadnode.audit.files import entries
from cadnode.audit.trail import Trail

PERSON = Actor(ActorKind.PERSON, "ann", "admin", "10.0.0.7")
STUDY = "0123456789abcdef"
AT = 1_772_600_000.0  # 4 March 2026


def viewed(study: str = STUDY, name: str = "ann") -> Event:
    return Event(Action.VIEWED, EventOutcome.SUCCESS, Actor(ActorKind.PERSON, name, "admin"), study)


class Clock:
    """A clock that goes on by a second at each look, from `at`."""

    def __init__(self, at: float = AT) -> None:
        self.at = at

    def __call__(self) -> float:
        self.at += 1.0
        return self.at


def trail(folder: Path, n: int = 0, clock: Clock | None = None) -> Trail:
    """A trail with `n` events."""
    made = Trail(folder / "audit", clock=clock or Clock())
    for number in range(n):
        made.record(viewed(f"{number:016x}"))
    return made


def written(made: Trail) -> list[TrailEntry]:
    return [entry for entry, _ in entries(made.folder)]


def month(made: Trail) -> Path:
    """The newest file."""
    return sorted(made.folder.glob("*.jsonl"))[-1]

"""What a paper states of its protocol, point by point, and what a recipe does of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NOT_STATED: Final = "not stated"
RecipeDifference = tuple[str, str, str]


class Standing(StrEnum):
    """How what is run stands to what the paper states."""

    AS_STATED = "as stated"
    CHOSEN = "not stated, chosen here"
    DATA = "differs by the data"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class PaperPoint:
    """A point of a paper's protocol.

    Parameters
    ----------
    topic
        Names the point within the paper.
    text
        What the paper states, in few words; `NOT_STATED` where it is silent.
    section
        Where it does: a heading, figure or table of the paper.
    """

    topic: str
    text: str
    section: str


@dataclass(frozen=True, slots=True)
class ProtocolPoint:
    """A point of a paper's protocol beside what is `run`."""

    topic: str
    paper: str
    section: str
    run: str
    standing: Standing

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {
            "topic": self.topic,
            "paper": self.paper,
            "section": self.section,
            "run": self.run,
            "standing": self.standing.value,
        }


def beside(
    stated: Sequence[PaperPoint], run: Mapping[str, str], by_data: Mapping[str, str] | None = None
) -> tuple[ProtocolPoint, ...]:
    """Each point with what is run, by the point's topic; it is kept when both texts are the same.

    `by_data` holds what the data at hand make of a point, whatever the recipe says.
    """
    data = by_data or {}
    return tuple(
        ProtocolPoint(
            p.topic, p.text, p.section, text := data.get(p.topic, run.get(p.topic, p.text)),
            _standing(p, text, of_data=p.topic in data),
        )
        for p in stated
    )  # fmt: skip


def _standing(point: PaperPoint, run: str, *, of_data: bool) -> Standing:
    if run == point.text:
        return Standing.AS_STATED
    if point.text == NOT_STATED:
        return Standing.CHOSEN
    return Standing.DATA if of_data else Standing.DIFFERS


def differences(points: Sequence[ProtocolPoint]) -> list[RecipeDifference]:
    """(topic, paper, run) of the points that depart from what the paper states."""
    apart = (Standing.DATA, Standing.DIFFERS)
    return [(p.topic, p.paper, p.run) for p in points if p.standing in apart]


def sentences(points: Sequence[ProtocolPoint]) -> tuple[str, ...]:
    """The differences as a card keeps them, one sentence each."""
    return tuple(f"{t}: the paper has {p}; here {r}" for t, p, r in differences(points))

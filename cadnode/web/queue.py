"""The list of studies: which are asked for, and a page of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from cadnode.errors import CadnodeError
from cadnode.exam.patient import Patient
from cadnode.phrases import N_, phrase
from cadnode.web.study import State, StudyState

PAGE_ROWS: Final = 50
MOST_ROWS: Final = 500
MOST_TEXT: Final = 128
CURSOR: Final = r"[0-9]{1,16}-[0-9a-f]{16}"


_FIRST_DAY: Final = date(1970, 1, 1)  # nothing came before it


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """Which studies are asked for, the one that changed last first.

    `needs_you`: only those that wait for somebody (`StudyState.needs_you`). `since` and `until`:
    changed on these days, or between, in the node's time zone. `text`: all its words are in name,
    number, accession number or key, or it is a Study Instance UID. `destination`: only those whose
    result this destination does not have. `after`: of the page before. `counted`: how many pass,
    from there on, is asked for, too.
    """

    state: State | None = None
    needs_you: bool = False
    since: date | None = None
    until: date | None = None
    text: str = ""
    after: str = ""
    limit: int = PAGE_ROWS
    destination: str = ""
    counted: bool = False

    @property
    def is_narrowed(self) -> bool:
        """Whether it lets less than all pass."""
        days = self.until is not None or (self.since or _FIRST_DAY) > _FIRST_DAY
        return bool(self.state or self.needs_you or days or self.text or self.destination)

    @property
    def between(self) -> tuple[float, float]:
        """The first moment that passes, and the first that does not any more; since the epoch."""
        first = _begin(self.since) if self.since else 0.0
        return first, _begin(self.until + timedelta(days=1)) if self.until else float("inf")


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A line of the list."""

    study: StudyState
    patient: Patient = field(default_factory=Patient)


@dataclass(frozen=True, slots=True)
class StudyPage:
    """A part of the list. `after` asks for the next part, "": there is none.

    `counts` are all studies by state, whatever is asked for, `n_needing_you` those of them that
    wait for somebody. `is_complete`: every study has been looked at since the list was begun.
    `n_found` is how many the filter lets pass, where that was asked for.
    """

    rows: tuple[StudyRow, ...]
    after: str = ""
    counts: Mapping[State, int] = field(default_factory=dict)
    n_needing_you: int = 0
    is_complete: bool = True
    n_found: int | None = None

    @property
    def n_studies(self) -> int:
        """How many there are in all."""
        return sum(self.counts.values())


class FilterWrong(CadnodeError):
    """What is asked for makes no sense; `hint` is what does."""

    def __init__(self, error: str, hint: str) -> None:
        super().__init__(f"{error}: {hint}")
        self.error = error
        self.hint = hint


def filter_of(fields: Mapping[str, str], limit: int = PAGE_ROWS) -> StudyFilter:
    """The filter that the fields of a form or a query state; an empty field states nothing.

    Raises
    ------
    FilterWrong
        A field has a value that it cannot have.
    """
    return StudyFilter(
        state=_state(fields.get("state", "")),
        needs_you=fields.get("needs_you", "").lower() in ("1", "true", "on"),
        since=_day("since", fields.get("since", "")),
        until=_day("until", fields.get("until", "")),
        text=_text(fields.get("text", "")),
        after=_cursor(fields.get("after", "")),
        limit=limit,
        destination=_text(fields.get("destination", "")),
    )


def _state(word: str) -> State | None:
    try:
        return State(word) if word else None
    except ValueError:
        known = ", ".join(state.value for state in State)
        raise FilterWrong(
            N_("there is no such state"), phrase("the states are %(known)s", known=known)
        ) from None


def _day(name: str, word: str) -> date | None:
    try:
        day = date.fromisoformat(word) if word else None
        if day is not None and not 1970 <= day.year < 9999:
            raise ValueError
        return day
    except ValueError:
        raise FilterWrong(
            phrase("%(name)s is no day", name=name), N_("write a day as 2026-03-04")
        ) from None


def _text(text: str) -> str:
    words = " ".join(text.split())
    if len(words) > MOST_TEXT:
        raise FilterWrong(
            N_("that is too long to be searched"),
            phrase("%(most)s characters at most", most=MOST_TEXT),
        )
    return words


def _cursor(word: str) -> str:
    if word and not re.fullmatch(CURSOR, word):
        raise FilterWrong(N_("after is no place in the list"), N_("take it from the answer before"))
    return word


def _begin(day: date) -> float:
    return datetime(day.year, day.month, day.day).astimezone().timestamp()

"""The files beside the journal: the last overview, and changes that somebody accepted.

    STORAGE/quality/drift.json       the last `DriftOverview`
    STORAGE/quality/accepted.jsonl   a line a change that was accepted

Neither names a patient or a study.
"""

from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cadnode.files import write_whole
from cadnode.quality import lines
from cadnode.quality.drift import DriftRule
from cadnode.quality.followed import FollowedJournal
from cadnode.quality.journal import FOLDER, Journal
from cadnode.quality.overview import FILE, DriftOverview, overview_of
from cadnode.quality.series import Accepted, rows_of

ACCEPTED: Final = "accepted.jsonl"
_OVERVIEW: Final = TypeAdapter(DriftOverview)
_ACCEPTED: Final = TypeAdapter(Accepted)


def look(
    storage: Path,
    rule: DriftRule,
    now: datetime,
    named: dict[str, frozenset[str]] | None = None,
    until: date | None = None,
    followed: FollowedJournal | None = None,
) -> DriftOverview:
    """What the journal says now, or said at the beginning of a day (UTC). Raises `OSError`.

    One that is `followed` says what it says now, at the cost of what was added.
    """
    changes = [one for one in accepted(storage) if until is None or one.at.date() < until]
    if followed is not None and until is None:
        rows = followed.rows(changes)
    else:
        rows = rows_of(Journal(storage).readings(until), changes)
    return overview_of(rows, rule, now, named)


def write(storage: Path, overview: DriftOverview) -> None:
    """Keep an overview for those who show it. Raises `OSError`."""
    write_whole(storage / FOLDER / FILE, _OVERVIEW.dump_json(overview))


def read(storage: Path) -> DriftOverview | None:
    """The last overview; None before the first, and of another version of this software."""
    try:
        return _OVERVIEW.validate_json((storage / FOLDER / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def accepted(storage: Path) -> list[Accepted]:
    """The changes that were accepted, in the order in which that was said."""
    with suppress(OSError):
        return list(lines.read(storage / FOLDER / ACCEPTED, _ACCEPTED))
    return []


def accept(storage: Path, change: Accepted) -> None:
    """Keep a change as accepted, durably. Raises `OSError`."""
    lines.add(storage / FOLDER / ACCEPTED, _ACCEPTED.dump_json(change) + b"\n")

"""Rows of finished jobs that nobody needs any more, deleted from the job database in batches.

A row that ended keeps its job from running twice under the same identifier, so the rows of a study
stay as long as its results. Others (a study was considered, fetched) tell nothing after a while.
SQLite and PostgreSQL use the room of deleted rows for new ones: the database stops growing.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from cadnode.node import retry
from cadnode.node.job_database import client_of
from cadnode.node.jobs import FAILED, JobsUnavailable, deliver_id, process_ids

_ENDED: Final = ["SUCCESS", *FAILED]
_PASSING: Final = ["consider", "fetch", "marks"]  # identifiers of their own: these never run twice
_OF_CONTENT: Final = ["process", "deliver", "shadow", "answer", "region"]
_AT_ONCE: Final = 500
_SHADOW_ATTEMPTS: Final = 4


class JobRows:
    """The finished rows of one node's job database. One thread uses it."""

    def __init__(self, database_url: str) -> None:
        self._client = client_of(database_url)
        self._looked_until: str | None = None  # rows of contents that ended before were looked at

    def delete(self, identifiers: Iterable[str]) -> None:
        """Delete these rows, many at once. Raises `JobsUnavailable`."""
        rows = list(identifiers)
        try:
            for first in range(0, len(rows), _AT_ONCE):
                self._client.delete_workflows(rows[first : first + _AT_ONCE])
        except SQLAlchemyError as error:
            raise JobsUnavailable(type(error).__name__) from None

    def delete_ended(self, before: float, has_results: Callable[[str], bool]) -> int:
        """Number of rows deleted that ended `before` (epoch, s) and that no study needs.

        A batch of each kind at a time: what is left is found by the next call. Raises
        `JobsUnavailable`.
        """
        until = datetime.fromtimestamp(before, UTC).isoformat()
        passing = [row for row, _ in self._ended(_PASSING, until)]
        others = self._ended(_OF_CONTENT, until, after=self._looked_until)
        orphans = [row for row, _ in others if not has_results(study_of(row))]
        self.delete([*passing, *orphans])
        is_last = len(others) < _AT_ONCE
        self._looked_until = None if is_last else others[-1][1]
        return len(passing) + len(orphans)

    def close(self) -> None:
        """Let go of the database."""
        self._client.destroy()

    def _ended(
        self, names: list[str], until: str, after: str | None = None
    ) -> list[tuple[str, str]]:
        """Identifiers of rows that ended, and when each was made; the oldest first."""
        try:
            found = self._client.list_workflows(
                name=names, status=_ENDED, completed_before=until, start_time=after,
                limit=_AT_ONCE, load_input=False, load_output=False,
            )  # fmt: skip
        except SQLAlchemyError as error:
            raise JobsUnavailable(type(error).__name__) from None
        return [(one.workflow_id, _made_at(one.created_at)) for one in found]


def rows_of(study: str, content: str, destinations: Sequence[str]) -> list[str]:
    """Identifiers of all jobs of one content of a study."""
    shadows = [f"shadow-{study}-{content}-{attempt}" for attempt in range(_SHADOW_ATTEMPTS)]
    sent = [deliver_id(study, content, name) for name in destinations]
    answers = [f"answer-{study}-{content}-{attempt}" for attempt in retry.ANSWER.attempts()]
    return [*process_ids(study, content), *sent, *shadows, *answers]


def study_of(identifier: str) -> str:
    """Key of the study that a job of a content is about; "" of another job."""
    parts = identifier.split("-", 2)
    return parts[1] if len(parts) == 3 and parts[0] in _OF_CONTENT else ""


def _made_at(created_at_ms: int | None) -> str:
    return datetime.fromtimestamp((created_at_ms or 0) / 1000, UTC).isoformat()

"""The job database when a patient is erased: her studies' jobs are cancelled, deleted, and gone.

It holds keys of studies and codes, no name or UID. SQLite leaves deleted rows in its file: it is
made anew (VACUUM). Of a PostgreSQL server the rows are deleted; when its pages are used again is
the server's business (autovacuum), and so are its log and its backups.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, MetaData, Table, cast, create_engine, or_, select
from sqlalchemy import String as Text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cadnode.node.job_database import client_of, damaged_copies, file_of, mend
from cadnode.node.jobs import OPEN, JobsUnavailable

_ID: Final = "workflow_uuid"
_SCHEMA: Final = "dbos"  # where the server's tables are
_WITHIN_S: Final = 60.0  # for which the worker may hold the file


class PatientJobs:
    """The rows of one job database that are about some studies. One thread uses it."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._file = file_of(database_url)

    def cancel(self, studies: Iterable[str]) -> int:
        """Number of jobs that wait or run, and are begun no more. Raises `JobsUnavailable`."""
        return self._each(studies, open_only=True)

    def delete(self, studies: Iterable[str]) -> int:
        """Number of jobs whose rows are deleted, however they ended. Raises `JobsUnavailable`."""
        return self._each(studies, open_only=False)

    def has_any(self, studies: Iterable[str]) -> bool:
        """Whether a job is about one of the studies. Raises `JobsUnavailable`."""
        wanted = list(studies)
        if not wanted or (self._file is not None and not self._file.exists()):
            return False
        return bool(self._identifiers(wanted))

    @property
    def is_file(self) -> bool:
        """Whether the database is a file here, and not a server's."""
        return self._file is not None

    def files(self) -> list[Path]:
        """Files that the database has, its journals and damaged copies with it."""
        if self._file is None:
            return []
        return sorted({*self._file.parent.glob(f"{self._file.name}*")})

    def compact(self) -> None:
        """Write the file anew, without what was deleted from it. Raises `JobsUnavailable`."""
        if self._file is None or not self._file.exists():
            return
        try:
            with closing(sqlite3.connect(self._file, _WITHIN_S, isolation_level=None)) as found:
                found.execute("PRAGMA secure_delete = ON")
                found.execute("VACUUM")
                found.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise JobsUnavailable(type(error).__name__) from None

    def remove_damaged_copies(self, keys: Iterable[str]) -> int:
        """Number of damaged databases removed that were kept aside and name one of the studies."""
        wanted = [key.encode() for key in keys]
        count = 0
        for path in damaged_copies(self._url):
            data = path.read_bytes()
            if any(key in data for key in wanted):
                for one in path.parent.glob(f"{path.name}*"):
                    one.unlink(missing_ok=True)
                count += 1
        return count

    def n_rows_with(self, keys: Iterable[str]) -> int:
        """Number of rows of any table that hold one of these keys. Raises `JobsUnavailable`."""
        wanted = list(keys)
        with self._connected() as (engine, tables), engine.connect() as connection:
            return sum(
                len(
                    connection.execute(select(table).where(_holds(table, wanted[n : n + 50]))).all()
                )
                for table in tables
                for n in range(0, len(wanted), 50)
            )

    def _each(self, studies: Iterable[str], *, open_only: bool) -> int:
        wanted = list(studies)
        if not wanted or (self._file is not None and not self._file.exists()):
            return 0
        found = sorted(self._identifiers(wanted))
        client = client_of(self._url)
        try:
            if open_only:
                jobs = client.list_workflows(
                    workflow_ids=found, status=list(OPEN), load_input=False, load_output=False
                ) if found else []  # fmt: skip
                found = [job.workflow_id for job in jobs]
                for one in found:
                    client.cancel_workflow(one)
            else:
                for first in range(0, len(found), 500):
                    client.delete_workflows(found[first : first + 500])
        except SQLAlchemyError as error:
            raise JobsUnavailable(type(error).__name__) from None
        finally:
            client.destroy()
        return len(found)

    def _identifiers(self, studies: list[str]) -> set[str]:
        """Of the jobs that any table holds in one row with a study's key."""
        with self._connected() as (engine, tables), engine.connect() as connection:
            found: set[str] = set()
            for table in tables:
                if _ID in table.c:
                    query = select(table.c[_ID]).where(_holds(table, studies))
                    found |= {str(one) for (one,) in connection.execute(query)}
            return found

    @contextmanager
    def _connected(self) -> Iterator[tuple[Engine, list[Table]]]:
        """The database and its tables, as they are."""
        mend()
        try:
            engine = create_engine(self._url, poolclass=NullPool)
            schema = None if self._file is not None else _SCHEMA
            known = MetaData()
            known.reflect(engine, schema=schema)
            yield engine, list(known.tables.values())
        except SQLAlchemyError as error:
            raise JobsUnavailable(type(error).__name__) from None


def _holds(table: Table, keys: list[str]) -> Any:
    """Whether a row of the table has one of these keys in any column."""
    return or_(*(cast(column, Text).contains(key) for column in table.c for key in keys))

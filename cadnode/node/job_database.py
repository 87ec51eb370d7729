"""The job database: how it is opened, whether it can be used now, and if not, why."""

import errno
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from dbos import DBOSClient, Serializer
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

T = TypeVar("T")


class JsonSerializer(Serializer):
    """Arguments and results of workflows as JSON text; exceptions as their class name alone."""

    def serialize(self, data: Any) -> str:
        """JSON text. An exception becomes its class name: its text might hold an identifier."""
        return json.dumps(data, default=_plain)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - as the base class has it
        """Value of a JSON text; a recorded exception comes back as `StepFailed`."""
        value = json.loads(serialized_data)
        if isinstance(value, dict) and _FAILED in value:
            return StepFailed(value[_FAILED])
        return value

    def name(self) -> str:
        """Name under which the job database records the format."""
        return "cadnode_json"


class StepFailed(Exception):
    """A step failed in an earlier life of the process; the message is the error's class name."""


_FAILED = "__failed__"


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return {_FAILED: type(value).__name__}
    raise TypeError(f"{type(value).__name__} does not belong in the job database")


_SUBSEC: Final = ("subsec", "subsecond")


def mend() -> None:
    """Give the clock to every SQLite connection that is opened from now on and lacks it."""
    if not event.contains(Engine, "connect", _on_connect):
        event.listen(Engine, "connect", _on_connect)


def _on_connect(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection) and not has_clock(connection):
        connection.create_function("unixepoch", 1, _unixepoch)


def has_clock(connection: sqlite3.Connection) -> bool:
    """Whether `unixepoch('subsec')` is a time; no SQLite before 3.38 knows the function at all."""
    try:
        (now,) = connection.execute("SELECT unixepoch('subsec')").fetchone()
    except sqlite3.OperationalError:
        return False
    return now is not None


def _unixepoch(argument: str) -> float | None:
    """Seconds since the epoch in milliseconds, as SQLite has them; of another argument NULL."""
    return round(time.time(), 3) if argument in _SUBSEC else None


@dataclass(frozen=True, slots=True)
class JobsProblem:
    """Why the job database cannot be used now: a code, and words that follow "the job database"."""

    code: str
    words: str


LOCKED: Final = JobsProblem("locked", "is locked by another process")
DAMAGED: Final = JobsProblem("damaged", "is damaged")
FULL: Final = JobsProblem("full", "cannot grow: the disk is full")
READ_ONLY: Final = JobsProblem("read_only", "cannot be written")
AWAY: Final = JobsProblem("away", "does not answer")
GONE: Final = JobsProblem("gone", "was removed or replaced")
BROKEN: Final = JobsProblem("broken", "failed while it was written")

_BY_CODE: Final = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: AWAY,
    sqlite3.SQLITE_IOERR: AWAY,
}
_ROOM_BYTES: Final = 1 << 20  # a checkpoint and its journal
_WITHIN_S: Final = 3.0
_BESIDE: Final = ("", "-journal", "-wal", "-shm")


def file_of(database_url: str) -> Path | None:
    """The database's file; None where it is a server's."""
    try:
        url = make_url(database_url)
    except ArgumentError:
        return None
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)) if is_file else None


def is_shared(database_url: str) -> bool:
    """Whether several workers may share the database: a PostgreSQL server's."""
    try:
        return make_url(database_url).get_backend_name() == "postgresql"
    except ArgumentError:
        return False


def identity(database_url: str) -> tuple[int, int] | None:
    """Which file it is: another one when it was removed, replaced or restored; None without one."""
    path = file_of(database_url)
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def problem_of(database_url: str, *, thorough: bool = False) -> JobsProblem | None:
    """Why the database cannot be used now; None when it can, or could once it is made.

    `thorough` reads an SQLite file as a whole. A URL that is none is nothing that passes: that is
    reported when the database is made.
    """
    path = file_of(database_url)
    return _problem_of_file(path, thorough=thorough) if path else _problem_of_server(database_url)


def _problem_of_file(path: Path, *, thorough: bool) -> JobsProblem | None:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return AWAY
    if disk.f_flag & os.ST_RDONLY or not os.access(path.parent, os.W_OK):  # of its journals
        return READ_ONLY
    if disk.f_bavail * disk.f_frsize < _ROOM_BYTES:
        return FULL
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_WITHIN_S, isolation_level=None
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            answer = connection.execute("PRAGMA quick_check(1)").fetchone() if thorough else None
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.Error as error:
        return problem_of_error(error) or AWAY
    return DAMAGED if answer and answer[0] != "ok" else None


def _problem_of_server(database_url: str) -> JobsProblem | None:
    try:
        engine = create_engine(
            database_url, poolclass=NullPool, connect_args={"connect_timeout": int(_WITHIN_S)}
        )
    except (SQLAlchemyError, ImportError):
        return None
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return None if is_not_made(error) else AWAY
    return None


def is_not_made(error: BaseException) -> bool:
    """Whether a PostgreSQL server answered that it has no such database: it is made at a launch."""
    reason = str(getattr(error, "orig", ""))
    return "database" in reason and "does not exist" in reason


def index_states(database_url: str) -> None:
    """Have jobs found by state and name without a look at every row; DBOS has no such index.

    Where it cannot be made, as by a user who does not own the tables, the same is only slower.
    """
    with suppress(SQLAlchemyError):
        engine = create_engine(database_url, poolclass=NullPool)
        table = "dbos.workflow_status" if engine.name == "postgresql" else "workflow_status"
        with engine.begin() as connection:
            connection.execute(
                text(f"CREATE INDEX IF NOT EXISTS cadnode_by_state ON {table} (status, name)")
            )


def problem_of_error(error: BaseException) -> JobsProblem | None:
    """What an SQLite error says of the file; None of an error in what was asked."""
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", None)
    return _BY_CODE.get(code & 0xFF) if isinstance(code, int) else None


def set_aside(database_url: str, at: float) -> Path | None:
    """Move a damaged file away, its journals with it; its new path, which names the time.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    path = file_of(database_url)
    if path is None or not path.exists():
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in reversed(_BESIDE):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(kept.with_name(kept.name + suffix))
    return kept


def damaged_copies(database_url: str) -> list[Path]:
    """Damaged databases that were moved aside, the last one last."""
    path = file_of(database_url)
    if path is None:
        return []
    found = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(p for p in found if not p.name.endswith(_BESIDE[1:]))


class Failures:
    """What went wrong with the file of this process's database since it was opened.

    A job whose checkpoint could not be written stands as running, and nobody runs it: after such
    a failure the worker begins again (`node.job_watch`). A lock is waited for, and is none.
    """

    def __init__(self) -> None:
        self.last: JobsProblem | None = None
        event.listen(Engine, "handle_error", self._note)

    def _note(self, context: ExceptionContext) -> None:
        problem = problem_of_error(context.original_exception)
        if problem is not None and problem is not LOCKED:
            self.last = problem

    def close(self) -> None:
        """Listen no more."""
        event.remove(Engine, "handle_error", self._note)


_asking = threading.Semaphore(8)


def answer_within(seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` returns or raises, in that time: a locked file is waited for without end.

    Raises
    ------
    TimeoutError
        It does not answer, or too many wait for it already.
    """
    if not _asking.acquire(blocking=False):
        raise TimeoutError
    answers: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # raised again by who asked
            errors.append(error)
        finally:
            _asking.release()

    thread = threading.Thread(target=run, name="jobs", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError
    return answers[0]


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or one's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class Client:
    """A client of the job database that follows it: a file that was replaced is opened again."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._lock = threading.Lock()
        self._client = client_of(database_url)
        self._identity = identity(database_url)

    def current(self) -> DBOSClient:
        """The client, of the file that is there now."""
        with self._lock:
            now = identity(self._url)
            if now != self._identity:
                if self._identity is not None:
                    self._client.destroy()
                    self._client = client_of(self._url)
                self._identity = now
            return self._client

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()


def client_of(database_url: str) -> DBOSClient:
    """A client of the job database; it connects when it is first used, and waits for nothing."""
    mend()
    return DBOSClient(
        system_database_url=database_url,
        serializer=JsonSerializer(),
        lazy=True,
        retry_connection_errors=False,
        application_name="cadnode",
    )

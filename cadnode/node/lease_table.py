"""Leases of workers: a row in the PostgreSQL job database for each that lives.

    cadnode_workers   executor (which life of which worker), number (in the order in which they
                      came), slot, host, pid, jobs_version, beats, since

`beats` grows while the worker lives. Who sees it stand still for long enough ends the lease, unless
it has grown in this moment: of two who try, one succeeds. An executor's name is of one life of one
process: it never comes back.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

_MAKE: Final = """
CREATE TABLE IF NOT EXISTS cadnode_workers (
    executor TEXT PRIMARY KEY,
    number BIGSERIAL,
    slot TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    jobs_version TEXT NOT NULL,
    beats BIGINT NOT NULL DEFAULT 0,
    since TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(4206320)"  # two that make the table at once
_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    "options": "-c statement_timeout=5000",
    "tcp_user_timeout": 8000,  # ms: a server that is gone without a word
}


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Who holds a lease: a worker's life, on a machine, with the version of its jobs."""

    executor: str
    slot: str
    host: str
    pid: int
    jobs_version: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it stands: workers that came earlier have the lower number."""

    executor: str
    slot: str
    number: int
    beats: int
    host: str = ""
    jobs_version: str = ""


class LeaseTable:
    """The leases in one job database. Threads share it. Its methods raise `SQLAlchemyError`."""

    def __init__(self, database_url: str) -> None:
        self._engine = create_engine(
            database_url, pool_size=1, max_overflow=2, pool_pre_ping=True, connect_args=_CONNECT
        )

    def make(self) -> None:
        """Make the table, where it is missing."""
        with self._engine.begin() as connection:
            connection.execute(text(_ONE_AT_A_TIME))
            connection.execute(text(_MAKE))

    def take(self, holder: LeaseHolder) -> None:
        """Enter a worker; the one before it in its slot has ended, as the slot's lock proves."""
        with self._engine.begin() as connection:
            connection.execute(
                text("DELETE FROM cadnode_workers WHERE slot = :slot AND executor <> :executor"),
                {"slot": holder.slot, "executor": holder.executor},
            )
            connection.execute(
                text(
                    "INSERT INTO cadnode_workers (executor, slot, host, pid, jobs_version) "
                    "VALUES (:executor, :slot, :host, :pid, :jobs_version) "
                    "ON CONFLICT (executor) DO NOTHING"
                ),
                {
                    "executor": holder.executor, "slot": holder.slot, "host": holder.host,
                    "pid": holder.pid, "jobs_version": holder.jobs_version,
                },
            )  # fmt: skip

    def beat(self, executor: str, *, lives: bool = True) -> bool:
        """Whether the lease is still held; `lives`: it is prolonged."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                text("UPDATE cadnode_workers SET beats = beats + :n WHERE executor = :executor"),
                {"n": int(lives), "executor": executor},
            )
            return changed.rowcount == 1

    def all(self) -> list[Lease]:
        """The leases that are held, the earliest first."""
        with self._engine.begin() as connection:
            rows = connection.execute(
                text(
                    "SELECT executor, slot, number, beats, host, jobs_version "
                    "FROM cadnode_workers ORDER BY number"
                )
            ).all()
        return [Lease(*row) for row in rows]

    def end(self, lease: Lease) -> bool:
        """Whether the lease was ended now: not when it was prolonged since, or ended by another."""
        with self._engine.begin() as connection:
            gone = connection.execute(
                text("DELETE FROM cadnode_workers WHERE executor = :executor AND beats = :beats"),
                {"executor": lease.executor, "beats": lease.beats},
            )
            return gone.rowcount == 1

    def release(self, executor: str) -> bool:
        """Whether the lease was given back now: not while a job is the executor's that may run."""
        with self._engine.begin() as connection:
            gone = connection.execute(
                text(
                    "DELETE FROM cadnode_workers WHERE executor = :executor AND NOT EXISTS ("
                    "SELECT 1 FROM dbos.workflow_status "
                    "WHERE executor_id = :executor AND status = 'PENDING')"
                ),
                {"executor": executor},
            )
            return gone.rowcount == 1

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def is_missing(error: Exception) -> bool:
    """Whether an error says that there is no such table: the database is another one."""
    return isinstance(error, ProgrammingError)

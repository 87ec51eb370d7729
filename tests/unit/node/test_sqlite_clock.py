"""The clock that DBOS asks of SQLite, whatever the library."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from cadnode.node import job_database
from cadnode.node.job_database import client_of


class WithoutClock(sqlite3.Connection):
    """A connection of SQLite 3.38 to 3.41: `unixepoch` does not know 'subsec'."""

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql == "SELECT unixepoch('subsec')" and not hasattr(self, "mended"):
            sql = "SELECT NULL"
        return super().execute(sql, *args)

    def create_function(self, *args: Any, **named: Any) -> None:
        if args[0] == "unixepoch":
            self.mended = True
        super().create_function(*args, **named)


class WithoutFunction(WithoutClock):
    """A connection of SQLite before 3.38: there is no `unixepoch`."""

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if not hasattr(self, "mended"):
            sql = sql.replace("unixepoch", "no_such_function")
        return sqlite3.Connection.execute(self, sql, *args)


@pytest.mark.parametrize("factory", [sqlite3.Connection, WithoutClock, WithoutFunction])
def test_every_connection_of_sqlalchemy_has_the_clock(
    factory: type[sqlite3.Connection], tmp_path: Path
) -> None:
    job_database.mend()
    engine = create_engine(f"sqlite:///{tmp_path / 'a.sqlite'}", connect_args={"factory": factory})
    before = time.time()

    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE t (i INTEGER, at INTEGER NOT NULL DEFAULT (unixepoch('subsec')*1000))"
            )
        )
        connection.execute(text("INSERT INTO t (i) VALUES (1)"))
        (at,) = connection.execute(text("SELECT at FROM t")).one()
        (now,) = connection.execute(text("SELECT unixepoch('subsec')")).one()
    engine.dispose()

    assert before - 0.001 <= at / 1000 <= time.time()
    assert before - 0.001 <= now <= time.time() + 0.001


@pytest.mark.parametrize("factory", [WithoutClock, WithoutFunction])
def test_a_library_without_the_clock_is_recognised(factory: type[sqlite3.Connection]) -> None:
    connection = sqlite3.connect(":memory:", factory=factory)

    assert not job_database.has_clock(connection)
    connection.close()


def test_the_clock_is_as_fine_as_milliseconds() -> None:
    assert job_database._unixepoch("subsec") == pytest.approx(time.time(), abs=1.0)
    assert job_database._unixepoch("subsecond") == pytest.approx(time.time(), abs=1.0)
    assert job_database._unixepoch("yesterday") is None


def test_asking_for_a_client_is_enough_and_twice_is_no_more(tmp_path: Path) -> None:
    client_of(f"sqlite:///{tmp_path / 'a.sqlite'}").destroy()
    job_database.mend()
    made: list[str] = []

    class Counting(WithoutClock):
        def create_function(self, *args: Any, **named: Any) -> None:
            made.append(args[0])
            super().create_function(*args, **named)

    engine = create_engine(f"sqlite:///{tmp_path / 'b.sqlite'}", connect_args={"factory": Counting})
    engine.connect().close()
    engine.dispose()

    assert made.count("unixepoch") == 1  # SQLAlchemy has functions of its own

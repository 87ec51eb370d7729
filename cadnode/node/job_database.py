"""The job database as other processes than the worker see it."""

import json
import sqlite3
import time
from typing import Any, Final

from dbos import DBOSClient, Serializer
from sqlalchemy import event
from sqlalchemy.engine import Engine


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

"""The clock that DBOS asks of SQLite, for libraries that do not have it.

On Python 3.12 and later DBOS takes the time from `unixepoch('subsec')`, also as the default of its
columns, because it takes SQLite to be as new as Python. The modifier came with SQLite 3.42
(sqlite.org, "Date And Time Functions"); before, the answer is NULL, and no job can be stored.
Python has the system's library on Debian 12 (3.40), Ubuntu 22.04 (3.37) and wherever it is built
from source. On Python 3.11 DBOS asks `strftime('%s','now')`, which every SQLite has: there the
same library is good enough.

Choice: the function is given to each connection that lacks it. That needs no other SQLite (whose
wheels exist for a few platforms, and which SQLAlchemy would have to be made to use), keeps DBOS as
it is, and a job database stays usable when Python or SQLite change under it, in either direction.
"""

import sqlite3
import time
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Engine

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

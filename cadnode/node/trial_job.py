"""A real job in a job database of its own: whether Python, SQLite and DBOS run jobs here.

The node's own workflows run from the arrival to the delivery, with steps that do nothing. It is a
process of its own (`python -m cadnode.node.trial_job`), because a process has one DBOS, and
because whatever fails there, even a crash of a library, is reported here as a sentence.
"""

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from cadnode.errors import SettingsError
from cadnode.files import write_whole
from cadnode.node import job_database, orphans
from cadnode.node.jobs import JobLookup, deliver_id
from cadnode.node.workflow import Announcer, launch, prepare, stop
from cadnode.node.workflow_steps import FetchAnswer, Steps

WITHIN_S: Final = 60.0
STAMP: Final = "jobs-tried.json"
_STUDY, _CONTENT, _DESTINATION = "trial", "content", "nowhere"
_QUIET_S: Final = 0.05


def problem_of(database_url: str, storage: Path, within_s: float = WITHIN_S) -> str:
    """Why the node could not work with its job database, in a sentence; "" when it can.

    With SQLite a job is run in a new database in `storage`, where the node's own is, or in the
    system's temporary folder while `storage` is not there. PostgreSQL is only connected to.
    """
    try:
        if make_url(database_url).get_backend_name() != "sqlite":
            return _connection_problem(database_url)
    except ArgumentError:
        return "jobs.database_url is not a database's URL"
    where = storage if storage.is_dir() else None
    try:
        with tempfile.TemporaryDirectory(prefix=".trial-", dir=where) as name:
            problem = _run(f"sqlite:///{Path(name).resolve() / 'jobs.sqlite'}", within_s)
    except OSError as error:
        return f"a trial job database cannot be made in {where}: {error.strerror}"
    return f"a trial job did not run ({problem}) on {_versions()}" if problem else ""


def ensure(database_url: str, storage: Path) -> None:
    """Return when jobs run here; what was tried once with the same versions is not tried again.

    Nothing is tried while the job database cannot be used: the worker waits for it.

    Raises
    ------
    SettingsError
        They do not; the message gives the reason.
    """
    if job_database.problem_of(database_url):
        return
    stamp = storage / STAMP
    try:
        if stamp.read_text() == _stamp(database_url):
            return
    except (OSError, UnicodeDecodeError, ArgumentError):
        pass
    if problem := problem_of(database_url, storage):
        raise SettingsError(problem)
    with suppress(OSError):  # a full disk: it is tried once more at the next start
        write_whole(stamp, _stamp(database_url).encode())


def _stamp(database_url: str) -> str:
    backend = make_url(database_url).get_backend_name()
    tried = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    tried |= {name: version(name) for name in ("dbos", "sqlalchemy")}
    return json.dumps({"backend": backend, **tried}) + "\n"


def _connection_problem(database_url: str) -> str:
    try:
        engine = create_engine(database_url)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        if job_database.is_not_made(error):
            return ""
        return f"the job database (jobs.database_url) cannot be used: {type(error).__name__}"
    return ""


def _run(url: str, within_s: float) -> str:
    """The problem that the trial's process reported; "" when all went well."""
    command = [sys.executable, "-m", "cadnode.node.trial_job", url, str(within_s)]
    command.append(str(os.getpid()))
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=within_s + 20.0, check=False
        )
    except subprocess.TimeoutExpired:
        return "it hangs"
    if ended.returncode == 0:
        return ""
    return ended.stdout.strip() or f"its process ended with {ended.returncode}"


def _versions() -> str:
    return (
        f"Python {platform.python_version()} with SQLite {sqlite3.sqlite_version}: install a newer "
        "SQLite, or set jobs.database_url to a PostgreSQL server"
    )


def attempt(url: str, within_s: float) -> str:
    """Run the trial in this process, which must not have run DBOS before; as `problem_of`."""
    delivered = threading.Event()
    try:
        prepare(url)
        launch(_steps(delivered), url)
    except (SettingsError, SQLAlchemyError) as error:
        return f"its tables cannot be made: {_reason(error)}"
    try:
        announcer = Announcer(url)
        try:
            announcer.announce(_STUDY, _QUIET_S)
        except SQLAlchemyError as error:
            return f"it cannot be stored: {_reason(error)}"
        finally:
            announcer.close()
        if not delivered.wait(within_s):
            return f"it was stored, but not done within {within_s:g} s"
    finally:
        stop(within_s=5.0)
    return _outcome(url)


def _outcome(url: str) -> str:
    progress = JobLookup(url)
    try:
        wanted = deliver_id(_STUDY, _CONTENT, _DESTINATION)
        job = progress.find([wanted]).get(wanted)
    finally:
        progress.close()
    if job is None or job.output != "delivered" or not job.created_at:
        return "its result was not kept"
    return ""


def _steps(delivered: threading.Event) -> Steps:
    def deliver(_study: str, _content: str, _destination: str) -> str:
        delivered.set()
        return "delivered"

    return Steps(
        fetch=lambda *_: FetchAnswer("nothing_asked"),
        fingerprint=lambda *_: _CONTENT,
        read=lambda *_: True,
        predecessor=lambda *_: "",
        report=lambda *_: 1,
        deliver=deliver,
        answer=lambda study, content, has_failed: "",
        shadow=lambda *_: "read",
        has_result=lambda *_: False,
        now=lambda: datetime.now(UTC),
        destinations=((_DESTINATION, 0.0),),
    )


def _reason(error: Exception) -> str:
    """SQLite's own words: nothing but the trial is in its database."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def main() -> int:
    """Run the trial, print on standard output what is wrong; exit code 1 when something is."""
    from cadnode import log

    log.configure("CRITICAL", human=False)
    _, url, within_s, parent = sys.argv
    orphans.end_with(int(parent))
    problem = attempt(url, float(within_s))
    sys.stdout.write(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())

"""A copy of the job database of one moment, taken while the node works; and put back."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cadnode.errors import SettingsError
from cadnode.node import job_database
from cadnode.settings import Settings

SQLITE, POSTGRES = "jobs.sqlite", "jobs.dump"
_BUSY_S: Final = 30.0


def copied(values: Settings, folder: Path) -> Path | None:
    """The copy, in `folder`, under the name that it has in a backup; None: there is none yet.

    Raises
    ------
    SettingsError
        The database cannot be copied; a backup without it is one of the files alone, which a node
        goes on from as well.
    """
    if job_database.is_shared(values.database_url):
        copy = folder / POSTGRES
        _run("pg_dump", values.database_url, "--format=custom", f"--file={copy}")
        return copy
    source = job_database.file_of(values.database_url)
    if source is None or not source.exists():
        return None
    copy = folder / SQLITE
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True,
                                    timeout=_BUSY_S)) as there,
            closing(sqlite3.connect(copy)) as here,
        ):  # fmt: skip
            there.backup(here)
    except sqlite3.Error as error:
        raise SettingsError(
            f"the job database cannot be copied ({type(error).__name__}): `cadnode check` says how "
            "it is; --without-jobs makes a backup that a node goes on from as well"
        ) from None
    return copy


def put_back(values: Settings, dump: Path) -> None:
    """Have a PostgreSQL server hold what the dump does; tables without a job are replaced.

    Raises
    ------
    SettingsError
        It holds jobs, does not answer, or refuses.
    """
    if _has_jobs(values.database_url):
        raise SettingsError(
            "jobs.database_url holds jobs already, perhaps of a node that works: a backup is "
            "restored into an empty database. Set another one, or drop this one if it is none's"
        )
    _run("pg_restore", values.database_url, "--clean", "--if-exists", "--no-owner",
         "--single-transaction", str(dump))  # fmt: skip


def _has_jobs(database_url: str) -> bool:
    try:
        engine = create_engine(database_url, poolclass=NullPool)
        with engine.connect() as connection:
            found = connection.execute(text("SELECT 1 FROM dbos.workflow_status LIMIT 1"))
            return found.first() is not None
    except SQLAlchemyError:  # no such table; of a server that is away pg_restore tells
        return False


def _run(program: str, database_url: str, *arguments: str) -> None:
    url = make_url(database_url)
    password = url.password or url.query.get("password")
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    try:
        subprocess.run(
            [program, f"--dbname={_plain(url)}", "--no-password", *arguments],
            check=True, capture_output=True, env=environment,
        )  # fmt: skip
    except FileNotFoundError:
        raise SettingsError(
            f"{program} is not installed: it comes with PostgreSQL's client (Debian: "
            "postgresql-client), of the server's version or a newer one"
        ) from None
    except subprocess.CalledProcessError as error:
        # Its words may quote what is in the database, or the URL.
        raise SettingsError(
            f"{program} failed with exit code {error.returncode}: is the server of "
            "jobs.database_url up, with that database, and the program of its version or newer?"
        ) from None


def _plain(url: URL) -> str:
    """As libpq takes it: without SQLAlchemy's driver, nor a password: all see it there."""
    bare = url.difference_update_query(["password"])
    return bare._replace(drivername="postgresql", password=None).render_as_string()

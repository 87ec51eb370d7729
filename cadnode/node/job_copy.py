"""A copy of the job database of one moment, taken while the node works; and put back."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.engine import URL

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
    """Have a PostgreSQL server hold what the dump does, in place of what is there.

    Raises
    ------
    SettingsError
        The server does not answer, or refuses.
    """
    _run("pg_restore", values.database_url, "--clean", "--if-exists", "--no-owner",
         "--single-transaction", str(dump))  # fmt: skip


def _run(program: str, database_url: str, *arguments: str) -> None:
    url = make_url(database_url)
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
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
            "jobs.database_url up, and the program of its version or newer?"
        ) from None


def _plain(url: URL) -> str:
    """As libpq takes it: without SQLAlchemy's driver, and without the password."""
    return url.set(drivername="postgresql", password=None).render_as_string()

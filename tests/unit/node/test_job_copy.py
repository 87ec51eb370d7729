"""A PostgreSQL server's jobs are copied without a password that others see, and replace no jobs."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from cadnode.errors import SettingsError
from cadnode.node import job_copy
from cadnode.settings import Settings
from cadnode.settings.sections import JobsSection
from tests.postgres import NEEDS_POSTGRES, postgres_server

TABLE = "CREATE SCHEMA dbos; CREATE TABLE dbos.workflow_status (name text);"


def of(url: str) -> Settings:
    return Settings(jobs=JobsSection(database_url=url))


@pytest.mark.parametrize("url", ["postgresql://u:PW@h/d", "postgresql://u@h/d?password=PW"])
def test_a_password_is_no_argument_of_a_program(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(arguments: list[str], *, env: dict[str, str], **_: object) -> None:
        seen.append((arguments[1], env["PGPASSWORD"]))

    monkeypatch.setattr(subprocess, "run", run)
    job_copy.copied(of(url), tmp_path)
    assert seen == [("--dbname=postgresql://u@h/d", "PW")]


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_server() as server:
        server.start()
        admin = make_url(server.url).set(database="postgres")
        with create_engine(
            admin, isolation_level="AUTOCOMMIT", poolclass=NullPool
        ).connect() as connection:
            connection.execute(text("CREATE DATABASE cadnode"))
        yield server.url
        server.stop()


@NEEDS_POSTGRES
def test_a_copy_is_put_back_into_a_database_without_jobs_alone(url: str, tmp_path: Path) -> None:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(TABLE + "INSERT INTO dbos.workflow_status VALUES ('read')"))
    copy = job_copy.copied(of(url), tmp_path)
    assert copy is not None

    with pytest.raises(SettingsError, match="holds jobs already"):
        job_copy.put_back(of(url), copy)

    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("DELETE FROM dbos.workflow_status"))
    job_copy.put_back(of(url), copy)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        found = connection.execute(text("SELECT name FROM dbos.workflow_status")).scalars().all()
    assert found == ["read"]

"""Whether jobs run here at all: tried with a real one, said in a sentence."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cadnode.errors import SettingsError
from cadnode.node import trial_job
from cadnode.node.checks import CheckVerdict
from cadnode.node.checks import _jobs as jobs_check
from cadnode.settings import Settings, StorageSection

# What DBOS does on Python 3.12 and later, and on this one when `clock` is unixepoch('subsec').
SCRIPT = """
import sys
import dbos._migration, dbos._sys_db
import sqlalchemy as sa
from cadnode import log
from cadnode.node import trial_job

log.configure("CRITICAL")
clock, url = sys.argv[1:]
first = dbos._migration.sqlite_migrations[0]
assert "strftime('%s','now')" in first or "unixepoch('subsec')" in first
for old in ("strftime('%s','now')", "unixepoch('subsec')"):
    first = first.replace(old, clock)
dbos._migration.sqlite_migrations[0] = first
dbos._sys_db.SystemDatabase._now_ms_sql = lambda self: sa.literal_column(f"({clock} * 1000)")
print(trial_job.attempt(url, 20.0))
"""


def attempt(clock: str, folder: Path) -> str:
    url = f"sqlite:///{folder / 'jobs.sqlite'}"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, clock, url], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def test_a_real_job_runs_to_its_delivery(tmp_path: Path) -> None:
    assert trial_job.problem_of(f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path) == ""
    assert list(tmp_path.iterdir()) == []  # the trial is gone, and the node's own was not made


def test_jobs_run_with_the_clock_that_newer_pythons_ask_for(tmp_path: Path) -> None:
    assert attempt("unixepoch('subsec')", tmp_path) == ""


@pytest.mark.parametrize("clock", ["NULL", "no_such_clock()"])
def test_a_clock_that_gives_no_time_is_said_in_words(clock: str, tmp_path: Path) -> None:
    said = attempt(clock, tmp_path)

    assert said.startswith(("it cannot be stored: ", "its tables cannot be made: "))
    assert "NOT NULL" in said or "no_such_clock" in said or "unknown function" in said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('it cannot be stored: disk I/O error'); sys.exit(1)", "disk I/O error"),
        ("sys.exit(7)", "its process ended with 7"),
        ("import os; os.abort()", "its process ended with -6"),
    ],
)
def test_however_the_trial_ends_check_and_start_say_a_sentence(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run

    def fails(command: list[str], **options: Any) -> Any:
        return run([sys.executable, "-c", f"import sys; {code}"], **options)

    monkeypatch.setattr(subprocess, "run", fails)
    settings = Settings(storage=StorageSection(folder=tmp_path))

    found = jobs_check(settings)
    with pytest.raises(SettingsError) as failed:
        trial_job.ensure(settings.database_url, tmp_path)

    assert found.verdict == CheckVerdict.FAILED
    assert said in found.found
    assert found.found == str(failed.value)
    assert "SQLite" in found.found
    assert "\n" not in found.found
    assert not (tmp_path / trial_job.STAMP).exists()


def test_what_was_tried_with_the_same_versions_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(trial_job, "_run", lambda url, within_s: tried.append(url) or "")
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"

    trial_job.ensure(url, tmp_path)
    trial_job.ensure(url, tmp_path)
    assert len(tried) == 1

    monkeypatch.setattr("sqlite3.sqlite_version", "3.99.0")
    trial_job.ensure(url, tmp_path)
    assert len(tried) == 2


@pytest.mark.parametrize("url", ["postgresql://localhost:1/jobs", "nonsense", "mongo://there/x"])
def test_a_database_that_is_not_there_is_said_in_words(url: str, tmp_path: Path) -> None:
    said = trial_job.problem_of(url, tmp_path)

    assert "jobs.database_url" in said
    assert "\n" not in said


def test_before_the_first_start_a_folder_that_is_not_there_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_job, "_run", lambda url, within_s: "")
    settings = Settings(storage=StorageSection(folder=tmp_path / "not" / "yet"))

    assert jobs_check(settings).verdict is CheckVerdict.OK

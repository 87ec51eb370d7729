"""A node's storage folder with a study that was read and reported, for tests of what is removed."""

import shutil
import time
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from cadnode.node import delivery_record
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.heartbeat import Pulse
from cadnode.node.jobs import DeliveryStatus, Job, JobsUnavailable
from cadnode.node.poison import Casualties
from cadnode.node.retention import Due, Retention
from cadnode.node.retention_rules import KeptBecause, Part
from cadnode.node.sweep import Sweep
from cadnode.node.worker_steps import WorkerSteps
from cadnode.receive.spool import Spool, StoredInstance
from cadnode.settings import Settings
from tests.spool_cases import add_file
from tests.synthetic import write_exam
from tests.unit.node.test_written_once import NOON, Readings

DAY = 86400.0
_MADE: list[Path] = []  # where the study was read, once in a test run


class Jobs:
    """The job database: what a test put into it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.is_away = False

    def add(self, identifier: str, status: str, output: str | None = None) -> None:
        self.jobs[identifier] = Job(identifier, "any", status, output, 1.0, 2.0)

    def _asked(self) -> list[Job]:
        if self.is_away:
            raise JobsUnavailable
        return list(self.jobs.values())

    def find(self, identifiers: Iterable[str]) -> dict[str, Job]:
        return {job.identifier: job for job in self._asked() if job.identifier in set(identifiers)}

    def open_jobs(self, *names: str) -> list[Job]:
        return [j for j in self._asked() if j.is_open and j.identifier.split("-")[0] in names]

    def ended_since(self, since: datetime, *names: str) -> list[Job]:
        return [j for j in self._asked() if j.status == "SUCCESS"]

    def failed_since(self, since: datetime, *names: str) -> list[Job]:
        return [j for j in self._asked() if j.has_failed]


class Rows:
    """The finished rows: what was deleted of them."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def delete(self, identifiers: Iterable[str]) -> None:
        self.deleted += identifiers

    def delete_ended(self, before: float, has_results: object) -> int:
        return 0


class Place:
    """A node's storage folder with one study of four views, read and reported."""

    def __init__(self, folder: Path, made: Path | None = None, **retention: Any) -> None:
        """A copy of `made`; without it the study is received and read."""
        if made is not None:
            shutil.copytree(made, folder, dirs_exist_ok=True)
        self.folder = folder
        out = {"name": "out", "kind": "folder", "folder": folder / "out", "profile": "standard"}
        small = {"heat_map_longer_side": 96, "small_heat_map_longer_side": 64}
        self.settings = Settings(
            storage={"folder": folder, "min_free_gb": 0.0}, destinations=[out],
            report=small, retention=retention,
        )  # fmt: skip
        self.spool = Spool(folder / "spool")
        models: Any = Readings()
        self.worker = WorkerSteps(self.settings, self.spool, models)
        self.jobs, self.rows = Jobs(), Rows()
        if made is None:
            self.receive(write_exam(folder / "exam"))
            self.read()
        self.paths = sorted((folder / "exam").glob("*.dcm"))
        (self.study,) = self.spool.studies()
        self.content = self.worker.fingerprint(self.study)

    @cached_property
    def sweep(self) -> Sweep:
        """What the worker takes up by itself, by the settings of its first use."""
        casualties = Casualties(self.folder)
        return Sweep(self.settings, self.spool, self.worker, casualties, Pulse())

    def receive(self, paths: Iterable[Path]) -> list[StoredInstance]:
        return [add_file(self.spool, path) for path in paths]

    def read(self) -> str:
        """The content that the study has now, read and reported."""
        (study,) = self.spool.studies()
        content = self.worker.fingerprint(study)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cadnode.node.worker_steps.read_exam", Readings().read)
            assert self.worker.read(study, content)
        before = self.worker.predecessor(study, content)
        self.worker.report(study, content, before, NOON)
        return content

    @property
    def result(self) -> Path:
        return self.folder / "results" / self.study / self.content

    def deliver(self, status: DeliveryStatus = DeliveryStatus.DELIVERED) -> None:
        delivery_record.record(self.result, DeliveryTry("out", status, time.time()))

    def retention(self) -> Retention:
        jobs: Any = self.jobs
        rows: Any = self.rows
        found = Retention(self.settings, self.spool, jobs, rows)
        found.account.refresh()
        return found

    def clean(self, days: float) -> list[Due]:
        """Remove what may go `days` from now."""
        retention = self.retention()
        return list(retention.due(time.time() + days * DAY, may_go=retention.remove))

    def verdicts(self, days: float) -> list[tuple[Part, KeptBecause | None]]:
        jobs: Any = self.jobs
        retention = Retention(self.settings, self.spool, jobs)
        retention.account.refresh()
        return [(due.part, due.kept) for due in retention.due(time.time() + days * DAY)]


def made_once(factory: pytest.TempPathFactory) -> Path:
    """A storage folder with the study read; tests get copies of it."""
    if not _MADE:
        _MADE.append(Place(factory.mktemp("retention")).folder)
    return _MADE[0]

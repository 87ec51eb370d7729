"""What is said of a delivery that an older job database takes for open, by several workers."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from cadnode.node import job_comparison, rebuild
from cadnode.node.job_comparison import JobComparison
from cadnode.node.jobs import DeliveryStatus, Job, deliver_id
from cadnode.node.rebuild import Lost
from cadnode.node.results import Results
from cadnode.node.undelivered import UndeliveredIndex
from cadnode.settings import Settings

JOB = deliver_id("a" * 16, "b" * 16, "archive")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Job]:
    """The job database, as all workers see it."""
    known = {JOB: Job(JOB, "deliver", "ENQUEUED", None, 100.0, 100.0)}

    class Lookup:
        def __init__(self, _url: str) -> None: ...

        def find(self, identifiers: Iterable[str]) -> dict[str, Job]:
            return {one: known[one] for one in identifiers if one in known}

        def close(self) -> None: ...

    def lost(*_: object) -> Lost:
        return Lost(arrived={JOB: DeliveryStatus.DELIVERED})

    monkeypatch.setattr(job_comparison, "JobLookup", Lookup)
    monkeypatch.setattr(rebuild, "lost", lost)
    return known


def worker(storage: Path) -> JobComparison:
    settings = Settings.model_validate({"storage": {"folder": str(storage)}})
    index = UndeliveredIndex(storage)
    index.build(Results.in_storage(storage), [])
    one = JobComparison(settings, Results.in_storage(storage), index)
    one.compare()
    return one


def asked(one: JobComparison) -> DeliveryStatus | None:
    return one.arrived("a" * 16, "b" * 16, "archive")


def test_it_is_said_once_while_that_job_is_open(jobs: dict[str, Job], tmp_path: Path) -> None:
    one = worker(tmp_path)
    assert asked(one) is DeliveryStatus.DELIVERED
    assert asked(one) is None


@pytest.mark.parametrize(
    "since",
    [
        {JOB: Job(JOB, "deliver", "SUCCESS", '"delivered"', 100.0, 101.0)},
        {JOB: Job(JOB, "deliver", "PENDING", None, 200.0, 200.0)},  # asked for once more
        {},
    ],
)
def test_what_another_worker_has_said_does_not_swallow_a_later_order(
    jobs: dict[str, Job], tmp_path: Path, since: dict[str, Job]
) -> None:
    one = worker(tmp_path)
    jobs.clear()
    jobs.update(since)
    assert asked(one) is None

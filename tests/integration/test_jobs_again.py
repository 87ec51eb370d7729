"""The durable workflow on a real job database: what ended badly begins anew when somebody asks."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dbos import DBOS

from cadnode.node import delivery_workflow, retry, workflow
from cadnode.node.jobs import Job, JobLookup, deliver_id, process_id, process_ids
from cadnode.node.workflow_steps import FetchAnswer, Start, Steps

STUDY, CONTENT = "0123456789abcdef", "fedcba9876543210"
NAMES = ("pacs", "ehr")


class Node:
    """Steps that do what a test tells them, and the jobs that come of it."""

    def __init__(self, progress: JobLookup) -> None:
        self.progress = progress
        self.n_made = 1
        self.is_readable = True
        self.has_result = False
        self.answers: dict[str, str] = {}
        self.breaks: set[str] = set()
        self.calls: Counter[str] = Counter()

    def steps(self) -> Steps:
        return Steps(
            fetch=lambda study, ticket, waited_s: FetchAnswer("fetched", "t", 0.0, again=True),
            fingerprint=lambda study: CONTENT,
            read=self._read,
            predecessor=lambda study, content: "",
            report=self._report,
            deliver=self._deliver,
            answer=lambda study, content, has_failed: "",
            shadow=lambda study, content: "none",
            has_result=lambda study, content: self.has_result,
            now=lambda: datetime.now(UTC),
            destinations=tuple((name, 0.0) for name in NAMES),
            one_at_a_time=frozenset({"ehr"}),
        )

    def _read(self, study: str, content: str) -> bool:
        self.calls["read"] += 1
        if not self.is_readable:
            raise RuntimeError("the disk is full")
        return True

    def _report(self, study: str, content: str, predecessor: str, made_at: str) -> int:
        self.has_result = True
        return self.n_made

    def _deliver(self, study: str, content: str, destination: str) -> str:
        self.calls[destination] += 1
        if destination in self.breaks:
            raise FileNotFoundError(destination)
        return self.answers.get(destination, "delivered")

    def jobs(self) -> dict[str, Job]:
        deliveries = [deliver_id(STUDY, CONTENT, name) for name in NAMES]
        return self.progress.find([*process_ids(STUDY, CONTENT), *deliveries])

    def is_idle(self) -> bool:
        jobs = self.progress.open_jobs("fetch", "consider", "process", "deliver")
        return not [j for j in jobs if (j.name, j.status) != ("deliver", "DELAYED")]  # for days

    def words(self) -> dict[str, str | None]:
        jobs = self.jobs()
        ids = {name: deliver_id(STUDY, CONTENT, name) for name in NAMES}
        return {name: jobs[i].output for name, i in ids.items() if i in jobs}


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Node, Start]]:
    monkeypatch.setattr(retry, "READING", replace(retry.READING, first_pause_s=0.0))
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    workflow.prepare(url)
    progress = JobLookup(url)
    node = Node(progress)
    start = workflow.launch(node.steps(), url)
    yield node, start
    workflow.stop(within_s=2)
    progress.close()


def test_what_was_refused_or_broke_is_delivered_when_somebody_asks_again(
    node: tuple[Node, Start],
) -> None:
    place, start = node
    place.answers["pacs"] = "refused"
    place.breaks = {"ehr"}
    start.consider(STUDY)
    wait_until(lambda: place.words() == {"pacs": "refused", "ehr": "given_up"})
    start.consider(STUDY)  # found by the sweep, or announced once more: nothing happens
    wait_until(place.is_idle)
    assert (place.calls["pacs"], place.calls["read"]) == (1, 1)
    place.answers, place.breaks = {}, set()
    start.fetch(STUDY)
    wait_until(lambda: place.words() == {"pacs": "delivered", "ehr": "delivered"})
    start.fetch(STUDY)  # and what has arrived is not sent again
    wait_until(place.is_idle)
    assert place.calls == {"read": 1, "pacs": 2, "ehr": 2}


def test_a_study_that_could_not_be_read_is_read_when_somebody_asks_again(
    node: tuple[Node, Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, start = node
    place.is_readable = False
    monkeypatch.setattr(retry, "READING", replace(retry.READING, last_attempt=1))
    start.consider(STUDY)
    second = process_id(STUDY, CONTENT, 1)
    wait_until(lambda: second in place.jobs() and place.jobs()[second].has_failed)
    place.is_readable = True
    start.fetch(STUDY)
    wait_until(lambda: place.words() == {"pacs": "delivered", "ehr": "delivered"})
    assert second not in place.jobs()
    place.has_result = False  # somebody removed it
    start.fetch(STUDY)
    wait_until(lambda: place.calls == {"read": 4, "pacs": 2, "ehr": 2})


def test_without_anything_that_a_destination_may_get_nothing_is_delivered(
    node: tuple[Node, Start],
) -> None:
    place, start = node
    place.n_made = 0
    start.consider(STUDY)
    first = process_id(STUDY, CONTENT, 0)
    wait_until(lambda: first in place.jobs() and place.jobs()[first].output == "reported")
    assert place.words() == {}


def test_bundles_that_share_resources_go_one_after_the_other(node: tuple[Node, Start]) -> None:
    queues = [DBOS.retrieve_queue(delivery_workflow.delivery_queue(name)) for name in NAMES]
    assert [queue and queue.worker_concurrency for queue in queues] == [2, 1]

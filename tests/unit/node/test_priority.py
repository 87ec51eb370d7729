"""Which study is read first: who states a priority, the rule, and the queue that keeps it."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cadnode.domain import Priority
from cadnode.node import priority, workflow
from cadnode.node.priority import Origin
from cadnode.settings import ListenerSection, Settings, StorageSection, StudySection
from cadnode.settings.sections import ListenerPeer
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.golden.code import idle_steps
from tests.integration.node import wait_until

STUDY = "0123456789abcdef"
U, D, S = Priority.URGENT, Priority.DIAGNOSTIC, Priority.SCREENING


def test_the_most_urgent_word_of_anybody_counts(tmp_path: Path) -> None:
    assert priority.priority_of(tmp_path, STUDY) is S
    priority.state(tmp_path, STUDY, Origin.PEER, D)
    priority.state(tmp_path, STUDY, Origin.DESCRIPTION, S)
    assert priority.priority_of(tmp_path, STUDY) is D
    priority.state(tmp_path, STUDY, Origin.REQUEST, U)
    priority.state(tmp_path, STUDY, Origin.REQUEST, S)
    assert priority.priority_of(tmp_path, STUDY) is U
    assert [priority.rank(one) for one in (U, D, S)] == [1, 2, 3]


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    (tmp_path / "priorities").mkdir()
    (tmp_path / "priorities" / f"{STUDY}.json").write_text('{"peer": "soon"}')
    assert priority.priority_of(tmp_path, STUDY) is S


def test_a_sender_s_priority_is_that_of_its_title_and_address() -> None:
    peers = (
        ListenerPeer(address="10.1.0.0/16", ae_title="CLINIC", ae_titles=("CLINIC2",), priority=D),
        ListenerPeer(address="10.1.2.3", ae_title="BUS", priority=S),
        ListenerPeer(address="10.9.0.0/16"),
    )
    assert priority.of_sender(peers, "CLINIC2", "10.1.2.3") is D
    assert priority.of_sender(peers, "BUS", "10.1.2.3") is S
    assert priority.of_sender(peers, "CLINIC", "10.9.2.3") is None


def test_a_word_of_the_description_makes_a_study_diagnostic(tmp_path: Path) -> None:
    paths = write_dicom(exam(1, PhantomSpec(0.9, rows=240, columns=200)), tmp_path / "views")
    import pydicom

    for path in paths:
        ds = pydicom.dcmread(path)
        ds.StudyDescription = "MAMMO DIAGNOSTISCH"
        ds.save_as(path)
    (tmp_path / "broken.dcm").write_bytes(b"no DICOM")
    paths = [tmp_path / "broken.dcm", *paths]
    settings = Settings(storage=StorageSection(folder=tmp_path / "data"))
    assert priority.decided(settings, STUDY, paths) is S
    settings = settings.model_copy(update={"study": StudySection(diagnostic_words=("diagnost",))})
    assert priority.decided(settings, STUDY, paths) is D
    assert priority.priority_of(tmp_path / "data", STUDY) is D  # as lists and the message show it


def test_what_is_here_no_more_is_forgotten_in_the_end(tmp_path: Path) -> None:
    for study in ("a" * 16, "b" * 16):
        priority.state(tmp_path, study, Origin.PEER, D)
    assert priority.forget_old(tmp_path, 0.0, []) == 0
    assert priority.forget_old(tmp_path, 1e12, ["a" * 16]) == 1
    assert priority.priority_of(tmp_path, "a" * 16) is D


def test_a_peer_s_priority_is_a_setting() -> None:
    peer = {"address": "10.0.0.1", "priority": "diagnostic"}
    section = ListenerSection.model_validate({"peers": [peer]})
    assert section.peers[0].priority is D
    with pytest.raises(ValueError, match="urgent"):
        ListenerSection.model_validate({"peers": [{"address": "10.0.0.1", "priority": "soon"}]})


class Queue:
    """A worker whose readings wait until they are let go, and what it has read in which order."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.read: list[str] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def reading(self, study: str, content: str) -> bool:
        self.read.append(study)
        self.begun.set()
        assert self.go_on.wait(60)
        return False


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[tuple[Queue, workflow.Start]]:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    found = Queue()
    workflow.prepare(url)
    steps = replace(
        idle_steps("pacs"),
        fingerprint=lambda study: "content",
        read=found.reading,
        priority=lambda study: found.places.get(study, 3),
    )
    start = workflow.launch(steps, url)
    try:
        yield found, start
    finally:
        found.go_on.set()
        workflow.stop(5.0)


def test_the_queue_is_read_by_priority_and_what_waits_is_brought_forward(
    queue: tuple[Queue, workflow.Start],
) -> None:
    from dbos import DBOS

    found, start = queue
    found.places = {"b": 3, "c": 3, "d": 2, "e": 1}
    start.consider("a")
    assert found.begun.wait(30)

    def waiting() -> dict[str, int]:
        jobs = DBOS.list_workflows(name="process", status="ENQUEUED")
        return {job.workflow_id.split("-")[1]: int(job.priority or 0) for job in jobs}

    for study in "bcde":
        start.consider(study)
        wait_until(lambda one=study: one in waiting(), f"{study} waits")  # type: ignore[misc]
    found.places["c"] = 1
    start.consider("c")
    wait_until(lambda: waiting()["c"] == 1, "c is brought forward")
    assert waiting() == {"b": 3, "c": 1, "d": 2, "e": 1}
    found.go_on.set()
    wait_until(lambda: len(found.read) == 5, "all are read")
    assert found.read == ["a", "c", "e", "d", "b"]

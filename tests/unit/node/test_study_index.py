"""The state of studies as gathered from a real spool, results on disk, and jobs."""

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pytest

from cadnode.errors import CadnodeError
from cadnode.exam.mammogram import inspect
from cadnode.log import hashed
from cadnode.node import header_index as room
from cadnode.node.jobs import Job, JobsUnavailable, deliver_id, process_ids
from cadnode.node.readiness import content_of, describe
from cadnode.node.results import PAGE
from cadnode.node.study_index import Studies
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.requests import Request
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.node import StudyReport
from cadnode.web.study import State
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write

DESTINATIONS = [{"name": "archive", "kind": "folder", "folder": "/nowhere"}]
RESULT = {
    "outcome": "findings",
    "complete": True,
    "findings": [{}, {}],
    "exam": {"score": 0.5},
    "skipped": [
        {"reason": "implant", "meaning": "It has an implant"},
        {"reason": "implant", "meaning": "It has an implant"},
    ],
}


class Jobs:
    """The job database: what a test put into it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.is_away = False
        self.n_questions = 0

    def add(
        self, identifier: str, status: str, output: str | None = None, updated_at: float = 2.0
    ) -> None:
        self.jobs[identifier] = Job(identifier, "any", status, output, 1.0, updated_at)

    def find(self, identifiers: Iterable[str]) -> dict[str, Job]:
        if self.is_away:
            raise JobsUnavailable
        self.n_questions += 1
        return {i: self.jobs[i] for i in identifiers if i in self.jobs}

    def ended_since(self, since: datetime, *names: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.status == "SUCCESS"]

    def failed_since(self, since: datetime, *names: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.has_failed]


class Place:
    """A node's storage folder with one study of two views in it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            storage={"folder": folder}, destinations=DESTINATIONS, study={"quiet_s": 1000.0}
        )
        self.folder = folder
        self.spool = Spool(folder / "spool")
        self.jobs = Jobs()
        self.studies = Studies(self.settings, self.spool, self.jobs)  # type: ignore[arg-type]
        dataset = view_dataset("R", "CC", seed=1)
        self.uid = str(dataset.StudyInstanceUID)
        self.key = hashed(self.uid)
        add_file(self.spool, write(dataset, folder / "one.dcm"))

    @property
    def content(self) -> str:
        return content_of([describe(inspect(p)) for p in self.spool.instances(self.key)])

    def finish(self) -> None:
        """Read and delivered."""
        where = self.folder / "results" / self.key / self.content
        where.mkdir(parents=True)
        (where / "result.json").write_text(json.dumps(RESULT))
        names = [p.name for p in self.spool.instances(self.key)]
        (where / "inputs.json").write_text(json.dumps(names))
        (where / PAGE).write_text("<p>")
        self.jobs.add(process_ids(self.key, self.content)[0], "SUCCESS", "reported")
        self.jobs.add(deliver_id(self.key, self.content, "archive"), "SUCCESS", "delivered")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_study_goes_from_arriving_to_done(place: Place) -> None:
    states = [place.studies.state_of(place.uid).state]
    first = process_ids(place.key, place.content)[0]
    for status in ("ENQUEUED", "PENDING"):
        place.jobs.add(first, status)
        states.append(place.studies.state_of(place.uid).state)
    place.finish()
    delivery = deliver_id(place.key, place.content, "archive")
    place.jobs.add(delivery, "PENDING")
    states.append(place.studies.state_of(place.uid).state)
    place.jobs.add(delivery, "SUCCESS", "delivered")
    states.append(place.studies.state_of(place.uid).state)
    assert [s.value for s in states] == ["receiving", "queued", "reading", "delivering", "done"]


def test_a_finished_study_tells_its_result_once_per_reason(place: Place) -> None:
    place.finish()
    told = place.studies.state_of(place.uid)
    assert (told.outcome, told.n_findings, told.exam_score) == ("findings", 2, 0.5)
    assert told.is_complete is True
    assert [(r.code, r.meaning) for r in told.reasons] == [("implant", "It has an implant")]
    assert told.deliveries == (("archive", "delivered"),)
    assert told.n_instances == 1
    assert told.study_instance_uid == place.uid
    assert told.updated_at is not None


def test_a_study_goes_by_its_key_too(place: Place) -> None:
    assert place.studies.state_of(place.key) == place.studies.state_of(place.uid)


def test_an_image_that_comes_later_makes_the_study_arrive_again(place: Place) -> None:
    place.finish()
    assert place.studies.state_of(place.uid).state is State.DONE
    later = view_dataset("L", "CC", seed=1)
    later.StudyInstanceUID = place.uid
    add_file(place.spool, write(later, place.folder / "later.dcm"))
    told = place.studies.state_of(place.uid)
    assert told.state is State.RECEIVING
    assert [reason.code for reason in told.reasons] == ["waiting_for_views"]
    assert told.reasons[0].meaning.startswith("waiting for LMLO and RMLO; otherwise ")
    assert told.outcome is None
    assert told.n_instances == 2


def test_a_study_without_mammograms_is_ignored_once_it_is_quiet(place: Place) -> None:
    ct = view_dataset("L", "CC", seed=2)
    ct.Modality, ct.SOPClassUID = "CT", "1.2.840.10008.5.1.4.1.1.2"
    ct.StudyInstanceUID = "1.2.3.4"
    add_file(place.spool, write(ct, place.folder / "ct.dcm"))
    assert place.studies.state_of("1.2.3.4").state is State.RECEIVING
    os.utime(place.folder / "spool" / "studies" / hashed("1.2.3.4"), (0, 0))
    assert place.studies.state_of("1.2.3.4").state is State.IGNORED


def test_a_study_that_was_asked_for_is_being_fetched(place: Place) -> None:
    requests.save(place.folder / "spool", Request("1.2.3.5", "orthanc"))
    told = place.studies.state_of("1.2.3.5")
    assert told.state is State.FETCHING
    assert told.study_instance_uid == "1.2.3.5"
    assert hashed("1.2.3.5") in place.studies.changes()


def test_an_unknown_study_is_unknown_and_has_no_page(place: Place) -> None:
    assert place.studies.state_of("1.2.3").state is State.UNKNOWN
    assert place.studies.page_of("1.2.3") is None
    assert place.studies.page_of("../../etc/passwd") is None


def test_the_page_of_a_study_is_that_of_the_images_that_it_holds_now(place: Place) -> None:
    place.finish()
    current = place.folder / "results" / place.key / place.content / PAGE
    current.write_text("<p>now")
    newer = place.folder / "results" / place.key / "ffff" / PAGE
    newer.parent.mkdir()
    newer.write_text("<p>of other images, read later")
    os.utime(newer, (2e9, 2e9))
    assert place.studies.page_of(place.uid) == StudyReport(current)


def test_the_page_of_other_images_is_known_to_be_one(place: Place) -> None:
    older = place.folder / "results" / place.key / "ffff" / PAGE
    older.parent.mkdir(parents=True)
    older.write_text("<p>before an image came")
    assert place.studies.page_of(place.uid) == StudyReport(older, is_current=False)


def test_whose_study_it_is_comes_from_its_headers(place: Place) -> None:
    patient = place.studies.patient_of(place.uid)
    assert patient.patient_id == "ZZQ-ID-0001"
    assert place.studies.patient_of("1.2.3").names == ()


def test_a_corrected_name_is_shown(place: Place) -> None:
    assert "ZZQNAME" in place.studies.patient_of(place.uid).names[0]
    corrected = view_dataset("R", "CC", seed=1)
    corrected.PatientName = "Corrected^Name"
    add_file(place.spool, write(corrected, place.folder / "corrected.dcm"))
    assert place.studies.patient_of(place.uid).names == ("Corrected, Name",)


def test_a_study_that_is_removed_while_it_is_looked_at_is_unknown(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [place.folder / "spool" / "studies" / place.key / "gone.dcm"]
    monkeypatch.setattr(Spool, "instances", lambda spool, key: gone)
    assert place.studies.state_of(place.uid).state is State.UNKNOWN


def test_headers_are_read_again_only_after_a_change(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    monkeypatch.setattr(room, "inspect", lambda path: looks.append(1) or inspect(path))
    for _ in range(3):
        place.studies.state_of(place.uid)
    assert len(looks) == 1
    later = view_dataset("L", "CC", seed=1)
    later.StudyInstanceUID = place.uid
    add_file(place.spool, write(later, place.folder / "later.dcm"))
    place.studies.state_of(place.uid)
    assert len(looks) == 2


def test_a_result_of_all_files_spares_the_look_into_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.finish()
    monkeypatch.setattr(room, "inspect", lambda path: pytest.fail("headers are read"))
    assert place.studies.state_of(place.uid).state is State.DONE


def test_states_come_in_the_order_asked_for_with_one_question_to_the_job_database(
    place: Place,
) -> None:
    for number, age in ((1, 300), (2, 100), (3, 200)):
        dataset = view_dataset("R", "CC", seed=number + 10)
        dataset.StudyInstanceUID = f"1.2.{number}"
        stored = add_file(place.spool, write(dataset, place.folder / f"{number}.dcm"))
        os.utime(stored.path.parent, (2e9 - age, 2e9 - age))
    place.jobs.n_questions = 0
    found = place.studies.states_of(hashed(uid) for uid in ("1.2.2", "1.2.3", "1.2.1"))
    assert [s.study_instance_uid for s in found] == ["1.2.2", "1.2.3", "1.2.1"]
    changes = place.studies.changes()
    assert changes[hashed("1.2.2")] == 2e9 - 100
    assert all(place.studies.changed_at(key) == at for key, at in changes.items())
    assert place.jobs.n_questions == 1


def test_a_job_database_that_is_away_is_said_to_be(place: Place) -> None:
    place.jobs.is_away = True
    with pytest.raises(CadnodeError, match="job database"):
        place.studies.state_of(place.uid)

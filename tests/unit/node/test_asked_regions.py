"""Regions that are asked about: taken at the desk, assessed by the worker, kept with the study."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest

from cadnode.domain import Assessment, ExamResult, Finding, FindingKind, SkipReason, System
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Exam, PersonRegion
from cadnode.log import hashed
from cadnode.node import asked_regions, delivery_record, region_desk, results
from cadnode.node.deliveries import attempt
from cadnode.node.erasure.places import place_of
from cadnode.node.jobs import DeliveryStatus, RegionStatus
from cadnode.node.region_desk import MOST_A_MINUTE, MOST_WAITING, Pace, RegionDesk
from cadnode.report.profiles import ANSWER
from cadnode.web.region_pages import box_draft
from cadnode.web.regions import RegionDraft, RegionRefused
from tests.erasure_cases import ANN, BEA, ErasureNode, images
from tests.integration.node import wait_until
from tests.unit.node.test_written_once import Readings
from tests.unit.region_cases import tid1500


class Client:
    """Stands for the job database of the desk."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, tuple[Any, ...]]] = []
        self.error: Exception | None = None

    def enqueue(self, options: dict[str, Any], *arguments: Any) -> None:
        if self.error is not None:
            raise self.error
        self.jobs.append((options["workflow_id"], arguments))

    def destroy(self) -> None:
        pass


class Place:
    """A node with one study of Ann's that is read, and the desk of its web server."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, made: Path | None = None
    ) -> None:
        self.client, self.n_open = Client(), 0
        monkeypatch.setattr(region_desk, "client_of", lambda _url: self.client)
        monkeypatch.setattr("cadnode.node.region_reading.assess_region", self._assess)
        monkeypatch.setattr("cadnode.node.region_reading.threshold_of", lambda *_: 0.5)
        self.node = ErasureNode(folder, made)
        self.node.worker.regions._models = SimpleNamespace(current=lambda: None)
        kept = results.Results.in_storage(self.node.folder)
        known = [study for study, _ in kept.studies()]
        self.study = known[0] if known else self.node.study(images(ANN, "ann"))
        progress: Any = SimpleNamespace(
            open_jobs=lambda *_: [None] * self.n_open,
            find=lambda ids: dict.fromkeys({*ids} & {job for job, _ in self.client.jobs}),
        )
        self.desk = RegionDesk(self.node.settings, progress)
        self.files = {path.stem: path for path in self.node.spool.instances(self.study)}
        self.view = min(self.files)
        self.assessed: list[PersonRegion] = []
        self.error: Exception | None = None

    def _assess(
        self, exam: Exam, region: PersonRegion, _readers: object, _finished: object, **_: object
    ) -> ExamResult:
        self.assessed.append(region)
        if self.error is not None:
            raise self.error
        found = Assessment(System.KIM2018, "a", 0.75, suspicious=True)
        finding = Finding(
            region.sop_instance_uid, region.box, region.outline, FindingKind.MARKED_REGION, 0.75,
            "a", (found,), marked_by=region.reference,
        )  # fmt: skip
        return ExamResult(exam.study_instance_uid, None, (), (), (finding,), (), ())

    def ask(self, *box: float, view: str = "") -> region_desk.AskedRegion:
        return self.desk.ask(
            self.study, box_draft(view or self.view, *(box or (9, 8, 30, 40))), "vera"
        )

    def work(self) -> list[str]:
        """Carry out what was ordered."""
        jobs, self.client.jobs = self.client.jobs, []
        return [self.node.worker.regions.assess(study, name) for _, (study, name, _) in jobs]

    def folder(self, region: str) -> Path:
        return self.node.folder / "results" / self.study / region

    @property
    def regions(self) -> Any:
        return self.desk.of_study(self.study).regions


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that has read the study, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    ErasureNode(folder).study(images(ANN, "ann"))
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> Place:
    return Place(tmp_path / "node", monkeypatch, made)


def test_a_region_waits_is_assessed_and_is_shown_again_by_another_desk(place: Place) -> None:
    asked = place.ask(9, 8, 30, 40)
    assert (asked.is_new, asked.region.state) == (True, "waiting")

    assert place.work() == [RegionStatus.ASSESSED]

    (shown,) = RegionDesk(place.node.settings, place.desk._progress).of_study(place.study).regions
    assert (shown.state, shown.box) == ("assessed", (9, 8, 30, 40))
    assert [(s.system, s.score, s.threshold) for s in shown.scores] == [("kim2018", 0.75, 0.5)]
    assert shown.seconds is not None
    (region,) = place.assessed
    assert tuple(region.box) == (8, 9, 40, 30), "rows first"


def test_a_region_whose_job_was_never_made_is_taken_up_when_it_is_asked_about_again(
    place: Place,
) -> None:
    """The web server was killed between the order's file and its job."""
    first = place.ask()
    lost, place.client.jobs = place.client.jobs, []
    again = place.ask()
    assert (again.is_new, again.region.state) == (False, "waiting")
    assert place.client.jobs == lost
    assert place.work() == [RegionStatus.ASSESSED]
    assert place.ask().region.state == "assessed"
    assert place.client.jobs == []
    assert first.region.identifier == again.region.identifier


def test_the_object_of_an_attempt_that_broke_gives_way_to_the_answer_that_is_shown(
    place: Place,
) -> None:
    """The worker died between the two, and another model is active since: nobody has it."""
    name = place.ask().region.identifier
    (place.folder(name) / ANSWER).write_bytes(b"of the attempt before")
    assert place.work() == [RegionStatus.ASSESSED]
    assert "0.75" in str(pydicom.dcmread(place.folder(name) / ANSWER))


def test_the_answer_is_an_sr_of_the_same_study_and_patient(place: Place) -> None:
    name = place.ask().region.identifier
    place.work()

    ds = pydicom.dcmread(place.folder(name) / ANSWER)
    assert hashed(ds.StudyInstanceUID) == place.study
    assert ds.PatientID == ANN["PatientID"]
    source = pydicom.dcmread(place.files[place.view])
    assert source.SOPInstanceUID in str(ds.CurrentRequestedProcedureEvidenceSequence)


def test_the_same_region_twice_is_one_and_another_one_is_new(place: Place) -> None:
    first, same, other = place.ask(9, 8, 30, 40), place.ask(9, 8, 30, 40), place.ask(9, 8, 30, 41)

    assert [one.is_new for one in (first, same, other)] == [True, False, True]
    assert first.region.identifier == same.region.identifier != other.region.identifier
    assert len(place.client.jobs) == 2
    place.work()
    assert not place.ask(9, 8, 30, 40).is_new
    assert not place.client.jobs


def test_what_failed_has_a_reason_and_is_tried_again_when_it_is_asked_again(place: Place) -> None:
    place.error = NotProcessable(SkipReason.ROI_UNUSABLE, "it lies mostly outside the breast")
    name = place.ask().region.identifier
    (job, _) = place.client.jobs[0]
    assert place.work() == [RegionStatus.FAILED]
    (failed,) = place.regions
    assert (failed.state, failed.code) == ("failed", "roi_unusable")
    assert "it lies mostly outside the breast" in failed.meaning
    assert not (place.folder(name) / ANSWER).exists()

    place.error = None
    assert place.ask().is_new
    assert place.client.jobs[0][0] != job, "a job of one name runs once"
    assert place.work() == [RegionStatus.ASSESSED]
    assert place.regions[0].state == "assessed"


def test_a_job_that_runs_twice_assesses_once(place: Place) -> None:
    name = place.ask().region.identifier
    place.work()
    before = (place.folder(name) / ANSWER).read_bytes()

    assert place.node.worker.regions.assess(place.study, name) == RegionStatus.ASSESSED
    assert len(place.assessed) == 1
    assert (place.folder(name) / ANSWER).read_bytes() == before


@pytest.mark.parametrize(
    ("box", "view", "status"),
    [
        ((9, 8, 30, 40), "0" * 16, 404),
        ((9, 8, 30, 40), "../../../etc", 404),
        ((-50, -50, 0, 0), "", 422),
        ((1e5, 0, 2e5, 90), "", 422),
        ((9, 8, 9.5, 40), "", 422),
    ],
)
def test_what_is_no_place_in_a_view_is_refused(
    place: Place, box: tuple[float, ...], view: str, status: int
) -> None:
    with pytest.raises(RegionRefused) as refused:
        place.ask(*box, view=view)

    assert refused.value.status == status
    assert not place.client.jobs
    assert place.regions == ()


def test_an_outline_that_encloses_nothing_is_refused(place: Place) -> None:
    flat = RegionDraft(place.view, ((0.0, 0.0), (20.0, 20.0), (40.0, 40.0)), is_box=False)

    with pytest.raises(RegionRefused, match="no area"):
        place.desk.ask(place.study, flat, "vera")


def test_a_study_that_is_not_read_is_refused_until_it_is(place: Place) -> None:
    results.Results.in_storage(place.node.folder).remove(place.study)

    with pytest.raises(RegionRefused) as refused:
        place.ask()
    assert refused.value.status == 409


def test_too_many_at_once_are_refused(place: Place) -> None:
    place.n_open = MOST_WAITING

    with pytest.raises(RegionRefused) as refused:
        place.ask()
    assert refused.value.status == 429
    assert place.regions == ()


def test_each_caller_has_a_pace_of_his_own() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    for _ in range(MOST_A_MINUTE):
        pace.admit("vera")
    with pytest.raises(RegionRefused):
        pace.admit("vera")
    pace.admit("otto")
    now[0] = 61.0
    pace.admit("vera")


def test_without_the_job_database_nothing_is_promised(place: Place) -> None:
    from sqlalchemy.exc import OperationalError

    from cadnode.web.node import Unavailable

    place.client.error = OperationalError("", {}, Exception())
    with pytest.raises(Unavailable):
        place.ask()
    assert place.regions == ()
    assert not list((place.node.folder / "results").rglob(asked_regions.ORDER))


def test_a_region_whose_images_are_gone_says_so(place: Place) -> None:
    place.ask()
    for path in place.files.values():
        path.unlink()

    assert place.work() == [RegionStatus.FAILED]
    assert "images were removed" in place.regions[0].meaning


def test_after_the_last_attempt_it_is_answered_that_it_failed(place: Place) -> None:
    name = place.ask().region.identifier

    place.node.worker.regions.give_up(place.study, name)

    assert (place.regions[0].state, place.regions[0].code) == ("failed", "region_failed")


def test_a_region_is_no_reading_and_changes_nothing_of_the_studys_result(place: Place) -> None:
    kept = results.Results.in_storage(place.node.folder)
    before = (kept.reported(place.study), kept.predecessor(place.study, ""))
    place.ask()
    place.work()

    assert (kept.reported(place.study), kept.predecessor(place.study, "")) == before
    assert kept.newest_pages(place.study)


def test_the_answer_is_delivered_beside_the_report_and_removes_nothing_of_it(place: Place) -> None:
    name = place.ask().region.identifier
    place.work()
    content = results.Results.in_storage(place.node.folder).predecessor(place.study, "")
    out = place.node.settings.destinations[0]
    report = place.folder(content)
    assert attempt(place.node.settings, place.study, report, "out").status.has_arrived
    there = {p.name for p in Path(str(out.folder)).rglob("*.dcm")}

    end = attempt(place.node.settings, place.study, place.folder(name), "out")

    assert end.status is DeliveryStatus.DELIVERED
    now = {p.name for p in Path(str(out.folder)).rglob("*.dcm")}
    assert now == there | {ANSWER}
    assert "out" in place.node.worker.bound().answer_takers


def test_a_worker_that_finds_no_job_of_a_region_takes_it_up(place: Place) -> None:
    waiting, done = place.ask(9, 8, 30, 40), place.ask(9, 8, 30, 50)
    place.node.worker.regions.assess(place.study, done.region.identifier)
    started: list[tuple[Any, ...]] = []
    start: Any = SimpleNamespace(
        region=lambda *said: started.append(("region", *said)),
        deliver=lambda study, name, to: started.append(("deliver", study, name, tuple(to))),
        deliver_again=lambda *_: None,
    )
    place.node.worker.jobs._take_up_regions(start)

    assert sorted(started) == [
        ("deliver", place.study, done.region.identifier, ("out",)),
        ("region", place.study, waiting.region.identifier, 0),
    ]
    delivery_record.record(
        place.folder(done.region.identifier),
        delivery_record.DeliveryTry("out", DeliveryStatus.DELIVERED, 1.0),
    )
    started.clear()
    place.node.worker.jobs._take_up_regions(start)
    assert ("deliver", place.study, done.region.identifier, ()) in started


def test_every_file_of_a_region_is_in_a_place_that_erasure_knows(place: Place) -> None:
    name = place.ask().region.identifier
    place.work()

    for path in place.folder(name).iterdir():
        found = place_of(path.relative_to(place.node.folder))
        assert found is not None
        assert found.name == "results"


@pytest.mark.parametrize("is_answered", [True, False])
def test_regions_are_erased_with_their_patient(place: Place, is_answered: bool) -> None:
    name = place.ask().region.identifier
    if is_answered:
        place.work()

    erased = place.node.erase()

    assert not place.folder(name).exists()
    assert not list((place.node.folder / "results").rglob(asked_regions.ORDER))
    assert erased is not None
    gated = place.node.worker.bound()
    assert gated.assess_region(place.study, name) == RegionStatus.GONE
    assert not place.folder(name).exists(), "a late job makes nothing anew"


def test_in_a_study_of_two_patients_only_hers_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch)
    mixed = place.node.study([*images(ANN, "both"), *images(BEA, "both", seed=50)])
    place.study = mixed
    by_patient: dict[str, str] = {}
    for path in place.node.spool.instances(mixed):
        by_patient.setdefault(str(pydicom.dcmread(path).PatientID), path.stem)
    hers = place.ask(view=by_patient[ANN["PatientID"]]).region.identifier
    others = place.ask(view=by_patient[BEA["PatientID"]]).region.identifier

    place.node.erase()

    assert not place.folder(hers).exists()
    assert place.folder(others).exists()


def test_what_a_viewer_sends_to_a_read_study_is_asked_about_once(place: Place) -> None:
    worker = place.node.worker
    source = pydicom.dcmread(place.files[place.view])
    drawn = tid1500([("POLYLINE", [(9, 8), (30, 8), (30, 40), (9, 40), (9, 8)])], source)
    assert worker._marks.take(place.study) == []
    place.node.receive([drawn])

    ((name, tries),) = worker._marks.take(place.study)

    assert tries == 0
    assert worker._marks.take(place.study) == [], "it waits already"
    assert worker.regions.assess(place.study, name) == RegionStatus.ASSESSED
    (region,) = place.assessed
    assert region.reference.sop_instance_uid == drawn.SOPInstanceUID
    assert place.regions[0].is_from_object
    answer = pydicom.dcmread(place.folder(name) / ANSWER)
    assert drawn.SOPInstanceUID in str(answer.ContentSequence)


def test_a_damaged_order_or_answer_is_none(place: Place) -> None:
    name = place.ask().region.identifier
    (place.folder(name) / "answer.json").write_text("{")
    assert place.regions[0].state == "waiting"
    (place.folder(name) / "order.json").write_text(json.dumps({"region": name}))
    assert place.regions == ()


def test_a_worker_that_reads_an_exam_assesses_a_region_before_its_next_view(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, seen = place.node.worker, list[tuple[str, int]]()
    name = place.ask().region.identifier
    job = threading.Thread(target=worker.regions.assess, args=(place.study, name), daemon=True)

    def read_exam(
        exam: Exam, readers: Any, *, on_progress: Callable[[str], None], **_: object
    ) -> Any:
        on_progress("L CC")
        seen.append(("L CC", len(place.assessed)))
        job.start()
        wait_until(lambda: worker._turns._n_regions == 1, "the region waits", within_s=30)
        seen.append(("L CC", len(place.assessed)))
        on_progress("L MLO")
        seen.append(("L MLO", len(place.assessed)))
        hand = worker._casualties._hand.read().decode()
        assert hand == f"{busy_with}-{content}", "the exam is in hand again"
        return Readings().read(exam, readers)

    monkeypatch.setattr("cadnode.node.worker_steps.read_exam", read_exam)
    busy_with = place.node.receive(images(BEA, "bea", seed=50))[0].study_key
    content = worker.fingerprint(busy_with)
    assert worker.read(busy_with, content)
    job.join(30)
    assert seen == [("L CC", 0), ("L CC", 0), ("L MLO", 1)]
    assert place.regions[0].state == "assessed"

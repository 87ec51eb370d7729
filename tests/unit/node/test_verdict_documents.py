"""Readers' verdicts on their way out: one document of several clicks, never doubled."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from cadnode.domain import Profile
from cadnode.errors import SettingsError
from cadnode.node import delivery_record, results
from cadnode.node.deliveries import attempt
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.delivery_tries import DeliveryTries
from cadnode.node.destination_profiles import profiles_of
from cadnode.node.erasure.places import place_of
from cadnode.node.jobs import DeliveryStatus, ShadowEnd
from cadnode.node.reader_verdicts import VerdictStore
from cadnode.node.results import Results
from cadnode.node.verdict_watch import FILE, VerdictWatch
from cadnode.report.profiles import VERDICTS
from cadnode.report.sr.verdict_report import evidence_of, named_before
from cadnode.settings import Settings
from cadnode.settings.load import load
from cadnode.web.reader_verdicts import VerdictWord, about_finding
from tests.erasure_cases import ANN, BEA, OF_ANN, ErasureNode, hits_of, images
from tests.unit.report.test_region_answer import items

AFTER_S = 60.0


class Desk:
    """A node whose one study is read, with a reader and the watch of its worker."""

    def __init__(self, folder: Path, made: Path) -> None:
        self.node = ErasureNode(folder, made)
        self.study = next(name for name, _ in Results.in_storage(self.node.folder).studies())
        self.content = Results.in_storage(self.node.folder).predecessor(self.study, "")
        self.store = VerdictStore(self.node.folder)
        self.sent: list[tuple[str, str, Sequence[str]]] = []
        self.now = time.time()
        self.settings = self.with_destinations(verdicts=True)
        self.watch = self.started()

    def with_destinations(self, **keys: Any) -> Settings:
        out = {"name": "out", "kind": "folder", "folder": self.node.folder.parent / "out", **keys}
        return self.node.settings.model_copy(
            update={
                "destinations": Settings(
                    storage={"folder": self.node.folder}, destinations=[out]
                ).destinations
            }
        )

    def started(self, settings: Settings | None = None) -> VerdictWatch:
        return VerdictWatch(
            settings or self.settings, lambda *job: self.sent.append(job), lambda: self.now
        )

    def says(self, word: VerdictWord, number: int = 1, by: str = "vera", patient: int = 1) -> None:
        part = self.parts[patient - 1]
        said = about_finding(
            results.load_scores(part).findings, number, word, at=time.time(), by=by,
            content=self.content, patient=patient,
        )  # fmt: skip
        self.store.add(self.study, said)

    @property
    def parts(self) -> list[Path]:
        return results.exam_folders(self.folder(self.content))

    def pause(self, seconds: float = AFTER_S + 1) -> None:
        self.now = max(self.now, time.time()) + seconds
        self.watch.look()

    def folder(self, name: str) -> Path:
        return self.node.folder / "results" / self.study / name

    def document(self, at: int = -1) -> Dataset:
        return pydicom.dcmread(self.folder(self.sent[at][1]) / VERDICTS)

    @property
    def files(self) -> list[Path]:
        return sorted((self.node.folder / "results" / self.study).glob(f"*/{VERDICTS}"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that has read the study, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    ErasureNode(folder).study(images(ANN, "ann"))
    return folder


@pytest.fixture(scope="module")
def made_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that has read a study of two patients, to be copied."""
    folder = tmp_path_factory.mktemp("two")
    ErasureNode(folder).study([*images(ANN, "both"), *images(BEA, "both", seed=3)])
    return folder


@pytest.fixture
def desk(tmp_path: Path, made: Path) -> Desk:
    return Desk(tmp_path / "node", made)


def words(ds: Dataset) -> list[str]:
    return [item.ConceptCodeSequence[0].CodeValue for item in items(ds, "READER_VERDICT")]


def test_several_clicks_are_one_document_after_a_pause(desk: Desk) -> None:
    desk.says(VerdictWord.REJECTED)
    desk.says(VerdictWord.ACCEPTED)
    desk.pause(AFTER_S / 3)
    assert not desk.sent + desk.files

    desk.pause()

    ((study, name, to),) = desk.sent
    assert (study, list(to)) == (desk.study, ["out"])
    assert desk.files == [desk.folder(name) / VERDICTS]
    assert words(desk.document()) == ["ACCEPTED"], "the last word counts"
    report = pydicom.dcmread(desk.folder(desk.content) / "sr.dcm")
    assert report.SOPInstanceUID in evidence_of(desk.document())
    assert place_of(desk.files[0].relative_to(desk.node.folder)) is not None
    assert place_of(Path(FILE)) is not None


def test_nothing_is_made_twice_whoever_looks(desk: Desk) -> None:
    desk.says(VerdictWord.ACCEPTED)
    desk.pause()
    before = desk.files[0].read_bytes()
    desk.pause()
    assert len(desk.sent) == 1

    desk.watch = desk.started()  # the node was killed before the delivery was tried
    desk.pause()
    assert desk.sent[0] == desk.sent[1], "a job of the same name runs once"
    assert [path.read_bytes() for path in desk.files] == [before]

    arrived = DeliveryTry("out", DeliveryStatus.DELIVERED, time.time())
    delivery_record.record(desk.files[0].parent, arrived)
    desk.watch = desk.started()
    desk.pause()
    assert len(desk.sent) == 2


def test_what_is_withdrawn_is_told_and_takes_the_place_of_what_was_said(desk: Desk) -> None:
    desk.says(VerdictWord.ACCEPTED)
    desk.pause()
    desk.says(VerdictWord.WITHDRAWN)
    desk.pause()

    first, second = desk.document(0), desk.document(1)
    assert words(second) == ["WITHDRAWN"]
    assert named_before(second) == {first.SOPInstanceUID}
    tries = DeliveryTries(desk.settings, Results.in_storage(desk.node.folder))
    old, new = (tries.deliver(desk.study, name, "out") for _, name, _ in desk.sent)
    assert (old.status, old.reason) == (DeliveryStatus.SUPERSEDED, "later verdicts were given")
    assert new.status is DeliveryStatus.DELIVERED
    desk.says(VerdictWord.ACCEPTED)
    desk.pause()
    assert named_before(desk.document()) == {second.SOPInstanceUID}
    assert desk.document().InstanceNumber == 3


def test_it_goes_beside_the_report_to_whom_gets_verdicts(desk: Desk) -> None:
    desk.says(VerdictWord.ACCEPTED)
    desk.pause()
    ((_, name, _),) = desk.sent

    for profile in (Profile.CAPTURES, Profile.TID1500):  # whatever else it gets
        settings = desk.with_destinations(verdicts=True, profile=profile)
        assert attempt(settings, desk.study, desk.folder(name), "out").status.has_arrived
    (copy,) = (desk.node.folder.parent / "out").rglob("*.dcm")
    assert copy.read_bytes() == desk.files[0].read_bytes()

    end = attempt(desk.with_destinations(), desk.study, desk.folder(name), "out")
    assert (end.status, end.reason) == (DeliveryStatus.REFUSED, "out gets no verdicts any more")
    assert desk.node.worker.shadow(desk.study, name) == ShadowEnd.OFF


def test_verdicts_of_before_a_destination_wanted_them_stay_here(desk: Desk) -> None:
    (desk.node.folder / FILE).unlink()
    desk.says(VerdictWord.ACCEPTED)
    time.sleep(0.01)
    desk.watch = desk.started()
    desk.pause()
    assert not desk.sent + desk.files
    desk.says(VerdictWord.REJECTED)
    desk.pause()
    assert words(desk.document()) == ["REJECTED"]


def test_what_cannot_be_made_is_tried_again_later(desk: Desk) -> None:
    report = desk.folder(desk.content) / "sr.dcm"
    for path in desk.folder(desk.content).glob("*sr.dcm"):
        path.rename(path.with_suffix(".away"))
    desk.says(VerdictWord.ACCEPTED)
    desk.pause()
    report.with_suffix(".away").rename(report)
    desk.pause(1.0)
    assert not desk.sent
    desk.pause(600.0)
    assert len(desk.sent) == 1


def test_a_result_that_was_removed_has_no_document(desk: Desk) -> None:
    desk.says(VerdictWord.ACCEPTED)
    shutil.rmtree(desk.folder(desk.content))
    desk.pause()
    assert not desk.sent + desk.files


def test_a_report_that_verdicts_can_name_is_made_whatever_the_profiles_are(desk: Desk) -> None:
    captures = desk.with_destinations(profile=Profile.CAPTURES)
    assert profiles_of(captures) == (Profile.CAPTURES,)
    wanted = desk.with_destinations(profile=Profile.CAPTURES, verdicts=True)
    assert profiles_of(wanted) == (Profile.CAPTURES, Profile.TID1500)
    ohif = desk.with_destinations(profile=Profile.OHIF, verdicts=True)
    assert profiles_of(ohif) == (Profile.OHIF,)


def test_each_patient_has_her_own_document_and_erasing_one_leaves_the_others(
    tmp_path: Path, made_of_two: Path
) -> None:
    desk = Desk(tmp_path / "node", made_of_two)
    desk.says(VerdictWord.ACCEPTED, patient=1)
    desk.pause()
    desk.says(VerdictWord.REJECTED, patient=2)
    desk.pause()
    assert len(desk.sent) == 3, "hers again by the same name"
    assert len(desk.files) == 2
    assert not named_before(desk.document())
    of = {str(pydicom.dcmread(path).PatientID): path for path in desk.files}
    assert set(of) == {ANN["PatientID"], BEA["PatientID"]}

    desk.node.erase()

    assert desk.files == [of[BEA["PatientID"]]]
    assert not hits_of(desk.node.folder, OF_ANN)
    n_sent = len(desk.sent)
    delivery_record.record(desk.files[0].parent, DeliveryTry("out", DeliveryStatus.DELIVERED, 1.0))
    desk.pause()
    assert len(desk.sent) == n_sent


def test_it_is_set_for_kinds_that_take_dicom_objects_only(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        '[[destinations]]\nname = "ris"\nkind = "hl7"\nhost = "a"\nport = 1\nverdicts = true\n'
    )
    with pytest.raises(SettingsError, match="verdicts are sent as a DICOM SR"):
        load(file)

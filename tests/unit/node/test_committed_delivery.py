"""One try after the other with an archive that commits: what is stored, asked, and answered."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pydicom import Dataset

from cadnode.deliver.dicom import DicomPeer
from cadnode.deliver.outcome import Delivered
from cadnode.errors import Again, DeliveryError
from cadnode.node import commitments, committed_delivery
from cadnode.node.commitments import Archives, Asked, Progress, Transactions
from cadnode.node.committed_delivery import CommittedDelivery
from cadnode.node.jobs import DeliveryStatus
from cadnode.receive.commitment_data import CommitmentReport, Reference
from cadnode.receive.commitment_requests import Sender
from cadnode.settings import Destination, Settings
from cadnode.settings.sections import ListenerPeer, ListenerSection, StorageSection
from tests.commitment_peers import CommittingArchive, report

ONE, OTHER = Reference("1.2.840.1", "1.2.3"), Reference("1.2.840.1", "1.2.4")
OBJECTS = {ONE: Path("one.dcm"), OTHER: Path("other.dcm")}
AWAITING, DELIVERED = DeliveryStatus.AWAITING_COMMITMENT, DeliveryStatus.DELIVERED


@dataclass
class Case:
    """A delivery, its archive, and the files that were sent to it."""

    archive: CommittingArchive
    transactions: Transactions
    result: Path
    sent: list[str] = field(default_factory=list)
    n_unverified: int = 0

    def attempt(self) -> DeliveryStatus:
        peer = DicomPeer("archive", "127.0.0.1", self.archive.port, "ARCHIVE", timeout_s=5.0)
        key = ("study", "content", "archive")
        delivery = CommittedDelivery(key, self.result, peer, self.transactions, self.store)
        return delivery.attempt(OBJECTS)

    def store(self, files: list[Path]) -> Delivered:
        self.sent += [path.stem for path in files]
        return Delivered(len(files), 0, self.n_unverified)

    def answer(
        self, committed: list[Reference], failed: dict[Reference, int] | None = None, n: int = -1
    ) -> None:
        """As the listener takes an answer to a request."""
        uid, _ = self.archive.of(n)
        self.transactions.take(
            CommitmentReport(uid, tuple(committed), tuple((failed or {}).items()))
        )

    @property
    def progress(self) -> Progress:
        return commitments.progress(self.result, "archive")


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    monkeypatch.setattr(committed_delivery, "ANSWER_WITHIN_S", 0.3)
    (tmp_path / "result").mkdir()
    with CommittingArchive("ARCHIVE").listening() as archive:
        yield Case(archive, Transactions(tmp_path), tmp_path / "result")


def test_what_is_confirmed_later_is_stored_and_asked_for_once(case: Case) -> None:
    assert case.attempt() is AWAITING
    uid, objects = case.archive.of()
    assert objects == [(r.sop_class_uid, r.sop_instance_uid) for r in OBJECTS]
    assert uid.startswith("2.25.")

    case.answer([ONE, OTHER])
    assert case.attempt() is DELIVERED
    assert case.sent == ["one", "other"]
    assert len(case.archive.asked) == 1
    assert list(case.transactions.answered()) == []


def test_an_answer_on_the_same_association_is_enough(case: Case) -> None:
    case.archive.at_once = lambda ds: report(
        ds.TransactionUID, [(r.sop_class_uid, r.sop_instance_uid) for r in OBJECTS], [], 0
    )
    assert case.attempt() is DELIVERED


def test_another_transaction_on_the_same_association_is_no_answer(case: Case) -> None:
    case.archive.at_once = lambda _ds: report(
        "1.2.3.4", [(r.sop_class_uid, r.sop_instance_uid) for r in OBJECTS], [], 0
    )
    assert case.attempt() is AWAITING


def test_what_failed_is_stored_again_at_once_and_then_as_the_schedule_says(case: Case) -> None:
    case.attempt()
    case.answer([ONE], {OTHER: 0x0112})
    assert case.attempt() is AWAITING
    assert case.sent == ["one", "other", "other"]
    assert case.archive.of()[1] == [(OTHER.sop_class_uid, OTHER.sop_instance_uid)]

    case.answer([], {OTHER: 0x0112})
    with pytest.raises(DeliveryError, match="committed 1 of 2 objects: 0112") as refused:
        case.attempt()
    assert refused.value.again is Again.SLOWLY
    assert case.sent == ["one", "other", "other"]
    assert case.attempt() is AWAITING  # when it is due
    case.answer([OTHER])
    assert case.attempt() is DELIVERED


@pytest.mark.parametrize(("reason", "again"), [(0x0119, Again.NEVER), (0x0213, Again.SOON)])
def test_each_reason_is_of_its_class(case: Case, reason: int, again: Again) -> None:
    case.attempt()
    case.answer([], {ONE: reason, OTHER: reason})
    if again is not Again.NEVER:
        case.attempt()
        case.answer([], {ONE: reason, OTHER: reason})

    with pytest.raises(DeliveryError) as refused:
        case.attempt()
    assert refused.value.again is again


def test_an_object_that_the_answer_leaves_out_or_names_otherwise_is_not_committed(
    case: Case,
) -> None:
    case.attempt()
    case.answer([ONE, Reference("1.2.840.9", OTHER.sop_instance_uid)])

    assert case.attempt() is AWAITING
    assert case.progress.committed == (ONE.sop_instance_uid,)
    assert case.sent[2:] == ["other"]


def test_an_archive_that_is_silent_is_asked_again_and_may_answer_the_first_request(
    case: Case,
) -> None:
    case.attempt()
    case.attempt()
    assert len(case.archive.asked) == 2
    assert case.sent == ["one", "other"]
    assert case.progress.next_question_s(3600.0) == 7200.0
    assert case.progress.next_question_s(86_400.0) == 86_400.0

    case.answer([ONE, OTHER], n=0)
    assert case.attempt() is DELIVERED


def test_an_archive_is_not_asked_for_ever() -> None:
    asked = Progress(n_unanswered=29, unanswered_since=0.0)
    assert asked.next_question_s(86_400.0) == 86_400.0
    assert replace(asked, n_unanswered=31).next_question_s(86_400.0) is None


def test_a_copy_that_could_not_be_compared_stays_unverified(case: Case) -> None:
    case.n_unverified = 1
    case.attempt()
    case.answer([ONE, OTHER])
    assert case.attempt() is DeliveryStatus.UNVERIFIED


def test_an_archive_without_the_class_is_refused_after_it_was_stored(tmp_path: Path) -> None:
    with CommittingArchive("ARCHIVE", offers=False).listening() as archive:
        case = Case(archive, Transactions(tmp_path), tmp_path)
        for _ in range(2):
            with pytest.raises(DeliveryError, match="does not offer storage commitment") as error:
                case.attempt()
    assert error.value.again is Again.SLOWLY
    assert case.sent == ["one", "other"]


def test_a_removed_result_is_not_made_again_by_its_progress(case: Case) -> None:
    case.result.rmdir()
    with pytest.raises(OSError, match="result"):
        case.attempt()
    assert not case.result.exists()


def settings(tmp_path: Path, *peers: ListenerPeer) -> Settings:
    archive = Destination(
        name="archive", host="localhost", port=104, ae_title="ARCHIVE", commit=True
    )
    return Settings(
        storage=StorageSection(folder=tmp_path),
        destinations=(archive, archive.model_copy(update={"name": "other", "ae_title": "OTHER"})),
        listener=ListenerSection(peers=peers),
    )


def said(uid: str) -> CommitmentReport:
    return CommitmentReport(uid, (ONE,))


def test_an_answer_is_taken_from_the_archive_that_was_asked_and_nobody_else(
    tmp_path: Path,
) -> None:
    elsewhere = ListenerPeer(address="10.9.0.0/16", ae_title="ARCHIVE")
    anybody = ListenerPeer(address="10.8.0.0/16")
    archives = Archives(settings(tmp_path, elsewhere, anybody))
    transactions = Transactions(tmp_path)
    transactions.begin("1.2.3", ("s", "c", "archive"))

    assert not archives.take(Sender("127.0.0.1", "OTHER"), said("1.2.3"))
    assert not archives.take(Sender("10.8.0.1", "ARCHIVE"), said("1.2.3"))
    assert not archives.take(Sender("127.0.0.1", "ARCHIVE"), said("1.2.4"))
    assert transactions.answer("1.2.3") is None
    assert archives.take(Sender("127.0.0.1", "ARCHIVE"), said("1.2.3"))
    answer = transactions.answer("1.2.3")
    assert archives.take(Sender("10.9.0.1", "ARCHIVE"), CommitmentReport("1.2.3", (OTHER,)))
    assert transactions.answer("1.2.3") == answer  # the first one stands


def test_a_settled_transaction_may_be_repeated_for_a_while(tmp_path: Path) -> None:
    transactions = Transactions(tmp_path)
    transactions.begin("1.2.3", ("s", "c", "archive"))
    transactions.settle("1.2.3")
    archives = Archives(settings(tmp_path))

    assert archives.take(Sender("127.0.0.1", "ARCHIVE"), said("1.2.3"))
    assert transactions.answer("1.2.3") is None
    later = Transactions(tmp_path, lambda: 1e12)
    later.forget_old(lambda _asked: True)
    assert later.find("1.2.3") is None


def test_what_a_delivery_still_waits_for_is_never_forgotten(tmp_path: Path) -> None:
    transactions = Transactions(tmp_path, lambda: 0.0)
    transactions.begin("1.2.3", ("s", "c", "archive"))
    later = Transactions(tmp_path, lambda: 1e12)

    later.forget_old(lambda _asked: True)
    assert later.find("1.2.3") == Asked("s", "c", "archive", 0.0)
    later.forget_old(lambda _asked: False)
    assert later.find("1.2.3") is None


def test_a_damaged_progress_begins_at_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "commitment.archive.json").write_bytes(b'{"stored": [1, 2')
    assert commitments.progress(tmp_path, "archive") == Progress()


def test_a_report_without_its_transaction_is_no_answer(case: Case) -> None:
    def without(asked: Dataset) -> Dataset:
        ds = Dataset()
        ds.ReferencedSOPSequence = asked.ReferencedSOPSequence
        return ds

    case.archive.at_once = without
    assert case.attempt() is AWAITING


@pytest.mark.parametrize(
    ("listener", "may"),
    [
        ({}, True),
        ({"host": "127.0.0.1"}, True),
        ({"peers": [{"address": "127.0.0.0/8"}]}, True),
        (
            {"peers": [{"address": "10.0.0.1", "ae_title": "ARCHIVE"}]},
            True,
        ),  # where it answers from
        ({"peers": [{"address": "10.0.0.1"}]}, False),
        ({"peers": [{"address": "127.0.0.1", "ae_title": "OTHER"}]}, False),
        ({"calling_ae_titles": ["OTHER"]}, False),
    ],
)
def test_it_is_known_before_whether_an_archive_could_answer(
    tmp_path: Path, listener: dict[str, object], may: bool
) -> None:
    changed = settings(tmp_path).model_copy(
        update={"listener": ListenerSection.model_validate(listener)}
    )
    assert commitments.may_answer(changed, changed.destination("archive")) is may

"""What is fetched of a prior, what is thrown away, and what is left where it fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cadnode.log import hashed
from cadnode.node.priors import asking, bringing
from cadnode.node.priors.bringing import MOST_IMAGES, shown
from cadnode.node.priors.finding import Prior
from cadnode.receive.fetch.fetch import FetchFailure, Sink
from cadnode.receive.fetch.listing import Listed
from cadnode.receive.fetch.requests import FetchCode
from cadnode.receive.fetch.studies import ListedStudy, header_of
from cadnode.web.prior_exams import PriorExam, PriorState
from tests.peers import wait_until
from tests.prior_cases import LONG_AGO, PRESENT, YEAR_AGO, PriorNode, exam_files
from tests.synthetic import MARK, uid

MG, RAW = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMO, SR = "1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.840.10008.5.1.4.1.1.88.33"


def listed(name: str, sop_class: str, modality: str = "MG") -> Listed:
    return Listed(uid(name), name, sop_class, modality)


def test_mammograms_alone_are_fetched_and_raw_ones_where_there_are_no_others() -> None:
    everything = [listed("a", MG), listed("r", RAW), listed("t", TOMO), listed("s", SR, "SR")]
    assert [one.where for one in shown(everything)] == ["a"]
    assert [one.where for one in shown(everything[1:])] == ["r"]
    assert shown(everything[2:]) == []
    assert len(shown([listed(str(n), MG) for n in range(200)])) == MOST_IMAGES


class Archive:
    """A source with files; `failing` is raised when an instance is asked for."""

    def __init__(self, files: dict[str, list[Path]]) -> None:
        self.files = files
        self.failing: Callable[[], None] = lambda: None
        self.n_streamed = 0

    def __call__(self, source: Any, ae_title: str) -> "Archive":
        return self

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def studies_of(self, patient_id: str, keyword: str = "PatientID") -> list[ListedStudy]:
        dates = {YEAR_AGO: "20230510", LONG_AGO: "20210615"}
        hers = {"PatientID": patient_id, "PatientBirthDate": "19010203"}
        return [
            ListedStudy(
                header_of({**hers, "StudyInstanceUID": study, "StudyDate": dates[study]}),
                "", ("MG",), len(files),
            )
            for study, files in self.files.items()
        ]  # fmt: skip

    def instances(self, request: Any) -> list[Listed]:
        from cadnode.receive.identity import read_file_identity

        files = self.files[request.study_instance_uid]
        return [Listed(read_file_identity(f).sop_instance_uid, str(f), MG, "MG") for f in files]

    def stream(self, instance: Listed, sink: Sink) -> bool:
        self.n_streamed += 1
        self.failing()
        sink(Path(instance.where).read_bytes())
        return True


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    found = Archive({s: exam_files(tmp_path / "at", s) for s in (YEAR_AGO, LONG_AGO)})
    monkeypatch.setattr(asking.source_kinds, "opened", found)
    monkeypatch.setattr(bringing.source_kinds, "opened", found)
    return found


def node_with(tmp_path: Path, **settings: Any) -> tuple[PriorNode, str]:
    sources = [{"name": "pacs", "url": "http://127.0.0.1:1"}]
    node = PriorNode(tmp_path / "data", sources=sources, **settings)
    return node, node.receive(exam_files(tmp_path, PRESENT))


def ended(node: PriorNode, present: str, prior: str) -> PriorExam:
    """The prior, once nobody fetches it."""

    def found() -> PriorExam | None:
        one = next(p for p in node.priors.listed(present).priors if p.key == prior)
        return None if one.state is PriorState.FETCHING else one

    return wait_until(found)


def test_the_newest_prior_is_fetched_ahead_once_and_no_other(
    tmp_path: Path, archive: Archive
) -> None:
    node, present = node_with(tmp_path)
    for _ in range(2):
        assert node.priors.bringer.begin_newest(present)
        wait_until(lambda: not node.priors.bringer.is_waiting(present, ""))
    assert [p.state for p in node.priors.listed(present).priors] == [
        PriorState.HERE, PriorState.AT_SOURCE,
    ]  # fmt: skip
    assert archive.n_streamed == 2


def test_files_that_name_another_woman_are_thrown_away_whatever_the_source_had_said(
    tmp_path: Path, archive: Archive
) -> None:
    other = {"PatientName": f"{MARK}OTHER^ANN", "PatientBirthDate": "19610304"}
    archive.files[YEAR_AGO] = exam_files(tmp_path / "other", YEAR_AGO, **other)
    node, present = node_with(tmp_path)
    prior = hashed(YEAR_AGO)
    assert node.priors.bring(present, prior)
    found = ended(node, present, prior)
    assert (found.state, "another patient" in found.reason) == (PriorState.FAILED, True)
    assert node.store.images(present, prior) == []


def test_a_prior_that_came_in_part_is_shown_and_can_be_fetched_again(
    tmp_path: Path, archive: Archive
) -> None:
    node, present = node_with(tmp_path)
    prior = hashed(YEAR_AGO)

    def cut() -> None:
        if archive.n_streamed == 2:
            code = FetchCode.SOURCE_UNREACHABLE
            raise FetchFailure(code, "pacs went away", retryable=True)

    archive.failing = cut
    assert node.priors.bring(present, prior)
    found = ended(node, present, prior)
    assert (found.state, found.may_be_fetched) == (PriorState.HERE, True)
    assert found.reason == FetchCode.SOURCE_UNREACHABLE.meaning
    assert node.priors.bring(present, prior)
    wait_until(lambda: len(node.store.images(present, prior)) == 2)
    assert (ended(node, present, prior).reason, archive.n_streamed) == ("", 3)
    assert node.priors.bring(present, prior) is True  # it is here: nothing is asked
    assert archive.n_streamed == 3


def test_what_nobody_lists_is_not_fetched_and_too_many_do_not_wait(
    tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, present = node_with(tmp_path)
    assert node.priors.bring(present, hashed(uid("nobody's"))) is None
    monkeypatch.setattr(bringing, "MOST_WAITING", 0)
    assert node.priors.bring(present, hashed(YEAR_AGO)) is False
    assert node.store.priors(present) == []


def test_a_study_that_was_removed_meanwhile_keeps_no_priors(
    tmp_path: Path, archive: Archive
) -> None:
    node, present = node_with(tmp_path)
    archive.failing = lambda: node.spool.discard(present)
    found = node.priors.listed(present).priors[0]
    assert node.priors.bring(present, found.key)
    wait_until(lambda: not node.priors.bringer.is_waiting(present, found.key))
    assert node.store.studies() == []


def test_for_a_study_that_was_erased_meanwhile_nothing_is_fetched_and_no_folder_names_it(
    tmp_path: Path,
) -> None:
    node = PriorNode(tmp_path / "data")
    gone = Prior(hashed(YEAR_AGO), YEAR_AGO, None, "", 2, at=[("archive", "")])
    node.priors.bringer.bring(hashed(PRESENT), gone)
    assert node.store.studies() == []

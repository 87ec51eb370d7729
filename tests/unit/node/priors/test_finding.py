"""Which exams are offered as priors: her own, earlier ones, and never another woman's."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cadnode.exam.identification import Identification, identify
from cadnode.exam.partition import Stated
from cadnode.log import hashed
from cadnode.node.priors import asking
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.receive.fetch.requests import FetchCode
from cadnode.receive.fetch.studies import ListedStudy, header_of
from cadnode.web.prior_exams import NoPriors, PriorState, interval_words
from tests.prior_cases import LONG_AGO, PRESENT, YEAR_AGO, PriorNode, exam_files
from tests.synthetic import MARK, uid

SHE = Stated("7", "", "ROE^JANE", "19500102")
SOURCES = [{"name": "archive", "url": "http://127.0.0.1:1"}]


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        (SHE, Identification.SAME),
        (Stated("7", "", "ROE^JANE", ""), Identification.SAME),
        (Stated("7", "", "MILLER^JANE", "19500102"), Identification.SAME),  # married
        (Stated("7", "", "MILLER^ANN", "19610304"), Identification.ANOTHER),
        (Stated("8", "", "ROE^JANE", "19500102"), Identification.ANOTHER),
        (Stated("7"), Identification.UNPROVEN),
        (Stated("", "", "ROE^JANE", "19500102"), Identification.UNPROVEN),
        (Stated("7", "", "MILLER^ANN", ""), Identification.UNPROVEN),
        (Stated("7", "", "ROE^JANE", "19610304"), Identification.UNPROVEN),  # a common name
    ],
)
def test_a_number_alone_makes_no_two_exams_one_womans(
    other: Stated, verdict: Identification
) -> None:
    assert identify(SHE, other) is verdict


def test_another_issuer_of_the_same_number_is_another_woman() -> None:
    here, there = Stated("7", "HERE", "ROE^JANE"), Stated("7", "THERE", "ROE^JANE")
    assert identify(here, there) is Identification.ANOTHER
    assert identify(here, Stated("7", "HERE")) is Identification.SAME


def test_intervals_are_said_as_a_reader_says_them() -> None:
    said = {
        interval_words(date(*prior), date(2024, 6, 15))
        for prior in ((2024, 6, 15), (2024, 6, 14), (2024, 5, 16), (2024, 5, 15), (2023, 6, 15),
                      (2023, 5, 10), (2022, 3, 15), (2021, 5, 15), (2022, 6, 16))
    }  # fmt: skip
    assert said == {
        "the same day", "1 day before", "30 days before", "1 month before", "1 year before",
        "1 year 1 month before", "2 years 3 months before", "3 years 1 month before",
        "1 year 11 months before",
    }  # fmt: skip


def test_earlier_exams_in_the_spool_are_listed_the_newest_first_with_their_intervals(
    tmp_path: Path,
) -> None:
    node = PriorNode(tmp_path / "data")
    for study in (LONG_AGO, PRESENT, YEAR_AGO):
        node.receive(exam_files(tmp_path, study))
    found = node.priors.listed(hashed(PRESENT))
    assert [(p.key, p.interval, p.n_images, p.state) for p in found.priors] == [
        (hashed(YEAR_AGO), "1 year 1 month before", 2, PriorState.HERE),
        (hashed(LONG_AGO), "3 years before", 2, PriorState.HERE),
    ]
    assert node.priors.listed(hashed(LONG_AGO)).priors == ()  # later exams are no priors


def test_an_exam_that_names_another_woman_is_counted_and_neither_listed_nor_shown(
    tmp_path: Path,
) -> None:
    node = PriorNode(tmp_path / "data")
    present = node.receive(exam_files(tmp_path, PRESENT))
    other = {"PatientName": f"{MARK}OTHER^ANN", "PatientBirthDate": "19610304"}
    anothers = node.receive(exam_files(tmp_path, LONG_AGO, **other))
    nameless = {"PatientName": "", "PatientBirthDate": ""}
    unproven = node.receive(exam_files(tmp_path, YEAR_AGO, **nameless))
    found = node.priors.listed(present)
    assert (found.priors, found.n_another, found.n_unproven) == ((), 1, 1)
    for prior in (anothers, unproven):
        assert node.priors.pictures(present, prior).views == ()
        (view, *_) = [path.stem for path in node.spool.instances(prior)]
        assert node.priors.views.pixels(present, prior, view) is None
        assert node.priors.views.file_of(present, prior, view) is None
        assert node.priors.bring(present, prior) is None


def test_nothing_is_sought_where_it_is_unclear_whose_the_study_is(tmp_path: Path) -> None:
    node = PriorNode(tmp_path / "data")
    assert node.priors.listed("0" * 16).problem is NoPriors.NO_IMAGES
    two = exam_files(tmp_path, PRESENT, views=1)
    two += exam_files(tmp_path / "other", PRESENT, views=2, PatientID=f"{MARK}-2")[1:]
    assert node.priors.listed(node.receive(two)).problem is NoPriors.PATIENT_UNCLEAR
    nobody = exam_files(tmp_path, uid("nobody's"), PatientID="")
    assert node.priors.listed(node.receive(nobody)).problem is NoPriors.PATIENT_UNCLEAR


class _Source:
    """A source that lists what a test says."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, 0

    def __call__(self, source: Any, ae_title: str) -> "_Source":
        return self

    def __enter__(self) -> "_Source":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def studies_of(self, patient_id: str, keyword: str = "PatientID") -> list[ListedStudy]:
        self.asked += 1
        return self.answer() if callable(self.answer) else self.answer


def listed(study: str, **values: str) -> ListedStudy:
    hers = {
        "PatientID": f"{MARK}-ID-0001", "PatientName": f"{MARK}NAME^SYNTHETIC",
        "PatientBirthDate": "19010203", "StudyDate": "20220102", "StudyInstanceUID": study,
    }  # fmt: skip
    return ListedStudy(header_of({**hers, **values}), "", ("MG",), 4)


def test_a_sources_studies_are_weighed_as_those_here_are_and_asked_for_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _Source([
        listed(uid("hers")),
        listed(uid("another's"), PatientName="X^Y", PatientBirthDate="19990101"),
        listed(uid("of another number"), PatientID=f"{MARK}-ID-00011"),
        listed(uid("later"), StudyDate="20250101"),
        listed("no uid"),
        listed(PRESENT),
        ListedStudy(listed(uid("an ultrasound")).header, "", ("US",), 9),
    ])  # fmt: skip
    monkeypatch.setattr(asking.source_kinds, "opened", source)
    node = PriorNode(tmp_path / "data", sources=SOURCES)
    present = node.receive(exam_files(tmp_path, PRESENT))
    found = [node.priors.listed(present) for _ in range(2)][-1]
    assert source.asked == 1
    assert [(p.key, p.state, p.sources) for p in found.priors] == [
        (hashed(uid("hers")), PriorState.AT_SOURCE, ("archive",))
    ]
    assert (found.n_another, found.n_unproven, found.away) == (1, 0, ())


@pytest.mark.parametrize("number", ["*", "4?1", "1\\2"])
def test_a_number_that_would_list_everybody_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    """PS3.4 C.2.2.2.4 and C.2.2.2.2: these characters cannot be escaped in a query."""
    source = _Source([listed(uid("anybody's"))])
    monkeypatch.setattr(asking.source_kinds, "opened", source)
    node = PriorNode(tmp_path / "data", sources=SOURCES)
    (answer,) = asking.PriorSources(node.settings).listings(number)
    assert (source.asked, answer.studies) == (0, ())
    assert "archive cannot be asked for this Patient ID" in answer.problem


def test_a_source_that_hangs_or_fails_is_named_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    is_over = threading.Event()

    def hang() -> list[ListedStudy]:
        is_over.wait(30)
        return []

    monkeypatch.setattr(asking.source_kinds, "opened", _Source(hang))
    node = PriorNode(tmp_path / "data", sources=SOURCES)
    sources = asking.PriorSources(node.settings, within_s=0.2)
    try:
        for _ in range(6):
            (answer,) = sources.listings("7")
        assert "earlier questions" in answer.problem  # no thread more than four waits for it
    finally:
        is_over.set()

    def fail() -> list[ListedStudy]:
        raise FetchFailure(
            FetchCode.SOURCE_UNREACHABLE, "archive cannot be reached", retryable=True
        )

    monkeypatch.setattr(asking.source_kinds, "opened", _Source(fail))
    (answer,) = asking.PriorSources(node.settings).listings("7")
    assert answer.problem == "archive cannot be reached"

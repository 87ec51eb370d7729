"""Which exams of what a source lists belong to a case."""

from collections.abc import Sequence
from datetime import date

import pytest

from cadnode.errors import SettingsError
from cadnode.node.cohort.cases import Case, NotCollected, read_cases
from cadnode.node.cohort.origin import origin_of
from cadnode.node.cohort.plan import Period, plan
from cadnode.receive.fetch.studies import ListedStudy, header_of
from cadnode.settings import Settings, Source


def listed(
    uid: str, day: str, patient: str = "P1", modalities: tuple[str, ...] = ("MG",)
) -> ListedStudy:
    values = {"StudyInstanceUID": uid, "StudyDate": day, "PatientID": patient}
    return ListedStudy(header_of(values), modalities=modalities, n_instances=4)


def case(**change: str) -> Case:
    row = {
        "patient_id": "P1",
        "laterality": "L",
        "outcome": "malignant",
        "outcome_date": "2020-05-01",
    }
    (found,), _ = read_cases([{**row, **change}], "cases.csv")
    return found


def uids(studies: Sequence[ListedStudy], *cases: Case, **period: object) -> list[str]:
    found = plan(cases, lambda keyword, value: studies, Period(**period))  # type: ignore[arg-type]
    return [one.study_instance_uid for one in found.exams]


def reason(studies: Sequence[ListedStudy], one: Case) -> list[NotCollected]:
    return [why for _, why in plan([one], lambda keyword, value: studies, Period()).left_out]


EXAMS = (
    listed("1.1", "20200502"), listed("1.2", "20200501"), listed("1.3", "20190502"),
    listed("1.4", "20190501"),
)  # fmt: skip


def test_exams_within_the_window_before_the_outcome_are_taken_and_later_ones_never() -> None:
    assert uids(EXAMS, case()) == ["1.3", "1.2"]
    assert uids(EXAMS, case(), window_days=0) == ["1.2"]
    assert uids(EXAMS, case(window_days="366")) == ["1.4", "1.3", "1.2"]
    assert uids(EXAMS, case(), since=date(2020, 1, 1)) == ["1.2"]
    assert uids(EXAMS, case(), until=date(2019, 12, 31)) == ["1.3"]


def test_several_lines_on_one_exam_ask_once_and_fetch_it_once() -> None:
    asked: list[str] = []

    def ask(keyword: str, value: str) -> Sequence[ListedStudy]:
        asked.append(value)
        return EXAMS

    found = plan([case(), case(laterality="R", outcome="benign")], ask, Period(), limit=1)

    assert asked == ["P1"]
    assert [len(one.cases) for one in found.exams] == [2]
    assert found.n_beyond == 1


def test_what_the_archive_lists_of_others_is_not_taken() -> None:
    assert uids((listed("1.1", "20200401", "P10"), listed("1.2", "20200401", "p1 ")), case()) == [
        "1.2"
    ]
    by_number = case(accession_number="A1")
    assert reason((listed("1.1", "20200401", "P2"),), by_number) == [NotCollected.ANOTHER_PATIENT]
    assert reason((listed("1.1", "20200401", modalities=("US",)),), case()) == [
        NotCollected.UNKNOWN_PATIENT
    ]
    assert reason((), case()) == [NotCollected.UNKNOWN_PATIENT]
    assert reason((listed("1.1", "20150401"),), case()) == [NotCollected.NO_EXAM_IN_WINDOW]
    assert reason((listed("1.1", ""),), case()) == [NotCollected.EXAM_WITHOUT_DATE]


def test_an_identifier_that_was_given_out_twice_leads_to_nobody() -> None:
    by_number = case(patient_id="", accession_number="A1")
    two_women = (listed("1.1", "20200401", "P1"), listed("1.2", "20200402", "P2"))
    assert uids(two_women, by_number) == []
    assert reason(two_women, by_number) == [NotCollected.AMBIGUOUS]
    assert uids(two_women[:1], by_number) == ["1.1"]

    of_two_sites = (listed("1.1", "20200401"), listed("1.2", "20200402"))
    for one, site in zip(of_two_sites, ("EAST", "WEST"), strict=True):
        one.header.IssuerOfPatientID = site
    assert reason(of_two_sites, case()) == [NotCollected.AMBIGUOUS]


def test_a_source_is_configured_or_named_on_the_spot() -> None:
    pacs = Source(name="pacs", kind="dicom", ae_title="PACS", port=104)
    values = Settings(sources=(pacs,))

    assert origin_of("pacs", values) is values.sources[0]
    web = origin_of("dicomweb:https://pacs.example.org/dicom-web", values)
    assert (web.kind, web.url) == ("dicomweb", "https://pacs.example.org/dicom-web")
    peer = origin_of("MAIN PACS@10.0.0.5:11112", values)
    assert (peer.kind, peer.ae_title, peer.host, peer.port) == (
        "dicom",
        "MAIN PACS",
        "10.0.0.5",
        11112,
    )
    for wrong in ("nowhere", "orthanc:pacs.example.org", "PACS@host", "PACS@host:99999"):
        with pytest.raises(SettingsError, match="--from"):
            origin_of(wrong, values)

"""Outcomes in FHIR: which Observations are taken, and whose they are."""

import json
from typing import Any

import pytest

from cadnode.errors import DataError
from cadnode.node.outcome_fhir import rows_of
from cadnode.node.outcome_rows import codes_of

SCT = "http://snomed.info/sct"
CODES = codes_of(
    [{"code": f"{SCT}|86049000", "outcome": "malignant"}, {"code": "B2", "outcome": "benign"}]
)
STUDY = {"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}}
ACCESSION = {
    "identifier": {"type": {"coding": [{"code": "ACSN"}]}, "value": "A1"},
}


def observation(code: str = "86049000", system: str = SCT, **fields: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "o1",
        "valueCodeableConcept": {"coding": [{"system": system, "code": code}]},
        "bodySite": {"coding": [{"system": SCT, "code": "73056007"}]},
        "effectiveDateTime": "2026-05-04T10:00:00+02:00",
        **fields,
    }


def bundle(*resources: dict[str, Any]) -> bytes:
    entries = [{"fullUrl": f"urn:uuid:{n}", "resource": one} for n, one in enumerate(resources)]
    return json.dumps({"resourceType": "Bundle", "entry": entries}).encode()


def cells(data: bytes) -> list[dict[str, str]]:
    return [dict(one.cells) for one in rows_of(data, CODES, "x.json")]


def test_an_observation_that_names_its_study_is_a_row() -> None:
    assert cells(bundle(observation(partOf=[STUDY]))) == [
        {
            "laterality": "R",
            "outcome": "malignant",
            "outcome_date": "2026-05-04",
            "patient_id": "",
            "study_instance_uid": "1.2.840.1",
            "accession_number": "",
        }
    ]


@pytest.mark.parametrize("reference", ["urn:uuid:1", "Observation/o1"])
def test_a_result_of_a_report_is_of_the_reports_exam(reference: str) -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "basedOn": [ACCESSION],
        "result": [{"reference": reference}],
    }
    (row,) = cells(bundle(report, observation("B2", "urn:lab")))
    assert (row["accession_number"], row["outcome"]) == ("A1", "benign")


def test_a_subject_is_known_by_her_medical_record_number_or_her_only_one() -> None:
    record = {"type": {"coding": [{"code": "MR"}]}, "value": "P1"}
    several = [{"value": "insurance"}, record]
    by_reference = {"reference": "Patient/p"}

    def patient_id(subject: dict[str, Any], identifiers: list[dict[str, Any]]) -> str:
        patient = {"resourceType": "Patient", "id": "p", "identifier": identifiers}
        (row,) = cells(bundle(patient, observation(partOf=[STUDY], subject=subject)))
        return row["patient_id"]

    assert patient_id(by_reference, several) == "P1"
    assert patient_id(by_reference, [{"value": "P2"}]) == "P2"
    assert patient_id(by_reference, [{"value": "P2"}, {"value": "P3"}]) == ""
    assert patient_id({"identifier": {"value": "P4"}}, several) == "P4"


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "preliminary"])
def test_what_was_withdrawn_or_is_not_final_is_no_outcome(status: str) -> None:
    assert cells(bundle(observation(partOf=[STUDY], status=status))) == []
    assert len(cells(bundle(observation(partOf=[STUDY], status="amended")))) == 1


def test_a_result_that_a_report_does_not_refer_to_gets_no_exam_of_it() -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "basedOn": [ACCESSION],
        "result": [{"display": "see the text"}],
    }
    lines = [json.dumps(one) for one in (report, observation(id="other"))]
    (row,) = cells("\n".join(lines).encode())
    assert not row["accession_number"]


def test_what_has_no_code_of_the_site_is_passed_over() -> None:
    data = bundle(observation("416053008"), {"resourceType": "Patient"}, observation())
    (one,) = rows_of(data, CODES, "x.json")
    assert one.number == 3
    assert not one.cells["study_instance_uid"]  # the import names it as a line without an exam


def test_resources_may_stand_one_a_line() -> None:
    lines = [observation(partOf=[STUDY]), observation("B2", partOf=[STUDY], bodySite={})]
    found = cells("\n".join(map(json.dumps, lines)).encode())
    assert [(row["outcome"], row["laterality"]) for row in found] == [
        ("malignant", "R"), ("benign", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"study,side\n", b"[]", b'{"a": 1}', b"\xff\xfe"])
def test_a_file_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.json"):
        rows_of(data, CODES, "x.json")


def test_a_line_that_is_no_resource_is_a_row_without_cells_and_the_others_are_read() -> None:
    good = json.dumps(observation(partOf=[STUDY]))
    deep = "[" * 100_000
    found = rows_of("\n".join([good, "{", '{"a": 1}', "7", deep, good]).encode(), CODES, "x.json")
    assert [(one.number, bool(one.cells)) for one in found] == [
        (1, True), (2, False), (3, False), (4, False), (5, False), (6, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "site",
    [{"coding": [{"code": "80248007"}]}, {"concept": {"coding": [{"code": "80248007"}]}}],
)
def test_a_reports_conclusion_is_an_outcome_on_the_side_of_its_specimen(
    site: dict[str, Any],
) -> None:
    specimen = {"resourceType": "Specimen", "id": "s", "collection": {"bodySite": site}}
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "issued": "2026-05-06T10:00:00Z",
        "basedOn": [ACCESSION],
        "specimen": [{"reference": "Specimen/s"}],
        "conclusionCode": [
            {"coding": [{"system": "urn:lab", "code": "ER+"}]},
            {"coding": [{"system": SCT, "code": "86049000"}]},
        ],
    }
    (row,) = cells(bundle(report, specimen))
    assert (row["accession_number"], row["outcome"], row["laterality"], row["outcome_date"]) == (
        "A1", "malignant", "L", "2026-05-06",
    )  # fmt: skip
    assert cells(bundle({**report, "status": "preliminary"}, specimen)) == []
    other = {**specimen, "id": "t", "collection": {"bodySite": {"coding": [{"code": "73056007"}]}}}
    both = {**report, "specimen": [{"reference": "Specimen/s"}, {"reference": "Specimen/t"}]}
    (row,) = cells(bundle(both, specimen, other))
    assert row["laterality"] == ""

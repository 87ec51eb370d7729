"""The FHIR bundle says what the reports say, is valid R5, and holds no more of the patient."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.bundle import Bundle

from cadnode import __version__
from cadnode.errors import ReportError
from cadnode.exam.read import exam_of
from cadnode.report.edition import Edition
from cadnode.report.fhir.bundle import bundle, write_bundle
from cadnode.report.sr.measurement_report import measurement_sr
from tests.report_cases import MADE_AT, OUTCOMES, digital_exam, film_exam, result_of, with_marker
from tests.synthetic import view_dataset, write

UNKNOWN = "training data not stated"
EXAM = with_marker(digital_exam())


def edition_of(outcome: str) -> Edition:
    return Edition(EXAM, result_of(EXAM, outcome), MADE_AT)


def resources(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == kind]


def values(observation: dict[str, Any]) -> dict[str, Any]:
    """Codes and values of an Observation and its components."""
    parts = [observation, *observation.get("component", [])]
    told = {}
    for part in parts:
        code = part["code"].get("text") or part["code"]["coding"][0]["code"]
        if "valueQuantity" in part:
            told[code] = (part["valueQuantity"]["value"], part["valueQuantity"]["code"])
        elif "valueCodeableConcept" in part:
            told[code] = part["valueCodeableConcept"]["coding"][0]["code"]
    return told


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_bundle_of_every_outcome_is_valid_r5(outcome: str) -> None:
    made = bundle(edition_of(outcome))

    Bundle.model_validate(made)

    (report,) = resources(made, "DiagnosticReport")
    assert report["status"] == ("cancelled" if outcome == "failed" else "partial")
    assert report["conclusion"].endswith("Research use only, not for primary diagnosis.")
    assert len(report["result"]) == len(resources(made, "Observation"))


def test_a_film_exam_over_several_studies_is_valid_too() -> None:
    exam = film_exam()
    made = bundle(Edition(exam, result_of(exam, "findings"), MADE_AT))

    Bundle.model_validate(made)
    studies = {s["studyUid"] for s in resources(made, "ImagingSelection")}
    assert studies == {
        str(m.header.StudyInstanceUID) for m in (exam.mammograms[0], exam.mammograms[2])
    }


def test_a_finding_carries_its_numbers_and_every_systems() -> None:
    made = bundle(edition_of("systems"))

    cluster = resources(made, "Observation")[3]  # after the exam and two breasts

    assert values(cluster) == {
        "CAD_SCORE": (0.75, "1"),
        "121071": "129769006",
        f"Certainty of Finding by cadnode {__version__}": (93.75, "%"),
        "REACHES_OP": "373066001",
        "111009": "111344",
        "111008": "129766004",
        "111038": (12, "1"),
        "81827009": (8.25, "mm"),
        "CAD score of kim2018, 1.0.0; training data not stated (kim2018)": (0.6875, "1"),
        f"CAD score of helsinki_dtl, 0.1.0; {UNKNOWN} (helsinki-resnext50)": (0.25, "1"),
        f"CAD score of wang2016, 0.1.0; {UNKNOWN} (wang2016-calcifications)": (0.5, "1"),
    }


def test_a_region_is_the_reports_polyline_in_pixels_x_before_y() -> None:
    edition = edition_of("findings")
    made = bundle(edition)
    first = EXAM.mammograms[0]

    selection = resources(made, "ImagingSelection")[0]
    (instance,) = selection["instance"]
    (region,) = instance["imageRegion2D"]

    assert instance["uid"] == first.sop_instance_uid
    assert selection["seriesUid"] == first.header.SeriesInstanceUID
    assert region["regionType"] == "polyline"
    x, y = region["coordinate"][0::2], region["coordinate"][1::2]
    # An ellipse about (0.42 of 512 rows, 0.5 of 400 columns), radii 0.06 and 0.07 of them.
    assert (min(x), max(x)) == pytest.approx((172, 228), abs=0.6)
    assert (min(y), max(y)) == pytest.approx((184.3, 245.8), abs=0.6)
    assert region["coordinate"][:2] == region["coordinate"][-2:]


def test_observations_bear_thetracking_uids_of_the_report() -> None:
    edition = edition_of("findings")
    tracked = tracking_uids(measurement_sr(edition))

    own = {o["identifier"][0]["value"] for o in resources(bundle(edition), "Observation")}

    assert own <= {f"urn:oid:{uid}" for uid in tracked}


def tracking_uids(ds: Any) -> set[str]:
    found = {str(ds.UID)} if ds.get("ValueType") == "UIDREF" else set()
    return found.union(*(tracking_uids(i) for i in ds.get("ContentSequence") or []))


def test_the_same_reading_gives_the_same_bundle_and_another_one_other_resources() -> None:
    one, again, other = (bundle(edition_of(o)) for o in ("findings", "findings", "partial"))

    assert one == again
    conditions = [{e["request"]["ifNoneExist"] for e in b["entry"]} for b in (one, other)]
    devices = {e["request"]["ifNoneExist"] for e in one["entry"] if e["request"]["url"] == "Device"}
    assert conditions[0] & conditions[1] == devices  # the software is the same


def test_nothing_of_the_patient_but_the_identifier_is_told() -> None:
    text = json.dumps(bundle(edition_of("systems")), ensure_ascii=False)

    header = EXAM.reference
    assert header is not None
    assert header.PatientID in text
    for secret in ("Müller", "Änne", "Ärztin", header.PatientBirthDate):
        assert secret not in text


def test_an_image_that_was_not_read_is_an_observation_with_its_reason() -> None:
    made = bundle(edition_of("partial"))

    (lost,) = (o for o in resources(made, "Observation") if "READING_STATUS" in values(o))

    assert values(lost) == {"READING_STATUS": "111225", "REASON_NOT_READ": "magnified_spot"}
    assert lost["note"][0]["text"].endswith(EXAM.mammograms[3].sop_instance_uid)


def test_an_exam_without_a_score_says_so_instead_of_a_number() -> None:
    (exam, *_) = resources(bundle(edition_of("failed")), "Observation")

    assert "valueQuantity" not in exam
    assert exam["dataAbsentReason"]["coding"][0]["code"] == "error"


def test_models_are_devices_with_version_and_weights() -> None:
    devices = resources(bundle(edition_of("none")), "Device")

    told = [(d["name"][0]["value"], d["version"][0]["value"]) for d in devices]
    assert told[1] == ("kim2018", "1.0.0")
    assert devices[1]["property"][0]["valueString"] == "ab" * 32


def test_a_score_that_is_no_number_makes_no_bundle(tmp_path: Path) -> None:
    result = replace(result_of(EXAM, "none"), exam_score=float("nan"))

    with pytest.raises(ReportError):
        write_bundle(tmp_path / "fhir.json", Edition(EXAM, result, MADE_AT))

    assert not list(tmp_path.iterdir())


def test_a_header_without_its_study_makes_no_bundle(tmp_path: Path) -> None:
    exam = exam_of([write(view_dataset("L", "CC"), tmp_path / "one.dcm")])
    assert exam.reference is not None
    del exam.reference.StudyInstanceUID
    with pytest.raises(ReportError, match="no Study Instance UID"):
        bundle(Edition(exam, result_of(exam, "failed"), MADE_AT))

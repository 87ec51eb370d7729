"""`result.json` follows its schema, says what the result says, and names no patient."""

import json
import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import jsonschema
import pytest

from cadnode.domain import (
    SYSTEM_NAME,
    CalcificationType,
    Correspondence,
    Distribution,
    FindingKind,
    Skipped,
    SkipReason,
    System,
)
from cadnode.errors import ReportError
from cadnode.report.result import to_json, write_result
from tests.report_cases import MADE_AT, OUTCOMES, digital_exam, result_of
from tests.synthetic import MARK

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "result.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_a_schema_and_knows_every_reason() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    known = SCHEMA["$defs"]["skipped"]["properties"]["reason"]["enum"]
    assert known == [reason.value for reason in SkipReason]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("finding.properties.kind.enum", FindingKind),
        ("cluster.properties.distribution.enum", Distribution),
        ("cluster.properties.type.enum", CalcificationType),
    ],
)
def test_the_schema_knows_every_word_of_the_domain(path: str, words: type[StrEnum]) -> None:
    known = SCHEMA["$defs"]
    for key in path.split("."):
        known = known[key]

    assert known == [word.value for word in words]


def test_the_schema_takes_the_names_that_systems_may_have() -> None:
    known = SCHEMA["$defs"]["system_name"]
    assert known["pattern"] == f"^{SYSTEM_NAME}$"
    assert all(system.value in known["description"] for system in System)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_follows_the_schema(outcome: str, tmp_path: Path) -> None:
    result = result_of(digital_exam(), outcome)

    path = write_result(tmp_path / "a" / "result.json", result, made_at=MADE_AT)

    VALIDATOR.validate(json.loads(path.read_text(encoding="utf-8")))
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_values_are_those_of_the_result() -> None:
    exam = digital_exam()

    told = to_json(result_of(exam, "findings"), made_at=MADE_AT, timings={"read": 1.23456})

    assert told["outcome"] == "findings"
    assert told["summary"]["code"] == "111242"
    assert told["exam"]["score"] == 0.78
    assert told["breasts"]["L"] == {"score": 0.1875, "n_views": 2, "imaged": True}
    assert told["views"][0]["view"] == "CC"
    assert told["views"][0]["laterality"] == "R"
    assert told["findings"][0]["box"] == [184, 172, 245, 228]
    assert told["findings"][0]["probability"] == 0.8125
    assert told["models"] == [
        {"name": "kim2018", "version": "1.0.0", "sha256": "ab" * 32, "trained_on": []}
    ]
    assert told["made_at"] == "2026-03-04T15:06:07+00:00"
    assert told["timings_s"] == {"read": 1.235}


def test_what_each_system_says_of_a_finding_is_told() -> None:
    told = to_json(result_of(digital_exam(), "systems"))

    cluster, mass, region = told["findings"]
    assert cluster["kind"] == "calcification_cluster"
    assert (cluster["probability"], cluster["algorithm"]) == (0.75, "kang2021")
    assert cluster["certainty"] == 0.9375
    assert cluster["cluster"] == {
        "distribution": "grouped", "type": "fine_pleomorphic", "count": 12, "diameter_mm": 8.25,
        "diameter_estimated": False,
    }  # fmt: skip
    assert [a["system"] for a in cluster["assessments"]] == [
        "kim2018", "kang2021", "helsinki_dtl", "wang2016",
    ]  # fmt: skip
    assert cluster["assessments"][1] == {
        "system": "kang2021", "algorithm": "kang2021", "probability": 0.75, "suspicious": True,
        "members": [
            {"algorithm": "kang2021-resnet101", "probability": 0.625},
            {"algorithm": "kang2021-inception-v3", "probability": 0.875},
        ],
    }  # fmt: skip
    assert (mass["kind"], mass["cluster"]) == ("mass", None)
    assert (region["kind"], region["certainty"]) == ("suspicious_region", None)
    assert {f["marked_by"] for f in told["findings"]} == {None}


def test_a_drawn_region_names_its_object_and_a_typed_one_none() -> None:
    told = to_json(result_of(digital_exam(), "marked"))

    assert [f["marked_by"] for f in told["findings"]] == [
        {
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.33",
            "sop_instance_uid": "2.25.7001",
            "by_person": True,
        },
        {"sop_class_uid": "", "sop_instance_uid": "", "by_person": True},
    ]


def test_systems_are_listed_with_the_reason_why_one_is_not_active() -> None:
    told = to_json(result_of(digital_exam(), "marked"))

    states = {s["system"]: (s["active"], s["models"]) for s in told["systems"]}
    assert states == {
        "kim2018": (True, ["kim2018"]),
        "kang2021": (True, ["kang2021-resnet101", "kang2021-inception-v3"]),
        "helsinki_dtl": (False, []),
        "wang2016": (True, ["wang2016-calcifications"]),
    }
    assert told["systems"][2]["reason"] == "no model: `cadnode train helsinki`"


def test_heat_maps_are_listed_without_their_pixels() -> None:
    exam = digital_exam()
    first = exam.mammograms[0].sop_instance_uid

    told = to_json(result_of(exam, "systems"))

    assert len(told["heat_maps"]) == 7  # four views, two networks, the ensemble
    assert told["heat_maps"][-1] == {
        "sop_instance_uid": first, "algorithm": "ensemble", "box": [51, 40, 460, 360],
    }  # fmt: skip


def test_scores_are_null_when_nothing_was_read() -> None:
    told = to_json(result_of(digital_exam(), "failed"))

    assert told["exam"]["score"] is None
    assert told["breasts"]["R"] == {"score": None, "n_views": 0, "imaged": False}
    assert {s["reason"] for s in told["skipped"]} == {"pixels_corrupt"}


def test_a_file_without_a_uid_is_listed_with_an_empty_one() -> None:
    result = replace(
        result_of(digital_exam(), "failed"), skipped=(Skipped("", SkipReason.NOT_DICOM),)
    )

    told = to_json(result)

    VALIDATOR.validate(told)
    assert told["skipped"][0]["sop_instance_uid"] == ""


def test_no_patient_data_is_in_it() -> None:
    text = json.dumps(to_json(result_of(digital_exam(), "partial"), made_at=MADE_AT))

    assert MARK not in text
    assert not re.search("Müller|19010203|20200102", text)


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    result = replace(result_of(digital_exam(), "none"), exam_score=float("nan"))

    with pytest.raises(ReportError, match="finite"):
        write_result(tmp_path / "result.json", result)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_report_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(ReportError, match="errno"):
        write_result(tmp_path / "file" / "result.json", result_of(digital_exam(), "none"))


def test_the_page_explains_every_reason_and_kind_and_its_example_follows_the_schema() -> None:
    page = (Path(__file__).parents[3] / "docs" / "result.md").read_text(encoding="utf-8")

    example = page.split("```json")[1].split("```")[0].replace("…64 hexadecimal digits…", "0" * 64)

    VALIDATOR.validate(json.loads(example))
    assert all(f"| `{reason}` |" in page for reason in SkipReason)
    assert all(f"| `{kind}` |" in page for kind in FindingKind)


def test_one_lesion_in_two_views_is_told_by_the_numbers_of_its_findings() -> None:
    result = result_of(digital_exam(), "findings")
    pair = Correspondence(0, 1, (40.125, 44.0), 0.75)

    told = to_json(replace(result, correspondences=(pair,)))

    assert told["correspondences"] == [
        {
            "cc": 1,
            "mlo": 2,
            "nipple_mm": [40.12, 44.0],
            "nipple_estimated": False,
            "certainty": 0.75,
        }
    ]
    VALIDATOR.validate(told)

"""`result.json` follows its schema, says what the result says, and names no patient."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from cadnode.domain import Skipped, SkipReason
from cadnode.errors import ReportError
from cadnode.report.result_json import to_json, write_result
from tests.report_cases import MADE_AT, OUTCOMES, digital_exam, result_of
from tests.synthetic import MARK

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "result.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_a_schema_and_knows_every_reason() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    known = SCHEMA["$defs"]["skipped"]["properties"]["reason"]["enum"]
    assert known == [reason.value for reason in SkipReason]


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
    assert told["breasts"]["L"] == {"score": 0.1875, "n_views": 2}
    assert told["views"][0]["view"] == "CC"
    assert told["views"][0]["laterality"] == "R"
    assert told["findings"][0]["box"] == [184, 172, 245, 228]
    assert told["findings"][0]["probability"] == 0.8125
    assert told["models"] == [{"name": "kim2018", "version": "1.0.0", "sha256": "ab" * 32}]
    assert told["made_at"] == "2026-03-04T15:06:07+00:00"
    assert told["timings_s"] == {"read": 1.235}


def test_scores_are_null_when_nothing_was_read() -> None:
    told = to_json(result_of(digital_exam(), "failed"))

    assert told["exam"]["score"] is None
    assert told["breasts"]["R"] == {"score": None, "n_views": 0}
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


def test_the_page_explains_every_reason_and_its_example_follows_the_schema() -> None:
    page = (Path(__file__).parents[2] / "docs" / "result.md").read_text(encoding="utf-8")

    example = page.split("```json")[1].split("```")[0].replace("…64 hexadecimal digits…", "0" * 64)

    VALIDATOR.validate(json.loads(example))
    assert all(f"| `{reason}` |" in page for reason in SkipReason)

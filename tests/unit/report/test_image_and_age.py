"""The score of image and age in each report: named, beside the image's own, or with its reason."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hl7
import jsonschema
import pytest
from fhir.resources.bundle import Bundle
from hl7apy.parser import parse_message

from cadnode.domain import (
    NO_AGE_SCORE_MEANINGS,
    BreastScore,
    ExamResult,
    ImageAndAge,
    Laterality,
    NoAgeScore,
)
from cadnode.node.results import load_scores, save_reading
from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from cadnode.report import codes
from cadnode.report.cad_sr import cad_sr
from cadnode.report.edition import Edition
from cadnode.report.fhir.bundle import bundle
from cadnode.report.hl7.oru import oru
from cadnode.report.result import to_json
from cadnode.report.sr.measurement_report import measurement_sr
from cadnode.report.wording import image_and_age
from tests.report_cases import MADE_AT, digital_exam, image_of, result_of, with_marker
from tests.sr_tree import items, number, reread

EXAM = with_marker(digital_exam())
BREASTS = (BreastScore(Laterality.RIGHT, 0.625, 2), BreastScore(Laterality.LEFT, 0.0625, 2))
BOTH = ImageAndAge("kim2018", 0.625, BREASTS)
UNKNOWN = ImageAndAge("kim2018", None, (), NoAgeScore.AGE_UNKNOWN)
SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "result.schema.json").read_text())


def result(both: ImageAndAge | None) -> ExamResult:
    return replace(result_of(EXAM, "none"), image_and_age=both)


def edition(both: ImageAndAge | None) -> Edition:
    return Edition(EXAM, result(both), MADE_AT)


def test_result_json_has_both_scores_or_the_coded_reason() -> None:
    stated, without = to_json(result(BOTH)), to_json(result(UNKNOWN))

    jsonschema.validate(stated, SCHEMA)
    jsonschema.validate(without, SCHEMA)
    assert stated["image_and_age"] == {
        "algorithm": "kim2018", "exam": 0.625, "breasts": {"L": 0.0625, "R": 0.625},
        "reason": None, "meaning": None,
    }  # fmt: skip
    assert stated["exam"]["score"] == 0.78
    assert without["image_and_age"] == {
        "algorithm": "kim2018", "exam": None, "breasts": {"L": None, "R": None},
        "reason": "age_unknown", "meaning": "The headers state no plausible age",
    }  # fmt: skip
    assert "image_and_age" not in to_json(result(None))
    known = SCHEMA["properties"]["image_and_age"]["properties"]["reason"]["enum"]
    assert known == [None, *(reason.value for reason in NoAgeScore)]
    assert [*NO_AGE_SCORE_MEANINGS] == [*NoAgeScore]


@pytest.mark.parametrize("both", [BOTH, UNKNOWN, None])
def test_a_reading_keeps_it(tmp_path: Path, both: ImageAndAge | None) -> None:
    save_reading(tmp_path, result(both))

    assert load_scores(tmp_path).image_and_age == both
    stored = json.loads((tmp_path / "reading.json").read_text())
    assert ("image_and_age" in stored) == (both is not None)


def test_the_structured_report_has_it_under_a_code_of_its_own() -> None:
    sr = reread(measurement_sr(edition(BOTH), ()))
    plain = measurement_sr(edition(None), ())

    assert [number(i) for i in items(sr, codes.IMAGE_AGE_SCORE)] == [0.625, 0.625, 0.0625]
    own = [number(i) for i in items(plain, codes.CAD_SCORE)]
    assert [number(i) for i in items(sr, codes.CAD_SCORE)] == own
    assert items(plain, codes.IMAGE_AGE_SCORE) == []


def test_the_cad_report_states_it_in_a_sentence() -> None:
    (sentence,) = image_and_age(result(BOTH))

    assert sentence == (
        "Score of image and age together by kim2018, apart from the image's own score and without "
        "an operating point: exam 0.62, right breast 0.62, left breast 0.06"
    )
    assert f"{sentence}." in texts(BOTH)
    why = "No score of image and age: the headers state no plausible age."
    assert why in texts(UNKNOWN)


def texts(both: ImageAndAge) -> str:
    report = cad_sr(edition(both), ())
    assert report is not None
    return "\n".join(str(one.value) for one in report.iterall() if one.keyword == "TextValue")


def test_the_fhir_bundle_has_it_as_a_component() -> None:
    made = bundle(edition(BOTH))

    Bundle.model_validate(made)
    assert component_values(made) == [0.625, 0.625, 0.0625]
    assert component_values(bundle(edition(UNKNOWN))) == []


def component_values(made: dict[str, Any]) -> list[float]:
    observations = [e["resource"] for e in made["entry"]]
    return [
        one["valueQuantity"]["value"]
        for observation in observations
        for one in observation.get("component", ())
        if one["code"]["coding"][0]["code"] == "IMAGE_AGE_SCORE"
    ]


def test_the_hl7_message_has_it_as_rows() -> None:
    written = oru(edition(BOTH)).to_er7()

    assert parse_message(written, find_groups=True).validate()
    rows = [
        (str(one[4]), str(one[5]))
        for one in hl7.parse(written).segments("OBX")
        if str(one[3]).startswith("IMAGE_AGE_SCORE")
    ]
    assert rows == [("exam", "0.625"), ("breast R", "0.625"), ("breast L", "0.0625")]


def page(both: ImageAndAge | None) -> str:
    content = PageContent(
        title="made", subtitle="", disclaimer="Research use only", exam=EXAM, result=result(both),
        image=partial(image_of, EXAM),
    )  # fmt: skip
    return exam_page(content)


def test_the_page_shows_it_in_a_panel_of_its_own() -> None:
    stated, without = page(BOTH), page(UNKNOWN)

    assert "<h2>Image and age</h2>" in stated
    assert stated.index("<h2>Scores</h2>") < stated.index("<h2>Image and age</h2>")
    assert "A separate score, made of the image's score by kim2018" in stated.replace("&#39;", "'")
    assert "The headers state no plausible age: no score." in without
    assert "Image and age" not in page(None)

"""The table of assessments: every system's score of exam, breasts, views and findings."""

import json
import re
from dataclasses import replace

import pytest

from cadnode.domain import (
    BreastScore,
    ExamResult,
    ImageAndAge,
    Laterality,
    NoAgeScore,
    OperatingCurve,
    System,
)
from cadnode.log import hashed
from cadnode.web import assessment
from cadnode.web.assessment import Cell, Row
from cadnode.web.node import StudyReading
from cadnode.web.operating_points import RecentScore, curves_of, recalled
from tests.report_cases import AUTOENCODER, digital_exam, result_of
from tests.web_cases import UID, Told, served

CURVE = OperatingCurve(
    ((1.0, 0.0, 1.0), (0.6, 0.5, 0.9), (0.3, 0.8, 0.6), (0.0, 1.0, 0.0)), 0.6, "made data", 10, 20,
    False,
)  # fmt: skip


def with_curves(result: ExamResult) -> ExamResult:
    """The result with a curve for the model of views, and one for the autoencoder."""
    curves = {result.views[0].algorithm: replace(CURVE, of_breasts=True), AUTOENCODER: CURVE}
    models = tuple(replace(m, curve=curves.get(m.name)) for m in result.models)
    return replace(result, models=models, operating_point=0.6)


@pytest.fixture
def result() -> ExamResult:
    return with_curves(result_of(digital_exam(), "systems"))


def rows_of(result: ExamResult) -> list[Row]:
    rows: list[Row] = assessment.table(StudyReading("c", 1, result), None, UID)["rows"]
    return rows


def cell(row: Row, system: System) -> Cell:
    return next(one for one in row.cells if one.system is system)


def test_rows_are_exam_then_each_breast_with_its_views_and_their_findings(
    result: ExamResult,
) -> None:
    rows = rows_of(result)
    kinds = [(row.what, str(row.side or ""), row.name) for row in rows if row.what != "finding"]
    assert kinds == [
        ("exam", "", ""), ("breast", "R", ""), ("view", "R", "RCC"), ("view", "R", "RMLO"),
        ("breast", "L", ""), ("view", "L", "LCC"), ("view", "L", "LMLO"),
    ]  # fmt: skip
    found = [row.finding.number for row in rows if row.finding is not None]
    assert sorted(found) == list(range(1, len(result.findings) + 1))
    for row in rows:
        if row.finding is not None:
            finding = result.findings[row.finding.number - 1]
            assert row.view == hashed(finding.sop_instance_uid)
            assert row.finding.box == finding.box


def test_every_score_of_the_result_is_in_the_cell_of_its_system(result: ExamResult) -> None:
    for row in rows_of(result):
        if row.finding is None:
            continue
        finding = result.findings[row.finding.number - 1]
        for one in finding.assessments:
            shown = cell(row, one.system)
            assert shown.score == one.probability
            assert shown.is_suspicious is one.suspicious
            assert shown.counts == (one.algorithm == finding.algorithm)


def test_a_cell_without_a_score_says_why(result: ExamResult) -> None:
    silent = [c for row in rows_of(result) for c in row.cells if c.score is None]
    assert silent
    assert all(c.why for c in silent)


def test_exam_and_breasts_are_compared_with_the_operating_point(result: ExamResult) -> None:
    at = cell(rows_of(replace(result, exam_score=0.6))[0], System.KIM2018)
    assert (at.is_suspicious, at.threshold) == (True, 0.6)
    below = rows_of(replace(result, exam_score=0.5999))
    assert cell(below[0], System.KIM2018).is_suspicious is False
    unknown = rows_of(replace(result, operating_point=None))
    assert cell(unknown[0], System.KIM2018).is_suspicious is None


def test_the_score_of_image_and_age_stands_beside_the_image_s(result: ExamResult) -> None:
    breasts = (BreastScore(Laterality.RIGHT, 0.31, 2), BreastScore(Laterality.LEFT, 0.27, 2))
    both = ImageAndAge(result.views[0].algorithm, 0.31, breasts)
    exam, *others = rows_of(replace(result, image_and_age=both))
    of_breasts = [cell(row, System.KIM2018) for row in others if row.what == "breast"]
    assert cell(exam, System.KIM2018).image_and_age == 0.31
    assert cell(exam, System.KIM2018).score == result.exam_score
    assert [one.image_and_age for one in of_breasts] == [0.31, 0.27]
    assert all(one.image_and_age is None for row in others if row.finding for one in row.cells)

    told = Told(readings=(StudyReading("abc", 1, replace(result, image_and_age=both)),))
    with served(told) as client:
        page = client.get(f"/studies/{UID}/assessment").text
        german = client.get(f"/studies/{UID}/assessment", accept_language="de").text
    assert "image and age 0.27" in page
    assert "calls nothing suspicious" in page
    assert "Bild und Alter 0,27" in german


def test_an_exam_without_that_score_says_why(result: ExamResult) -> None:
    none = ImageAndAge(result.views[0].algorithm, None, reason=NoAgeScore.AGE_UNKNOWN)
    told = Told(readings=(StudyReading("abc", 1, replace(result, image_and_age=none)),))
    with served(told) as client:
        page = client.get(f"/studies/{UID}/assessment").text
    assert page.count("no score of image and age: The headers state no plausible age") == 1


def test_a_finding_in_an_image_that_was_not_scored_is_not_lost(result: ExamResult) -> None:
    apart = replace(result.findings[0], sop_instance_uid="1.2.3.999")
    rows = rows_of(replace(result, findings=(*result.findings, apart)))
    assert rows[-1].finding is not None
    assert rows[-1].finding.number == len(result.findings) + 1
    assert rows[-1].side is None


def test_the_page_says_it_in_words_and_names_the_place_of_each_finding(result: ExamResult) -> None:
    told = Told(readings=(StudyReading("abc", 1, result),))
    with served(told) as client:
        whole = client.get(f"/studies/{UID}").text
        alone = client.get(f"/studies/{UID}/assessment").text
    first = result.findings[0]
    for page in (whole, alone):
        assert f'data-box="{" ".join(map(str, first.box))}"' in page
        assert f'data-view="{hashed(first.sop_instance_uid)}"' in page
        assert "counts as the finding" in page
        assert "no probability" in page
        assert "Show finding 1 in the image" in page
    assert "style=" not in alone, "the policy allows no inline style"
    assert not re.search(r"\son\w+=", alone)


def test_a_study_without_a_result_has_no_table() -> None:
    with served(Told()) as client:
        assert 'id="assessment"' not in client.get(f"/studies/{UID}").text
        assert "no result yet" in client.get(f"/studies/{UID}/assessment").text
        assert client.get("/studies/1.9.9/assessment").status_code == 404


def test_an_earlier_readings_table_says_so(result: ExamResult) -> None:
    told = Told(readings=(StudyReading("abc", 1, result, is_current=False),))
    with served(told) as client:
        assert "earlier reading" in client.get(f"/studies/{UID}/assessment").text


def test_each_patient_of_a_study_has_a_table(result: ExamResult) -> None:
    told = Told(readings=(StudyReading("abc", 1, result), StudyReading("abc", 2, result)))
    with served(told) as client:
        assert "Assessments of patient 2 of 2" in client.get(f"/studies/{UID}/assessment").text


def test_a_curve_has_what_it_would_call_and_the_exams_that_its_model_scored(
    result: ExamResult,
) -> None:
    model = result.views[0].algorithm
    recent = [RecentScore(0.7, (model,)), RecentScore(0.2, (model,)), RecentScore(0.9, ("other",))]
    breasts, regions = curves_of(result, recent)
    assert (breasts.of_breasts, breasts.model, breasts.recent) == (True, model, (0.7, 0.2))
    assert breasts.n_recalled == 1
    assert [label for label, _ in breasts.scores] == [b.laterality.value for b in result.breasts]
    assert regions.model == AUTOENCODER
    assert regions.recent == ()
    assert breasts.chosen == 1
    assert json.loads(json.dumps(breasts.as_dict()))["steps"][1][:2] == [0.6, 0.5]


def test_a_higher_point_recalls_no_more_exams() -> None:
    scores = [0.1, 0.5, 0.5, 0.9]
    counts = [recalled(scores, t) for t in (0.0, 0.1, 0.5, 0.50001, 1.0)]
    assert counts == [4, 4, 3, 1, 0]


def test_the_page_says_what_was_not_measured(result: ExamResult) -> None:
    with served(Told(readings=(StudyReading("abc", 1, result),))) as client:
        page = client.get(f"/studies/{UID}/assessment").text
    assert "not measured: none is in the list of studies yet" in page
    assert "50 % (24 to 76 %)" in page  # 5 of 10, by hand
    assert "<code>reading.operating_point</code>" in page

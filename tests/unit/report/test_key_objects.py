"""report/sr/key_objects.py: the views that readers may open first."""

import pytest
from pydicom import Dataset

from cadnode.exam.exam import Exam
from cadnode.report.edition import Edition
from cadnode.report.sr.key_objects import key_objects
from tests.report_cases import MADE_AT, digital_exam, film_exam, result_of


def selection(exam: Exam, outcome: str) -> Dataset | None:
    return key_objects(Edition(exam, result_of(exam, outcome), MADE_AT))


def selected(ds: Dataset | None) -> list[str]:
    assert ds is not None
    items = [i for i in ds.ContentSequence if i.ValueType == "IMAGE"]
    return [i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in items]


def test_it_names_each_view_with_findings_once() -> None:
    exam = digital_exam()
    first, third = exam.mammograms[0], exam.mammograms[2]

    made = selection(exam, "systems")  # two findings in the first view, one in the third

    assert selected(made) == [first.sop_instance_uid, third.sop_instance_uid]
    assert made is not None
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    listed = [i for s in study.ReferencedSeriesSequence for i in s.ReferencedSOPSequence]
    assert {i.ReferencedSOPInstanceUID for i in listed} == set(selected(made))


@pytest.mark.parametrize("outcome", ["none", "failed"])
def test_without_findings_there_is_none(outcome: str) -> None:
    assert selection(digital_exam(), outcome) is None


def test_views_of_other_studies_are_left_out() -> None:
    exam = film_exam()  # each view in a study of its own; the first one's is the report's

    assert selected(selection(exam, "findings")) == [exam.mammograms[0].sop_instance_uid]


def test_it_says_of_interest_and_that_it_is_for_research() -> None:
    made = selection(digital_exam(), "findings")

    assert made is not None
    assert made.ConceptNameCodeSequence[0].CodeValue == "113000"
    texts = [i.TextValue for i in made.ContentSequence if i.ValueType == "TEXT"]
    assert any("Research use only" in text for text in texts)
    assert str(made.PatientName) == "Müller^Änne"


def test_one_reading_makes_the_same_object_twice() -> None:
    exam = digital_exam()

    assert selection(exam, "findings") == selection(exam, "findings")

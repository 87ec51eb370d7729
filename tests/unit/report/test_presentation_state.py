"""report/images/presentation_state.py: outlines over the original views."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from cadnode.exam.markings.gsps import markings
from cadnode.report.edition import Edition
from cadnode.report.images.presentation_state import presentation_states
from tests.report_cases import MADE_AT, digital_exam, film_exam, result_of


def states(outcome: str = "findings", **changes: object) -> list[Dataset]:
    exam = digital_exam(**changes)
    return presentation_states(Edition(exam, result_of(exam, outcome), MADE_AT))


def test_every_view_with_findings_has_one_and_no_other_has() -> None:
    exam = digital_exam()
    first, third = exam.mammograms[0], exam.mammograms[2]

    made = states("systems")

    assert [s.InstanceNumber for s in made] == [1, 2]
    referenced = [s.ReferencedSeriesSequence[0].ReferencedImageSequence[0] for s in made]
    assert [r.ReferencedSOPInstanceUID for r in referenced] == [
        first.sop_instance_uid, third.sop_instance_uid,
    ]  # fmt: skip
    assert [len(s.GraphicAnnotationSequence[0].GraphicObjectSequence) for s in made] == [2, 1]


@pytest.mark.parametrize("outcome", ["none", "failed"])
def test_an_exam_without_findings_has_none(outcome: str) -> None:
    assert states(outcome) == []


def test_the_outline_read_back_is_the_finding_s() -> None:
    exam = digital_exam()
    result = result_of(exam, "findings")
    drawn = np.array(result.findings[0].outline)

    (read, *_) = markings(states()[0])

    outline = np.array(read.outline)
    assert read.sop_instance_uid == exam.mammograms[0].sop_instance_uid
    np.testing.assert_allclose(outline.min(axis=0), drawn.min(axis=0), atol=1.0)
    np.testing.assert_allclose(outline.max(axis=0), drawn.max(axis=0), atol=1.0)


def test_the_caption_has_the_report_s_number_and_the_disclaimer_is_there() -> None:
    drawn, foot = states()[0].GraphicAnnotationSequence

    assert [t.UnformattedTextValue for t in drawn.TextObjectSequence] == ["1: 0.81"]
    (text,) = foot.TextObjectSequence
    assert text.UnformattedTextValue == "Research use only, not for primary diagnosis"
    assert text.BoundingBoxAnnotationUnits == "DISPLAY"


def test_the_window_is_the_view_s_own() -> None:
    made = states(WindowCenter=[1000, 2000], WindowWidth=[400, 800])[0]

    (voi,) = made.SoftcopyVOILUTSequence
    assert list(voi.WindowCenter) == [1000, 2000]
    assert list(voi.WindowWidth) == [400, 800]


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_a_monochrome1_view_stays_inverted(photometric: str, shape: str) -> None:
    made = states(PhotometricInterpretation=photometric)[0]

    assert made.PresentationLUTShape == shape


def test_both_breasts_have_a_series_of_their_own() -> None:
    exam = digital_exam()
    result = result_of(exam, "findings")
    other = replace(result.findings[0], sop_instance_uid=exam.mammograms[1].sop_instance_uid)
    edition = Edition(exam, replace(result, findings=(*result.findings, other)), MADE_AT)

    right_cc, left_cc, right_mlo = presentation_states(edition)

    assert right_cc.SeriesInstanceUID == right_mlo.SeriesInstanceUID != left_cc.SeriesInstanceUID
    assert [s.Laterality for s in (right_cc, left_cc, right_mlo)] == ["R", "L", "R"]


def test_name_and_times_are_the_source_s_and_the_reading_s() -> None:
    made = states()[0]

    assert str(made.PatientName) == "Müller^Änne"
    assert (made.PresentationCreationDate, made.PresentationCreationTime) == ("20260304", "150607")


def test_it_belongs_to_its_view_s_study() -> None:
    exam = film_exam()  # each view in a study of its own

    made = presentation_states(Edition(exam, result_of(exam, "findings"), MADE_AT))

    assert [s.StudyInstanceUID for s in made] == [
        exam.mammograms[0].header.StudyInstanceUID, exam.mammograms[2].header.StudyInstanceUID,
    ]  # fmt: skip
    series = {(s.SeriesInstanceUID, s.StudyInstanceUID) for s in made}
    assert len({uid for uid, _ in series}) == len(series)  # a series lies in one study


def test_one_reading_makes_the_same_object_twice() -> None:
    assert states() == states()

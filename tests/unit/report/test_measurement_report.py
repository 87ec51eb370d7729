"""The structured report, read again by highdicom, says what the result said."""

import numpy as np
import pytest
from pydicom.sr.codedict import codes as dictionary

from cadnode.domain import Box, Finding, FindingKind
from cadnode.report import codes
from cadnode.report.profiles import ObjectKind
from cadnode.report.sr.finding_groups import polyline
from tests.report_cases import (
    MODEL,
    OUTCOMES,
    digital_exam,
    film_exam,
    finding,
    objects_of,
    result_of,
)
from tests.sr_tree import items, number, reread, value_code

PROBABILITY_OF_CANCER = dictionary.DCM.ProbabilityOfCancer
EXAMS = {"film": film_exam, "digital": digital_exam}


@pytest.mark.parametrize("kind", EXAMS)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_a_report_that_highdicom_reads_again(kind: str, outcome: str) -> None:
    exam = EXAMS[kind]()
    result = result_of(exam, outcome)

    report = reread(objects_of(exam, outcome)[0])

    regions = report.content.get_planar_roi_measurement_groups()
    groups = report.content.get_image_measurement_groups()
    scored = (result.exam_score is not None) + len(result.breasts) + len(result.views)
    told = sum(max(len(f.assessments) - 1, 0) for f in result.findings)
    assert len(regions) == len(result.findings)
    assert len(groups) == scored + told + len(result.skipped)
    assert report.CompletionFlag == "COMPLETE"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("findings", "111242"),
        ("none", "111241"),
        ("partial", "111244"),
        ("one_view", "111244"),
        ("failed", "111245"),
        ("systems", "111242"),
        ("marked", "111242"),
    ],
)
def test_the_outcome_is_coded(outcome: str, code: str) -> None:
    (sr, *_) = objects_of(digital_exam(), outcome)

    assert [value_code(item) for item in items(sr, codes.SUMMARY)] == [code]


def test_scores_are_cad_scores_and_no_probabilities() -> None:
    exam = digital_exam()

    (plain, *_) = objects_of(exam, "none")

    expected = [0.78, 0.78, 0.1875, 0.81, 0.125, 0.75, 0.25]  # exam, R, L, views
    assert [number(i) for i in items(plain, codes.CAD_SCORE)] == expected
    assert items(plain, PROBABILITY_OF_CANCER) == []
    assert value_code(items(plain, codes.CALIBRATION)[0]) == "UNCALIBRATED"


def test_a_region_tells_its_site_kind_algorithm_and_score() -> None:
    exam = digital_exam()

    report = reread(objects_of(exam, "findings")[0])

    first, second = report.content.get_planar_roi_measurement_groups()
    assert first.finding_type == codes.FINDING_KINDS[FindingKind.SUSPICIOUS_REGION]
    assert first.finding_sites[0].value == codes.BREAST
    assert first.finding_sites[0].laterality == dictionary.SCT.Right
    (measurement,) = first.get_measurements()
    assert measurement.name.value == codes.CAD_SCORE.value
    assert measurement.name.meaning == "CAD score of kim2018, 1.0.0; training data not stated"
    assert measurement.value == 0.8125
    assert measurement.unit == codes.NO_UNITS
    assert first.tracking_uid != second.tracking_uid
    texts = [item.TextValue for item in first[0].ContentSequence if item.ValueType == "TEXT"]
    assert texts[1:4] == [MODEL.name, MODEL.version, f"sha256:{MODEL.sha256}"]


def test_a_region_is_a_closed_line_in_column_row_order_inside_its_image() -> None:
    exam = digital_exam()

    report = reread(objects_of(exam, "findings")[0])

    group = report.content.get_planar_roi_measurement_groups()[0]
    points = group.roi.value
    assert group.roi.graphic_type.value == "POLYLINE"
    assert (points[0] == points[-1]).all()
    assert len(points) <= 101
    # The planted ellipse: rows 0.42 ± 0.06 of 512, columns 0.5 ± 0.07 of 400.
    assert points[:, 0].min() == pytest.approx(172, abs=1)
    assert points[:, 0].max() == pytest.approx(228, abs=1)
    assert points[:, 1].min() == pytest.approx(184.3, abs=1)
    assert points[:, 1].max() == pytest.approx(245.8, abs=1)


def test_the_image_of_a_region_is_its_original_source_and_is_evidence() -> None:
    exam = film_exam()

    (sr, *_) = objects_of(exam, "findings")

    evidence = {
        instance.ReferencedSOPInstanceUID
        for study in sr.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    sources = items(sr, codes.ORIGINAL_SOURCE)
    assert len(sources) == 2
    for source in sources:
        assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in evidence
    # Film exams: a study of its own for every view.
    assert len(sr.CurrentRequestedProcedureEvidenceSequence) == 4
    assert sr.StudyInstanceUID == exam.mammograms[0].header.StudyInstanceUID


def test_an_image_that_was_not_read_is_listed_with_its_coded_reason() -> None:
    exam = digital_exam()

    (sr, *_) = objects_of(exam, "partial")

    (reason,) = items(sr, codes.REASON_NOT_READ)
    assert value_code(reason) == "magnified_spot"
    assert value_code(items(sr, codes.READING_STATUS)[0]) == "111225"
    (group,) = [
        g for g in items(sr, dictionary.DCM.MeasurementGroup) if reason in g.ContentSequence
    ]
    image = next(item for item in group.ContentSequence if item.ValueType == "IMAGE")
    uid = exam.mammograms[3].sop_instance_uid
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uid


def test_an_exam_that_could_not_be_read_gives_every_reason_and_no_score() -> None:
    objects = objects_of(digital_exam(), "failed")

    (sr,) = objects
    reasons = [value_code(item) for item in items(sr, codes.REASON_NOT_READ)]
    assert reasons == ["pixels_corrupt"] * 4
    assert value_code(items(sr, codes.READING_STATUS)[0]) == "111224"
    assert items(sr, codes.CAD_SCORE) == []


def test_the_image_library_holds_every_view_with_side_and_view() -> None:
    (sr, *_) = objects_of(digital_exam(), "none")

    (library,) = items(sr, codes.IMAGE_LIBRARY)
    sides = [value_code(item) for item in items(library, codes.IMAGE_LATERALITY)]
    views = [value_code(item) for item in items(library, codes.IMAGE_VIEW)]
    assert sides == ["24028007", "7771000", "24028007", "7771000"]
    assert views == ["399162004", "399162004", "399368009", "399368009"]


def test_the_disclaimer_is_in_the_report_in_any_script() -> None:
    (sr, *_) = objects_of(digital_exam(), "none", disclaimer="연구용 – nur für Forschung")

    report = reread(sr)

    assert items(report, codes.COMMENT)[0].TextValue == "연구용 – nur für Forschung"
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert str(report.PatientName) == "Müller^Änne"


def test_a_changed_reading_names_the_report_it_replaces() -> None:
    exam = digital_exam()
    (old, *_) = objects_of(exam, "partial")

    (new, *_) = objects_of(exam, "findings", predecessors={ObjectKind.MEASUREMENT_SR: [old]})

    assert new.SOPInstanceUID != old.SOPInstanceUID
    (study,) = new.PredecessorDocumentsSequence
    named = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == old.SOPInstanceUID


def test_an_unchanged_reading_never_names_itself() -> None:
    exam = digital_exam()
    (first, *_) = objects_of(exam, "partial")
    (second, *_) = objects_of(exam, "findings", predecessors={ObjectKind.MEASUREMENT_SR: [first]})

    (again, *_) = objects_of(exam, "findings", predecessors={ObjectKind.MEASUREMENT_SR: [second]})

    assert again == second


def test_a_report_in_which_two_patients_exams_become_one_names_both() -> None:
    one, other = digital_exam(), digital_exam(PatientID="OTHER")
    old = [objects_of(exam, "findings")[0] for exam in (one, other)]
    (new, *_) = objects_of(
        digital_exam(PatientID="RIGHT"), "findings", predecessors={ObjectKind.MEASUREMENT_SR: old}
    )
    named = {
        reference.ReferencedSOPInstanceUID
        for study in new.PredecessorDocumentsSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert named == {ds.SOPInstanceUID for ds in old}
    assert len(named) == 2


def test_an_outline_beyond_the_image_is_brought_inside() -> None:
    outline = ((-5.0, -5.0), (-5.0, 450.0), (700.0, 450.0))
    odd = Finding("1", Box(0, 0, 512, 400), outline, FindingKind.SUSPICIOUS_REGION, 0.5, "m")

    points = polyline(odd, 512, 400)

    assert points.min() >= 0
    assert points[:, 0].max() == 400
    assert points[:, 1].max() == 512


def test_an_outline_without_area_becomes_the_box() -> None:
    odd = Finding("1", Box(10, 20, 30, 50), ((1.0, 1.0),), FindingKind.SUSPICIOUS_REGION, 0.5, "m")

    points = polyline(odd, 512, 400)

    assert points.tolist() == [[20, 10], [50, 10], [50, 30], [20, 30], [20, 10]]


def test_a_long_outline_is_thinned_to_a_hundred_points() -> None:
    view = digital_exam().mammograms[0]
    rng = np.random.default_rng(1)
    ragged = tuple(
        (r + float(rng.normal(0, 2)), c + float(rng.normal(0, 2))) for r, c in finding(view).outline
    )
    odd = Finding("1", finding(view).box, ragged, FindingKind.SUSPICIOUS_REGION, 0.5, "m")

    assert 10 < len(polyline(odd, view.rows, view.columns)) <= 101

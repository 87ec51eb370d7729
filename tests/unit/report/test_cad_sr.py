"""The Mammography CAD SR: what its tree says of each outcome of a reading (PS3.16 TID 4000)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from pydicom import Dataset, config

from cadnode import __version__
from cadnode.domain import ModelUse, Skipped, SkipReason
from cadnode.errors import ReportError
from cadnode.exam.exam import Exam
from cadnode.report import codes
from cadnode.report.cad_sr import cad_sr, concepts
from cadnode.report.cad_sr.tid4023_operating_points import chosen_step, step_of, steps
from cadnode.report.edition import Edition
from tests.cad_cases import CAD_OUTCOMES, CURVE, cad_of, cad_result
from tests.report_cases import AUTOENCODER, MADE_AT, digital_exam, film_exam, result_of
from tests.sr_tree import number, value_code

Path = tuple[int, ...]


@cache
def report_of(outcome: str) -> Dataset:
    """The CAD report of a made exam; nothing here changes it."""
    return cad_of(digital_exam(), outcome)


def walk(node: Dataset, path: Path = (1,)) -> Iterator[tuple[Path, Dataset]]:
    """Every content item below the root with its place in the tree."""
    for i, item in enumerate(node.get("ContentSequence", []), start=1):
        yield (*path, i), item
        yield from walk(item, (*path, i))


def named(node: Dataset, name: Any) -> list[Dataset]:
    """Items below `node` with this concept name; items by reference and images have none."""
    return [
        item
        for _, item in walk(node)
        if "ConceptNameCodeSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == name.value
    ]


def one(node: Dataset, name: Any) -> Dataset:
    (item,) = named(node, name)
    return item


def own(node: Dataset, name: Any) -> list[Dataset]:
    """Direct children of that name."""
    return [
        item
        for item in node.get("ContentSequence", [])
        if "ConceptNameCodeSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == name.value
    ]


def findings_of(sr: Dataset) -> dict[str, Dataset]:
    """Single image findings by their tracking identifiers."""
    found = {}
    for item in named(sr, concepts.SINGLE_IMAGE_FINDING):
        for words in own(item, codes.TRACKING_IDENTIFIER):
            found[str(words.TextValue)] = item
    return found


def intent(item: Dataset) -> str:
    return value_code(own(item, concepts.RENDERING_INTENT)[0])


def parameters(item: Dataset) -> list[str]:
    return [str(p.TextValue) for p in own(item, codes.ALGORITHM_PARAMETERS)]


@pytest.mark.parametrize(
    ("outcome", "summary", "detections", "analyses"),
    [
        ("findings", "111242", "111222", "111222"),
        ("none", "111241", "111222", "111222"),
        ("partial", "111244", "111223", "111222"),
        ("one_view", "111244", "111223", "111223"),
        ("system_failed", "111244", "111222", "111223"),
        ("implants", "111244", "111223", "111223"),
        ("failed", "111245", "111224", "111225"),
        ("nothing_tried", "111245", "111225", "111225"),
    ],
)
def test_the_summaries_say_how_the_reading_ended(
    outcome: str, summary: str, detections: str, analyses: str
) -> None:
    sr = report_of(outcome)

    told = [
        value_code(one(sr, name))
        for name in (codes.SUMMARY, concepts.SUMMARY_OF_DETECTIONS, concepts.SUMMARY_OF_ANALYSES)
    ]

    assert told == [summary, detections, analyses]


@pytest.mark.parametrize("outcome", CAD_OUTCOMES)
def test_summaries_of_detections_and_analyses_have_the_lists_that_their_status_wants(
    outcome: str,
) -> None:
    wanted = {
        "111222": (1, 0),  # succeeded
        "111223": (1, 1),  # in part
        "111224": (0, 1),  # failed
        "111225": (0, 0),  # not attempted
    }
    sr = report_of(outcome)

    for name, successful, failed in (
        (
            concepts.SUMMARY_OF_DETECTIONS,
            concepts.SUCCESSFUL_DETECTIONS,
            concepts.FAILED_DETECTIONS,
        ),
        (concepts.SUMMARY_OF_ANALYSES, concepts.SUCCESSFUL_ANALYSES, concepts.FAILED_ANALYSES),
    ):
        summary = one(sr, name)
        lists = (len(own(summary, successful)), len(own(summary, failed)))
        assert lists == wanted[value_code(summary)]


@pytest.mark.parametrize("outcome", CAD_OUTCOMES)
def test_not_all_succeeded_never_stands_over_two_summaries_that_succeeded(outcome: str) -> None:
    sr = report_of(outcome)
    parts = {
        value_code(one(sr, name))
        for name in (concepts.SUMMARY_OF_DETECTIONS, concepts.SUMMARY_OF_ANALYSES)
    }

    all_succeeded = value_code(one(sr, codes.SUMMARY)) in {"111241", "111242"}

    assert all_succeeded == (parts == {"111222"})


@pytest.mark.parametrize("outcome", CAD_OUTCOMES)
def test_every_reference_leads_to_an_image_of_the_library(outcome: str) -> None:
    sr = report_of(outcome)
    tree = dict(walk(sr))
    references = [i for i in tree.values() if "ReferencedContentItemIdentifier" in i]

    targets = [tree[tuple(map(int, r.ReferencedContentItemIdentifier))] for r in references]

    assert {t.ValueType for t in targets} <= {"IMAGE"}
    assert {r.RelationshipType for r in references} <= {"SELECTED FROM", "HAS PROPERTIES"}
    assert all("ValueType" not in r for r in references)


@pytest.mark.parametrize("exam", [digital_exam(), film_exam()], ids=["digital", "film"])
def test_the_library_and_the_evidence_name_the_same_images(exam: Exam) -> None:
    sr = cad_of(exam, "partial")
    library = one(sr, codes.IMAGE_LIBRARY)

    shown = [i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in library.ContentSequence]
    evidence = [
        instance.ReferencedSOPInstanceUID
        for study in sr.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]

    assert shown == [m.sop_instance_uid for m in exam.mammograms]
    assert sorted(shown) == sorted(evidence)


def test_an_image_of_the_library_has_its_breast_and_its_view() -> None:
    (first, *_) = one(report_of("none"), codes.IMAGE_LIBRARY).ContentSequence

    assert value_code(one(first, codes.IMAGE_LATERALITY)) == "73056007"  # CID 6022: right breast
    assert value_code(one(first, codes.IMAGE_VIEW)) == "399162004"
    assert number(one(first, codes.SPACING_VERTICAL)) == 0.4
    assert str(one(first, concepts.STUDY_DATE).Date) == "20200102"


def test_a_finding_points_at_its_own_image_with_its_centre_and_a_closed_outline() -> None:
    exam = digital_exam()
    sr = cad_of(exam, "findings")
    found = findings_of(sr)["finding 2"]  # on the third view: R MLO
    (centre,), (outline,) = own(found, concepts.CENTER), own(found, concepts.OUTLINE)

    points = list(outline.GraphicData)

    assert outline.ContentSequence[0].ReferencedContentItemIdentifier == [1, 2, 3]
    assert (points[0], points[1]) == (points[-2], points[-1])
    # The ellipse of report_cases lies about row 0.42 · 512 and column 0.5 · 400.
    assert list(centre.GraphicData) == pytest.approx([200.0, 215.04], abs=0.5)


def test_a_cluster_has_type_distribution_number_diameter_and_its_calcifications() -> None:
    cluster = findings_of(report_of("pairs"))["finding 1"]
    specks = own(cluster, concepts.SINGLE_IMAGE_FINDING)

    assert value_code(cluster) == "129769006"
    assert value_code(one(cluster, codes.CALCIFICATION_TYPE)) == "111344"
    assert value_code(one(cluster, codes.DISTRIBUTION)) == "129766004"
    assert number(one(cluster, codes.N_CALCIFICATIONS)) == 12
    assert number(one(cluster, codes.DIAMETER)) == 8.25
    assert [value_code(s) for s in specks] == ["129770007"] * 3
    assert {s.RelationshipType for s in specks} == {"INFERRED FROM"}
    assert {intent(s) for s in specks} == {"111151"}
    # Column then row: the middle one lies at the middle of the cluster's box.
    assert list(one(specks[1], concepts.CENTER).GraphicData) == [200.0, 214.5]


def test_a_mass_in_one_image_is_a_density_and_in_two_a_mass() -> None:
    sr = report_of("pairs")
    features = named(sr, concepts.COMPOSITE_FEATURE)

    assert value_code(findings_of(sr)["finding 3"]) == "129793001"
    assert [value_code(f) for f in features] == ["129769006", "129788004"]


def test_a_lesion_seen_in_two_views_is_one_feature_inferred_from_both() -> None:
    feature = named(report_of("pairs"), concepts.COMPOSITE_FEATURE)[0]
    single = own(feature, concepts.SINGLE_IMAGE_FINDING)

    assert {s.RelationshipType for s in single} == {"INFERRED FROM"}
    assert [str(one(s, codes.TRACKING_IDENTIFIER).TextValue) for s in single] == [
        "finding 1",
        "finding 2",
    ]
    assert value_code(one(feature, concepts.COMPOSITE_TYPE)) == "111154"
    assert value_code(one(feature, concepts.SCOPE)) == "111158"
    assert number(one(feature, concepts.CERTAINTY_OF_FEATURE)) == 80
    assert parameters(feature) == ["nipple distances 52.5 and 55.5 mm"]


def test_each_finding_of_the_result_is_there_once_under_its_tracking_uid() -> None:
    sr, result = report_of("pairs"), cad_result(digital_exam(), "pairs")
    uids = [str(u.UID) for u in named(sr, codes.TRACKING_UID)]

    mine = [name for name in findings_of(sr) if ":" not in name]

    assert sorted(mine) == [f"finding {i}" for i in range(1, len(result.findings) + 1)]
    assert len(set(uids)) == len(uids)


def test_suspicious_findings_are_to_be_shown_and_others_may_be() -> None:
    found = findings_of(report_of("pairs"))
    impressions = named(report_of("pairs"), concepts.IMPRESSION)

    assert {n: intent(i) for n, i in found.items() if ":" not in n} == {
        "finding 1": "111150",
        "finding 2": "111150",
        "finding 3": "111151",
        "finding 4": "111151",
        "finding 5": "111151",
    }
    further = ["111152"] * 5  # what the other systems say of each
    assert [intent(i) for i in impressions] == ["111150", "111151", "111151", *further]


def test_a_region_that_a_person_drew_is_to_be_shown_with_a_description() -> None:
    found = findings_of(report_of("marked"))["finding 1"]
    (said,) = own(found, concepts.REGION_DESCRIPTION)

    assert (value_code(found), intent(found)) == ("111099", "111150")
    assert said.TextValue == (
        "Region drawn by a person; no lesion was segmented; "
        f"CAD score of kang2021, {__version__}; training data not stated: 0.75 (0 to 1)"
    )


def test_further_systems_speak_under_their_own_names_and_are_not_drawn() -> None:
    found = findings_of(report_of("systems"))
    theirs = {n: i for n, i in found.items() if n.startswith("finding 1:")}
    detection = theirs.pop("finding 1: detection")

    algorithms = {str(own(i, codes.ALGORITHM_NAME)[0].TextValue) for i in theirs.values()}

    assert algorithms == {"kim2018", "helsinki-resnext50", "wang2016-calcifications"}
    assert {intent(i) for i in theirs.values()} == {"111152"}
    impressions = named(report_of("systems"), concepts.IMPRESSION)
    rest = [i for i in impressions if intent(i) == "111152"]
    counts = [len(own(i, concepts.SINGLE_IMAGE_FINDING)) for i in rest]
    assert counts == [4, 2]  # of the cluster, of the mass; the third has one system
    assert number(own(detection, codes.CERTAINTY)[0]) == 93.75
    assert str(own(detection, codes.ALGORITHM_NAME)[0].TextValue) == "cadnode"
    assert [
        i for f in (found["finding 1"], *theirs.values()) for i in own(f, codes.CERTAINTY)
    ] == []
    assert str(own(found["finding 1"], codes.ALGORITHM_NAME)[0].TextValue) == "kang2021"
    assert parameters(found["finding 1"])[-1].endswith("training data not stated: 0.75 (0 to 1)")
    assert parameters(theirs["finding 1: helsinki_dtl"])[-1] == (
        "CAD score of helsinki_dtl, 0.1.0; training data not stated: 0.25 (0 to 1)"
    )


def test_no_finding_stands_beside_a_selected_region_of_another_finding() -> None:
    # PixelMed takes whatever stands beside a selected region for one, and wants its description.
    exam = digital_exam()
    result = result_of(exam, "systems")
    *known, peak = result.findings
    told = replace(peak, assessments=known[0].assessments, algorithm=known[0].algorithm)
    report = cad_sr(Edition(exam, replace(result, findings=(*known, told)), MADE_AT))
    assert report is not None

    for impression in named(report, concepts.IMPRESSION):
        found = own(impression, concepts.SINGLE_IMAGE_FINDING)
        assert len({value_code(item) for item in found}) <= 1


def test_lost_images_are_failed_detections_with_the_reason() -> None:
    exam = digital_exam()
    sr = cad_of(exam, "implants")
    failed = named(one(sr, concepts.FAILED_DETECTIONS), concepts.DETECTION_PERFORMED)

    images = {
        tuple(r.ReferencedContentItemIdentifier)
        for item in failed
        for r in item.ContentSequence
        if "ReferencedContentItemIdentifier" in r
    }

    assert {value_code(i) for i in failed} == {"111099", "129769006", "129793001"}
    assert images == {(1, 2, 3), (1, 2, 4)}
    assert parameters(failed[0]) == ["not read: The breast has an implant that was not displaced"]


def test_an_image_lost_without_a_name_fails_the_analysis_of_the_exam() -> None:
    exam, result = digital_exam(), result_of(digital_exam(), "none")
    result = replace(result, skipped=(Skipped("", SkipReason.TRUNCATED),))

    sr = cad_sr(Edition(exam, result, MADE_AT))

    assert sr is not None
    assert value_code(one(sr, codes.SUMMARY)) == "111243"
    assert value_code(one(sr, concepts.SUMMARY_OF_DETECTIONS)) == "111222"
    (failed,) = named(one(sr, concepts.FAILED_ANALYSES), concepts.ANALYSIS_PERFORMED)
    assert value_code(failed) == "111234"
    assert parameters(failed) == ["1 more could not be read, and cannot be referred to"]


def test_operating_points_are_the_cards_and_an_optional_finding_names_its_own() -> None:
    sr = report_of("pairs")
    (analysis,) = [
        a
        for a in named(sr, concepts.ANALYSIS_PERFORMED)
        if one(a, codes.ALGORITHM_NAME).TextValue == AUTOENCODER
    ]
    table = one(analysis, concepts.OPERATING_POINT_TABLE)
    points = own(table, concepts.OPERATING_POINT)

    # Eleven thresholds 1.0 … 0.0 in steps of 0.1; ten are kept, 0.5 is not among them.
    assert [number(p) for p in points] == list(range(10))
    assert number(one(analysis, concepts.MAXIMUM_OPERATING_POINT)) == 9
    assert number(one(analysis, concepts.RECOMMENDED_OPERATING_POINT)) == 4  # threshold 0.6
    assert value_code(one(table, concepts.X_CONCEPT)) == "111091"
    assert value_code(one(table, concepts.Y_CONCEPT)) == "111089"
    fifth = points[4]
    assert number(one(fifth, concepts.IMAGE_SPECIFICITY)) == pytest.approx(60)
    assert number(one(fifth, concepts.LESION_SENSITIVITY)) == pytest.approx(40)
    # Finding 3 has probability 0.5 and is below the operating point: shown one step further on,
    # at threshold 0.5 or, as that is not kept, 0.4.
    (optional,) = own(findings_of(sr)["finding 3"], concepts.RENDERING_INTENT)
    assert number(one(optional, concepts.OPERATING_POINT)) == 5


def test_scores_that_are_no_probabilities_are_told_in_words_only() -> None:
    sr = report_of("none")
    (said,) = own(one(sr, codes.SUMMARY), concepts.IMPRESSION_DESCRIPTION)

    assert said.TextValue == (
        "CAD score of kim2018, 1.0.0; training data not stated, 0 to 1, no probability. "
        "Exam 0.78. Right breast 0.78. Left breast 0.19. "
        "Operating point 0.50. Research use only, not for primary diagnosis."
    )
    assert items_with_unit(sr, "%") == []


def items_with_unit(sr: Dataset, unit: str) -> list[Dataset]:
    """NUM items in that unit outside of tables of operating points."""
    tables = named(sr, concepts.OPERATING_POINT_TABLE)
    inside = {id(item) for table in tables for _, item in walk(table)}
    return [
        item
        for _, item in walk(sr)
        if item.get("ValueType") == "NUM"
        and id(item) not in inside
        and item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == unit
    ]


def test_systems_that_took_no_part_are_told_in_words() -> None:
    (said,) = own(one(report_of("marked"), codes.SUMMARY), concepts.IMPRESSION_DESCRIPTION)

    assert "helsinki_dtl took no part: no model. " in said.TextValue


def test_an_exam_without_an_image_to_refer_to_has_no_cad_report() -> None:
    exam = digital_exam()
    broken = {uid: header_without_rows(h) for uid, h in exam.headers.items()}
    exam = replace(exam, mammograms=(), headers=broken)

    assert cad_sr(Edition(exam, result_of(digital_exam(), "failed"), MADE_AT)) is None


def header_without_rows(header: Dataset) -> Dataset:
    copy = Dataset()
    copy.update({e.tag: e for e in header if e.keyword != "Rows"})
    return copy


def test_a_finding_on_an_image_that_is_not_in_the_exam_is_refused() -> None:
    exam, result = digital_exam(), result_of(digital_exam(), "findings")
    stray = replace(result.findings[0], sop_instance_uid="2.25.99")

    with pytest.raises(ReportError):
        cad_sr(Edition(exam, replace(result, findings=(stray,)), MADE_AT))


def test_the_same_reading_makes_the_same_document_and_another_names_it() -> None:
    exam = digital_exam()
    first, again = cad_of(exam, "partial"), cad_of(exam, "partial")
    reread = cad_of(exam, "partial", replaced=[first])
    changed = cad_of(exam, "findings", replaced=[first])

    assert again.SOPInstanceUID == first.SOPInstanceUID == reread.SOPInstanceUID
    assert changed.SOPInstanceUID != first.SOPInstanceUID
    (old,) = changed.PredecessorDocumentsSequence
    assert (
        old.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        == first.SOPInstanceUID
    )


def test_other_operating_points_are_another_document() -> None:
    exam, result = digital_exam(), result_of(digital_exam(), "none")
    uids = {
        cad_sr(
            Edition(exam, replace(result, models=(replace(result.models[0], curve=c),)), MADE_AT)
        ).SOPInstanceUID
        for c in (None, CURVE, replace(CURVE, threshold=0.5))
    }

    assert len(uids) == 3


def test_a_curve_does_not_make_a_model_another_one() -> None:
    model = ModelUse("a", "1.0.0", "0" * 64)

    assert replace(model, curve=CURVE) == model


def test_our_own_rules_are_named_with_the_softwares_version() -> None:
    (analysis,) = [
        a
        for a in named(report_of("none"), concepts.ANALYSIS_PERFORMED)
        if value_code(a) == "133884007"
    ]

    assert one(analysis, codes.ALGORITHM_NAME).TextValue == "cadnode"
    assert one(analysis, codes.ALGORITHM_VERSION).TextValue == __version__


@pytest.mark.parametrize(("date", "time"), [("", ""), ("2020.01.02", "3 o'clock"), (None, None)])
def test_a_date_or_time_that_is_none_is_left_out_of_the_library(
    date: str | None, time: str | None
) -> None:
    with config.disable_value_validation():
        exam = digital_exam(StudyDate=date, StudyTime=time)
        sr = cad_of(exam, "none")

    assert named(sr, concepts.STUDY_DATE) == named(sr, concepts.STUDY_TIME) == []


def test_a_threshold_between_the_kept_points_is_kept_as_well() -> None:
    points = tuple((i / 100, 1 - i / 100, i / 100) for i in range(100, -1, -1))
    curve = replace(CURVE, points=points, threshold=0.37)

    shown = steps(curve)

    assert len(shown) == 10
    assert shown[0][0] == 1.0
    assert shown[-1][0] == 0.0
    assert shown[chosen_step(curve)][0] == 0.37
    assert [step_of(curve, p) for p in (1.0, 0.37, 0.0)] == [0, chosen_step(curve), 9]

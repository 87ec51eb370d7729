"""A finding that several systems assessed: drawn once, each system under its own name."""

from dataclasses import replace
from enum import StrEnum
from functools import cache

import pytest
from pydicom import Dataset
from pydicom.sr.codedict import Collection
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from cadnode import __version__
from cadnode.domain import (
    CalcificationType,
    Distribution,
    ExamResult,
    FindingKind,
    RoiReference,
    System,
    SystemStatus,
)
from cadnode.errors import ReportError
from cadnode.exam.exam import Exam
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr.measurement_report import measurement_sr
from tests.report_cases import (
    AUTOENCODER,
    CNNS,
    MADE_AT,
    MARKER,
    RESNEXT,
    ROI_MODELS,
    digital_exam,
    result_of,
    with_marker,
)
from tests.sr_tree import items, number, reread, value_code

GROUP = dictionary.DCM.MeasurementGroup
ALGORITHM = [dictionary.DCM.AlgorithmName, dictionary.DCM.AlgorithmVersion]
PARAMETERS = dictionary.DCM.AlgorithmParameters


def text(node: Dataset, name: Code) -> str:
    (item,) = items(node, name)
    return str(item.TextValue)


def own_texts(node: Dataset, name: Code) -> list[str]:
    """Texts of that name right under `node`, without those of its measurements."""
    return [
        str(i.TextValue)
        for i in node.ContentSequence
        if i.ConceptNameCodeSequence[0].CodeValue == name.value
    ]


def own_text(node: Dataset, name: Code) -> str:
    (told,) = own_texts(node, name)
    return told


@cache
def sr_of(outcome: str) -> Dataset:
    """The report of one of the golden results; nothing here changes it."""
    exam = with_marker(digital_exam())
    return edition_sr(result_of(exam, outcome), exam)


def groups_of(sr: Dataset, number_: int) -> dict[str, Dataset]:
    """The groups of finding `number_` by their tracking identifiers."""
    named = {text(g, dictionary.DCM.TrackingIdentifier): g for g in items(sr, GROUP)}
    own = f"finding {number_}"
    return {n: g for n, g in named.items() if n == own or n.startswith(f"{own}:")}


def edition_sr(result: ExamResult, exam: Exam | None = None) -> Dataset:
    return measurement_sr(Edition(exam or digital_exam(), result, MADE_AT))


def test_each_system_speaks_under_its_own_algorithm_and_the_region_is_written_once() -> None:
    sr = sr_of("systems")

    groups = groups_of(sr, 1)

    assert {n: (*(own_text(g, a) for a in ALGORITHM),) for n, g in groups.items()} == {
        "finding 1": ("kang2021", __version__),
        "finding 1: kim2018": ("kim2018", "1.0.0"),
        "finding 1: helsinki_dtl": (RESNEXT, "0.1.0"),
        "finding 1: wang2016": (AUTOENCODER, "0.1.0"),
    }
    scores = {n: number(items(g, codes.CAD_SCORE)[0]) for n, g in groups.items()}
    assert list(scores.values()) == [0.75, 0.6875, 0.25, 0.5]
    region = dictionary.DCM.ImageRegion
    assert [len(items(g, region)) for g in groups.values()] == [1, 0, 0, 0]
    templates = [g.ContentTemplateSequence[0].TemplateIdentifier for g in groups.values()]
    assert templates == ["1410", "1501", "1501", "1501"]


def test_every_group_of_the_report_has_a_tracking_uid_of_its_own() -> None:
    sr = sr_of("systems")

    uids = [str(i.UID) for i in items(sr, dictionary.DCM.TrackingUniqueIdentifier)]

    assert len(uids) == len(items(sr, GROUP)) == len(set(uids))


def test_an_ensemble_names_its_members_with_version_weights_and_score() -> None:
    sr = sr_of("systems")

    told = own_texts(groups_of(sr, 1)["finding 1"], PARAMETERS)

    assert told == [
        f"{CNNS[0]} 0.1.0 sha256:{ROI_MODELS[0].sha256} score 0.625",
        f"{CNNS[1]} 0.1.0 sha256:{ROI_MODELS[1].sha256} score 0.875",
    ]


def test_classifiers_beside_a_model_are_named_after_its_weights() -> None:
    sr = sr_of("systems")

    told = own_texts(groups_of(sr, 1)["finding 1: wang2016"], PARAMETERS)

    assert told == [
        f"sha256:{ROI_MODELS[3].sha256}",
        "svm score 0.375",
        "knn score 0.5",
        "lda score 0.25",
    ]


def test_each_group_says_whether_its_operating_point_is_reached() -> None:
    sr = sr_of("systems")

    answers = {
        name: value_code(items(group, codes.REACHES_OPERATING_POINT)[0])
        for name, group in groups_of(sr, 1).items()
    }

    yes, no = "373066001", "373067005"
    assert list(answers.values()) == [yes, yes, no, yes]
    assert answers["finding 1: helsinki_dtl"] == no


def test_a_cluster_is_described_with_the_codes_of_the_standard() -> None:
    report = reread(sr_of("systems"))

    cluster, mass, _ = report.content.get_planar_roi_measurement_groups()

    assert cluster.finding_type == codes.FINDING_KINDS[FindingKind.CALCIFICATION_CLUSTER]
    told = {m.name.value: (m.value, m.unit.value) for m in cluster.get_measurements()}
    assert told == {
        "CAD_SCORE": (0.75, "1"),
        "111012": (93.75, "%"),  # certainty of finding
        "111038": (12, "1"),  # number of calcifications
        "81827009": (8.25, "mm"),  # diameter
    }
    words = {e.name.value: e.value.value for e in cluster.get_qualitative_evaluations()}
    assert words["111009"] == "111344"  # fine pleomorphic
    assert words["111008"] == "129766004"  # grouped
    assert mass.finding_type.value == "4147007"
    assert "111038" not in {m.name.value for m in mass.get_measurements()}


@pytest.mark.parametrize(
    ("table", "context_group"),
    [(codes.CALCIFICATION_TYPES, 6010), (codes.DISTRIBUTIONS, 6012)],
)
def test_descriptor_codes_are_members_of_their_context_group(
    table: dict[StrEnum, Code], context_group: int
) -> None:
    members = Collection(f"CID{context_group}")

    assert len(set(table.values())) == len(table)
    assert all(code in members for code in table.values())


def test_every_word_of_the_domain_has_a_code() -> None:
    assert set(codes.FINDING_KINDS) == set(FindingKind)
    assert set(codes.CALCIFICATION_TYPES) == set(CalcificationType)
    assert set(codes.DISTRIBUTIONS) == set(Distribution)


def test_private_codes_fit_into_the_attributes_of_the_standard() -> None:
    for code in [codes.system(s) for s in System] + [codes.REACHES_OPERATING_POINT]:
        assert len(code.value) <= 16
        assert len(code.meaning) <= 64


def test_a_system_that_took_no_part_is_named_with_its_reason() -> None:
    sr = sr_of("marked")

    parts = {s: value_code(items(sr, codes.system(s))[0]) for s in System}
    comments = [str(i.TextValue) for i in items(sr, codes.COMMENT)]

    assert parts[System.HELSINKI_DTL] == "ABSENT"
    assert {parts[s] for s in System if s is not System.HELSINKI_DTL} == {"TOOK_PART"}
    assert comments[:2] == [
        "kang2021 took part, but: 2 of 5 networks",
        "helsinki_dtl took no part: no model",
    ]


def test_a_reason_in_another_script_is_written_as_unicode() -> None:
    result = result_of(digital_exam(), "none")
    told = SystemStatus(System.WANG2016, False, (), "모델 없음 …")

    report = reread(edition_sr(replace(result, systems=(told,))))

    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert "모델 없음 …" in str(items(report, codes.COMMENT)[0].TextValue)


def test_a_region_that_a_person_drew_refers_to_the_object_it_was_drawn_in() -> None:
    sr = sr_of("marked")

    (drawn,) = groups_of(sr, 1).values()
    typed = groups_of(sr, 2)["finding 2"]

    (reference,) = items(drawn, codes.SOURCE_OF_REGION)
    assert reference.ValueType == "COMPOSITE"
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == MARKER.sop_instance_uid
    assert value_code(items(drawn, dictionary.DCM.Finding)[0]) == "111099"  # selected region
    listed = [
        (str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID))
        for study in sr.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for i in series.ReferencedSOPSequence
    ]
    assert (MARKER.sop_class_uid, MARKER.sop_instance_uid) in listed
    assert len(listed) == len(set(listed)) == 5
    # The other one was typed: a person's, too, but there is no object to refer to.
    composites = [i for i in items(typed, codes.SOURCE_OF_REGION) if i.ValueType == "COMPOSITE"]
    assert composites == []
    for group in (drawn, typed):
        assert value_code(items(group, codes.REGION_ORIGIN)[0]) == "DRAWN"


def test_a_region_drawn_in_an_object_that_nobody_has_is_refused() -> None:
    exam = digital_exam()
    result = result_of(exam, "marked")
    lost = replace(result.findings[0], marked_by=RoiReference("1.2.3", "1.2.3.4"))

    with pytest.raises(ReportError, match="not in the exam"):
        edition_sr(replace(result, findings=(lost,)), with_marker(exam))


def test_models_of_regions_are_not_said_to_have_scored_the_exam() -> None:
    sr = sr_of("systems")

    (exam,) = (g for g in items(sr, GROUP) if text(g, dictionary.DCM.TrackingIdentifier) == "exam")

    assert text(exam, dictionary.DCM.AlgorithmName) == "kim2018"

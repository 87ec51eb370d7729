"""Measurement groups of one finding by highdicom: TID 1410, then TID 1501 groups."""

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    CompositeContentItem,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
)
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations as Region

from cadnode.domain import Assessment, ClusterDescription, Finding
from cadnode.exam.exam import Mammogram
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import assessment_scorer, finding_scorer
from cadnode.report.sr.finding_groups import polyline
from cadnode.report.sr.group_parts import diameter_is_estimated, mammogram_of, number
from cadnode.report.wording import counting
from tests.by_highdicom import group_parts as parts


def finding_groups(edition: Edition, finding: Finding, index: int) -> list[Group | Region]:
    """The finding's region, then a group for each system that is not the counting one."""
    chosen = counting(finding)
    others = [a for a in finding.assessments if a is not chosen]
    groups: list[Group | Region] = [_region(edition, finding, chosen, index)]
    return groups + [_assessment(edition, finding, a, index) for a in others]


def _region(edition: Edition, finding: Finding, chosen: Assessment | None, index: int) -> Region:
    """The region, drawn on its image, with the score that counts and the descriptors.

    The group's algorithm is that of the score. What the detection measured (certainty, number,
    diameter) has the detection's own algorithm beside each number (TID 300).
    """
    mammogram = mammogram_of(edition, finding.sop_instance_uid)
    members = chosen.members if chosen else ()
    measurements = [parts.score(finding_scorer(edition.result, finding), finding.probability)]
    detection = parts.detection(edition, finding)
    if finding.certainty is not None:
        percent = number(100 * finding.certainty)
        measurements.append(
            Measurement(codes.CERTAINTY, percent, codes.PERCENT, algorithm_id=detection)
        )
    evaluations = [reaches(chosen)] if chosen else []
    if finding.cluster is not None:
        estimated = diameter_is_estimated(edition, finding)
        measurements += _cluster_measurements(finding.cluster, detection, estimated=estimated)
        evaluations += _cluster_evaluations(finding.cluster)
    if finding.marked_by is not None:
        evaluations.append(
            QualitativeEvaluation(codes.REGION_ORIGIN, codes.region_origin(finding.marked_by))
        )
    group = Region(
        tracking_identifier=parts.tracking(edition, "region", index, f"finding {index + 1}"),
        referenced_region=image_region(mammogram, finding),
        finding_type=codes.FINDING_KINDS[finding.kind],
        finding_sites=parts.site(mammogram.laterality),
        algorithm_id=parts.algorithm_with_members(edition, finding.algorithm, members),
        measurements=measurements,
        qualitative_evaluations=evaluations or None,
    )
    if finding.marked_by is not None and finding.marked_by.sop_instance_uid:
        group[0].ContentSequence.append(drawn_in(finding))
    return group


def _assessment(edition: Edition, finding: Finding, found: Assessment, index: int) -> Group:
    """A further system's assessment, tied to the finding by the text "finding 1: kang2021"."""
    mammogram = mammogram_of(edition, finding.sop_instance_uid)
    text = f"finding {index + 1}: {found.system}"
    kind = f"assessment-{found.system}-{found.algorithm}"
    return Group(
        tracking_identifier=parts.tracking(edition, kind, index, text),
        finding_type=codes.FINDING_KINDS[finding.kind],
        finding_sites=parts.site(mammogram.laterality),
        algorithm_id=parts.algorithm_with_members(edition, found.algorithm, found.members),
        measurements=[parts.score(assessment_scorer(edition.result, found), found.probability)],
        qualitative_evaluations=[reaches(found)],
        source_images=[parts.source(mammogram.header)],
    )


def reaches(assessment: Assessment) -> QualitativeEvaluation:
    """Whether the score reaches the operating point of its system."""
    answer = codes.YES if assessment.suspicious else codes.NO
    return QualitativeEvaluation(codes.REACHES_OPERATING_POINT, answer)


def _cluster_measurements(
    cluster: ClusterDescription, detection: AlgorithmIdentification, *, estimated: bool
) -> list[Measurement]:
    """Number of calcifications and longest diameter, as TID 4010 measures a cluster.

    A diameter that rests on a guessed pixel size has the Derivation "Estimated" (TID 300).
    """
    return [
        Measurement(codes.N_CALCIFICATIONS, cluster.count, codes.NO_UNITS, algorithm_id=detection),
        Measurement(
            codes.DIAMETER,
            number(cluster.diameter_mm),
            codes.MILLIMETER,
            algorithm_id=detection,
            derivation=codes.ESTIMATED if estimated else None,
        ),
    ]


def _cluster_evaluations(cluster: ClusterDescription) -> list[QualitativeEvaluation]:
    """BI-RADS type and distribution, with the concepts of TID 4010."""
    return [
        QualitativeEvaluation(codes.CALCIFICATION_TYPE, codes.CALCIFICATION_TYPES[cluster.type]),
        QualitativeEvaluation(codes.DISTRIBUTION, codes.DISTRIBUTIONS[cluster.distribution]),
    ]


def drawn_in(finding: Finding) -> CompositeContentItem:
    """The object in which the region was marked; TID 1410 is extensible."""
    assert finding.marked_by is not None
    return CompositeContentItem(
        codes.SOURCE_OF_REGION,
        finding.marked_by.sop_class_uid,
        finding.marked_by.sop_instance_uid,
        RelationshipTypeValues.CONTAINS,
    )


def image_region(mammogram: Mammogram, finding: Finding) -> ImageRegion:
    """Closed POLYLINE over its image; the image's purpose is Original Source.

    highdicom codes the purpose as (260753009, SCT, Source); viewers that follow the template's
    older editions draw a region only under (111040, DCM, Original Source).
    """
    source = SourceImageForRegion(mammogram.sop_class_uid, mammogram.sop_instance_uid)
    source.ConceptNameCodeSequence = [CodedConcept.from_code(codes.ORIGINAL_SOURCE)]
    points = polyline(finding, mammogram.rows, mammogram.columns)
    return ImageRegion(GraphicTypeValues.POLYLINE, points, source)

"""Measurement groups of one finding: its region (TID 1410), then each further system's assessment.

The region is written once, with the algorithm whose score counts. Every other system gets
a TID 1501 group without a region: viewers draw each region they find, and show what carries the
same tracking UID as one measurement, so a second region or a shared UID would make one finding
look like several, or several scores like one algorithm's (docs/dicom-objects.md).
"""

import cv2
import numpy as np
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
from numpy.typing import NDArray

from cadnode.domain import Assessment, ClusterDescription, Finding
from cadnode.exam.exam import Mammogram
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import assessment_scorer, finding_scorer
from cadnode.report.sr import group_parts as parts
from cadnode.report.wording import counting

MAX_POINTS = 100


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
    mammogram = parts.mammogram_of(edition, finding.sop_instance_uid)
    members = chosen.members if chosen else ()
    measurements = [parts.score(finding_scorer(edition.result, finding), finding.probability)]
    detection = parts.detection(edition, finding)
    if finding.certainty is not None:
        percent = parts.number(100 * finding.certainty)
        measurements.append(
            Measurement(codes.CERTAINTY, percent, codes.PERCENT, algorithm_id=detection)
        )
    evaluations = [reaches(chosen)] if chosen else []
    if finding.cluster is not None:
        estimated = parts.diameter_is_estimated(edition, finding)
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
    mammogram = parts.mammogram_of(edition, finding.sop_instance_uid)
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
            parts.number(cluster.diameter_mm),
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


def polyline(finding: Finding, rows: int, columns: int) -> NDArray[np.float32]:
    """`(n, 2) float32` (column, row) points of the outline: closed, inside the image, n ≤ 101.

    (0, 0) is the top left corner of the top left pixel, (columns, rows) the bottom right corner
    of the last (PS3.3 C.18.6.1.2). An outline without area becomes the finding's box.
    """
    points = np.array([(c, r) for r, c in finding.outline], np.float32).reshape(-1, 2)
    if len(points) < 3 or cv2.contourArea(points) <= 0:
        row0, col0, row1, col1 = finding.box
        corners = [(col0, row0), (col1, row0), (col1, row1), (col0, row1)]
        points = np.array(corners, np.float32)
    tolerance = 0.5
    while len(points) > MAX_POINTS:
        points = cv2.approxPolyDP(points[:, None], tolerance, True)[:, 0].astype(np.float32)
        tolerance *= 1.5
    points = np.clip(points, 0, np.array([columns, rows], np.float32))
    return np.vstack([points, points[:1]])

"""Measurement groups of one finding: its region (TID 1410), then each further system's assessment.

The region is written once, with the algorithm whose score counts. Every other system gets
a TID 1501 group without a region: viewers draw each region they find, and show what carries the
same tracking UID as one measurement, so a second region or a shared UID would make one finding
look like several, or several scores like one algorithm's (docs/dicom-objects.md).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Assessment, ClusterDescription, Finding
from cadnode.exam.exam import Mammogram
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import assessment_scorer, finding_scorer
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr import items
from cadnode.report.sr.group_parts import Algorithm
from cadnode.report.sr.items import Item
from cadnode.report.wording import counting

MAX_POINTS = 100


def finding_groups(edition: Edition, finding: Finding, index: int) -> list[Item]:
    """The finding's region, then a group for each system that is not the counting one."""
    chosen = counting(finding)
    others = [a for a in finding.assessments if a is not chosen]
    groups: list[Item] = [_region(edition, finding, chosen, index)]
    return groups + [_assessment(edition, finding, a, index) for a in others]


def _region(edition: Edition, finding: Finding, chosen: Assessment | None, index: int) -> Item:
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
            parts.measurement(codes.CERTAINTY, percent, codes.PERCENT, by=detection)
        )
    evaluations = [reaches(chosen)] if chosen else []
    if finding.cluster is not None:
        estimated = parts.diameter_is_estimated(edition, finding)
        measurements += _cluster_measurements(finding.cluster, detection, estimated=estimated)
        evaluations += _cluster_evaluations(finding.cluster)
    evaluations += origin(finding)
    return parts.group(
        "1410",
        parts.group_tracking(edition, "region", index, f"finding {index + 1}"),
        kind=codes.FINDING_KINDS[finding.kind],
        sites=parts.breast(mammogram.laterality),
        by=parts.algorithm_with_members(edition, finding.algorithm, members),
        content=[*measurements, *evaluations, image_region(mammogram, finding), *drawn_in(finding)],
    )


def _assessment(edition: Edition, finding: Finding, found: Assessment, index: int) -> Item:
    """A further system's assessment, tied to the finding by the text "finding 1: kang2021"."""
    mammogram = parts.mammogram_of(edition, finding.sop_instance_uid)
    text = f"finding {index + 1}: {found.system}"
    kind = f"assessment-{found.system}-{found.algorithm}"
    score = parts.score(assessment_scorer(edition.result, found), found.probability)
    return parts.group(
        "1501",
        parts.group_tracking(edition, kind, index, text),
        kind=codes.FINDING_KINDS[finding.kind],
        sites=parts.breast(mammogram.laterality),
        by=parts.algorithm_with_members(edition, found.algorithm, found.members),
        content=[score, reaches(found), parts.source(mammogram.header)],
    )


def reaches(assessment: Assessment) -> Item:
    """Whether the score reaches the operating point of its system."""
    answer = codes.YES if assessment.suspicious else codes.NO
    return parts.evaluation(codes.REACHES_OPERATING_POINT, answer)


def _cluster_measurements(
    cluster: ClusterDescription, detection: Algorithm, *, estimated: bool
) -> list[Item]:
    """Number of calcifications and longest diameter, as TID 4010 measures a cluster.

    A diameter that rests on a guessed pixel size has the Derivation "Estimated" (TID 300).
    """
    derivation = codes.ESTIMATED if estimated else None
    diameter = parts.number(cluster.diameter_mm)
    return [
        parts.measurement(codes.N_CALCIFICATIONS, cluster.count, codes.NO_UNITS, by=detection),
        parts.measurement(
            codes.DIAMETER, diameter, codes.MILLIMETER, by=detection, derivation=derivation
        ),
    ]


def _cluster_evaluations(cluster: ClusterDescription) -> list[Item]:
    """BI-RADS type and distribution, with the concepts of TID 4010."""
    return [
        parts.evaluation(codes.CALCIFICATION_TYPE, codes.CALCIFICATION_TYPES[cluster.type]),
        parts.evaluation(codes.DISTRIBUTION, codes.DISTRIBUTIONS[cluster.distribution]),
    ]


def origin(finding: Finding) -> list[Item]:
    """Who marked the region, where somebody did."""
    marked = finding.marked_by
    return [parts.evaluation(codes.REGION_ORIGIN, codes.region_origin(marked))] if marked else []


def drawn_in(finding: Finding) -> list[Item]:
    """The object in which the region was marked, where it is known; TID 1410 is extensible."""
    marked = finding.marked_by
    if marked is None or not marked.sop_instance_uid:
        return []
    uids = (marked.sop_class_uid, marked.sop_instance_uid)
    return [items.composite(items.CONTAINS, codes.SOURCE_OF_REGION, *uids)]


def image_region(mammogram: Mammogram, finding: Finding) -> Item:
    """Closed POLYLINE over its image; the image's purpose is Original Source.

    The template's newer editions have another code for the purpose (260753009, SCT, Source);
    viewers that follow the older ones draw a region only under (111040, DCM, Original Source).
    """
    source = items.image(items.SELECTED, codes.ORIGINAL_SOURCE, mammogram.header)
    points = polyline(finding, mammogram.rows, mammogram.columns)
    return items.coordinates(items.CONTAINS, codes.IMAGE_REGION, "POLYLINE", points, source)


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

"""Measurement groups of a report: exam, breasts, views, regions and images not read.

TID 1501 for scores and for images that were not read, TID 1410 for regions (PS3.16).
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TrackingIdentifier,
)
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations as Region
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode import __version__
from cadnode.domain import (
    BreastScore,
    ExamResult,
    Finding,
    Laterality,
    ModelUse,
    Outcome,
    Skipped,
    ViewScore,
)
from cadnode.errors import ReportError
from cadnode.exam.model import Mammogram
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.image_library import referable

MAX_POINTS = 100


def measurement_groups(edition: Edition) -> list[Group | Region]:
    """All groups of the report in reading order; at least one, as the template wants it."""
    result = edition.result
    groups: list[Group | Region] = []
    if result.exam_score is not None or not result.skipped:
        groups.append(_exam(edition))
    groups += [_breast(edition, breast, i) for i, breast in enumerate(result.breasts)]
    groups += [_view(edition, view, i) for i, view in enumerate(result.views)]
    groups += [_region(edition, finding, i) for i, finding in enumerate(result.findings)]
    groups += [_not_read(edition, skipped, i) for i, skipped in enumerate(result.skipped)]
    return groups


def summary(result: ExamResult) -> Code:
    """How the reading ended, CID 6047.

    "Not all succeeded" when an image that matters was not read, or when no breast was seen in
    both of its standard views.
    """
    if result.outcome is Outcome.NOT_READ:
        return codes.NONE_SUCCEEDED
    lost = any(s.reason not in codes.HARMLESS for s in result.skipped)
    partial = lost or not result.complete
    if result.outcome is Outcome.FINDINGS:
        return codes.SOME_WITH_FINDINGS if partial else codes.ALL_WITH_FINDINGS
    return codes.SOME_WITHOUT_FINDINGS if partial else codes.ALL_WITHOUT_FINDINGS


def _tracking(edition: Edition, kind: str, index: int, text: str) -> TrackingIdentifier:
    """A tracking UID of its own for every group: viewers merge groups that share one."""
    return TrackingIdentifier(uid=edition.uid(f"tracking-{kind}", index), identifier=text)


def _algorithm(models: Sequence[ModelUse]) -> AlgorithmIdentification | None:
    """TID 4019: the model, or, when several took part, this software with the models named."""
    if not models:
        return None
    if len(models) == 1:
        (model,) = models
        return AlgorithmIdentification(model.name, model.version, [f"sha256:{model.sha256}"])
    parameters = [f"{m.name} {m.version} sha256:{m.sha256}" for m in models]
    return AlgorithmIdentification("cadnode", __version__, parameters)


def _number(value: float) -> float:
    """A finite Python float, short enough to be the same as text and as binary."""
    if not math.isfinite(value):
        raise ReportError("a score is not a finite number")
    return round(float(value), 6)


def _score(edition: Edition, score: float) -> Measurement:
    """A score: a probability in percent when calibrated, a CAD score from 0 to 1 otherwise."""
    if edition.calibrated:
        return _probability(score)
    return Measurement(codes.CAD_SCORE, _number(score), codes.NO_UNITS)


def _probability(probability: float) -> Measurement:
    """Probability of cancer in percent."""
    return Measurement(codes.PROBABILITY_OF_CANCER, _number(100 * probability), codes.PERCENT)


def _site(side: Laterality) -> list[FindingSite]:
    return [FindingSite(codes.BREAST, laterality=codes.SIDES[side])]


def _exam(edition: Edition) -> Group:
    """The exam: its score and the operating point or, without a score, how the reading ended."""
    result = edition.result
    evaluations, measurements = [], []
    if result.exam_score is None:
        evaluations.append(QualitativeEvaluation(codes.SUMMARY, summary(result)))
    else:
        measurements.append(_score(edition, result.exam_score))
    if result.operating_point is not None:
        point = _number(result.operating_point)
        measurements.append(Measurement(codes.OPERATING_POINT, point, codes.NO_UNITS))
    return Group(
        tracking_identifier=_tracking(edition, "exam", 0, "exam"),
        finding_sites=[FindingSite(codes.BREAST)],
        algorithm_id=_algorithm(result.models),
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _breast(edition: Edition, breast: BreastScore, index: int) -> Group:
    """One breast's score."""
    side = "left" if breast.laterality is Laterality.LEFT else "right"
    return Group(
        tracking_identifier=_tracking(edition, "breast", index, f"{side} breast"),
        finding_sites=_site(breast.laterality),
        algorithm_id=_algorithm(edition.result.models),
        measurements=[_score(edition, breast.score)],
    )


def _view(edition: Edition, view: ViewScore, index: int) -> Group:
    """One view's score, with the image it was measured on."""
    model = edition.model(view.algorithm)
    mammogram = _mammogram(edition, view.sop_instance_uid)
    text = f"{view.laterality} {view.view}"
    return Group(
        tracking_identifier=_tracking(edition, "view", index, text),
        finding_sites=_site(view.laterality),
        algorithm_id=_algorithm([model] if model else []),
        measurements=[_score(edition, view.score)],
        source_images=[_source(mammogram.header)],
    )


def _region(edition: Edition, finding: Finding, index: int) -> Region:
    """A region the algorithm marks, drawn on its image."""
    mammogram = _mammogram(edition, finding.sop_instance_uid)
    model = edition.model(finding.algorithm)
    return Region(
        tracking_identifier=_tracking(edition, "region", index, f"finding {index + 1}"),
        referenced_region=_image_region(mammogram, finding),
        finding_type=codes.finding_kind(finding.kind),
        finding_sites=_site(mammogram.laterality),
        algorithm_id=_algorithm([model] if model else []),
        measurements=[_probability(finding.probability)],
    )


def _not_read(edition: Edition, skipped: Skipped, index: int) -> Group:
    """An image that was not read, and the coded reason why not."""
    header = edition.header(skipped.sop_instance_uid)
    text = f"not read: {skipped.sop_instance_uid}" if header is not None else "not read"
    image = [_source(header)] if header is not None and referable(header) else None
    return Group(
        tracking_identifier=_tracking(edition, "not-read", index, text),
        qualitative_evaluations=[
            QualitativeEvaluation(codes.READING_STATUS, codes.reading_status(skipped.reason)),
            QualitativeEvaluation(codes.REASON_NOT_READ, codes.skip_reason(skipped.reason)),
        ],
        source_images=image,
    )


def _mammogram(edition: Edition, sop_instance_uid: str) -> Mammogram:
    mammogram = edition.mammogram(sop_instance_uid)
    if mammogram is None:
        raise ReportError("a score or finding refers to an image that is not in the exam")
    return mammogram


def _source(header: Dataset) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)


def _image_region(mammogram: Mammogram, finding: Finding) -> ImageRegion:
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

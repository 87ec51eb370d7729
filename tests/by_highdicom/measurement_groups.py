"""Measurement groups of a report by highdicom: TID 1501 and 1410."""

from highdicom.sr import FindingSite, Measurement, QualitativeEvaluation
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations as Region

from cadnode.domain import (
    BreastScore,
    ExamResult,
    ModelUse,
    Skipped,
    ViewScore,
)
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import exam_scorer, view_scorer
from cadnode.report.sr.group_parts import mammogram_of, number
from cadnode.report.sr.image_library import referable
from cadnode.report.sr.measurement_groups import summary
from cadnode.report.wording import SIDES
from tests.by_highdicom import group_parts as parts
from tests.by_highdicom.finding_groups import finding_groups


def measurement_groups(edition: Edition) -> list[Group | Region]:
    """All groups of the report in reading order; at least one, as the template wants it."""
    result = edition.result
    groups: list[Group | Region] = []
    if result.exam_score is not None or not result.skipped:
        groups.append(_exam(edition))
    groups += [_breast(edition, breast, i) for i, breast in enumerate(result.breasts)]
    groups += [_view(edition, view, i) for i, view in enumerate(result.views)]
    for i, finding in enumerate(result.findings):
        groups += finding_groups(edition, finding, i)
    groups += [_not_read(edition, skipped, i) for i, skipped in enumerate(result.skipped)]
    return groups


def _scored_by(result: ExamResult) -> list[ModelUse]:
    """The models that scored views: the exam's and the breasts' scores are made of theirs."""
    algorithms = {view.algorithm for view in result.views}
    return [model for model in result.models if model.name in algorithms]


def _exam(edition: Edition) -> Group:
    """The exam: its score and the operating point or, without a score, how the reading ended."""
    result = edition.result
    evaluations, measurements = [], []
    if result.exam_score is None:
        evaluations.append(QualitativeEvaluation(codes.SUMMARY, summary(result)))
    else:
        measurements.append(parts.score(exam_scorer(result), result.exam_score))
    if result.operating_point is not None:
        point = number(result.operating_point)
        measurements.append(Measurement(codes.OPERATING_POINT, point, codes.NO_UNITS))
    return Group(
        tracking_identifier=parts.tracking(edition, "exam", 0, "exam"),
        finding_sites=[FindingSite(codes.BREAST)],
        algorithm_id=parts.algorithm(_scored_by(result)),
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _breast(edition: Edition, breast: BreastScore, index: int) -> Group:
    """One breast's score."""
    side = SIDES[breast.laterality]
    return Group(
        tracking_identifier=parts.tracking(edition, "breast", index, f"{side} breast"),
        finding_sites=parts.site(breast.laterality),
        algorithm_id=parts.algorithm(_scored_by(edition.result)),
        measurements=[parts.score(exam_scorer(edition.result), breast.score)],
    )


def _view(edition: Edition, view: ViewScore, index: int) -> Group:
    """One view's score, with the image it was measured on."""
    model = edition.model(view.algorithm)
    mammogram = mammogram_of(edition, view.sop_instance_uid)
    text = f"{view.laterality} {view.view}"
    return Group(
        tracking_identifier=parts.tracking(edition, "view", index, text),
        finding_sites=parts.site(view.laterality),
        algorithm_id=parts.algorithm([model] if model else []),
        measurements=[parts.score(view_scorer(edition.result, view.algorithm), view.score)],
        source_images=[parts.source(mammogram.header)],
    )


def _not_read(edition: Edition, skipped: Skipped, index: int) -> Group:
    """An image that was not read, and the coded reason why not."""
    header = edition.header(skipped.sop_instance_uid)
    text = f"not read: {skipped.sop_instance_uid}" if header is not None else "not read"
    image = [parts.source(header)] if header is not None and referable(header) else None
    return Group(
        tracking_identifier=parts.tracking(edition, "not-read", index, text),
        qualitative_evaluations=[
            QualitativeEvaluation(codes.READING_STATUS, codes.reading_status(skipped.reason)),
            QualitativeEvaluation(codes.REASON_NOT_READ, codes.skip_reason(skipped.reason)),
        ],
        source_images=image,
    )

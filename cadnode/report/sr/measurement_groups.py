"""Measurement groups of a report: exam, breasts, views, regions and images not read.

TID 1501 for scores and for images that were not read, TID 1410 for regions (PS3.16).
"""

from pydicom.sr.coding import Code

from cadnode.domain import (
    BreastScore,
    ExamResult,
    ModelUse,
    Outcome,
    Skipped,
    ViewScore,
)
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import exam_scorer, view_scorer
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr.finding_groups import finding_groups
from cadnode.report.sr.image_library import referable
from cadnode.report.sr.items import Item
from cadnode.report.wording import SIDES


def measurement_groups(edition: Edition) -> list[Item]:
    """All groups of the report in reading order; at least one, as the template wants it."""
    result = edition.result
    groups: list[Item] = []
    if result.exam_score is not None or not result.skipped:
        groups.append(_exam(edition))
    groups += [_breast(edition, breast, i) for i, breast in enumerate(result.breasts)]
    groups += [_view(edition, view, i) for i, view in enumerate(result.views)]
    for i, finding in enumerate(result.findings):
        groups += finding_groups(edition, finding, i)
    groups += [_not_read(edition, skipped, i) for i, skipped in enumerate(result.skipped)]
    return groups


def summary(result: ExamResult) -> Code:
    """How the reading ended, CID 6047.

    "Not all succeeded" when an image that matters was not read, when no breast was seen in both
    of its standard views, or when an active system failed on this exam.
    """
    if result.outcome is Outcome.NOT_READ:
        return codes.NONE_SUCCEEDED
    lost = any(s.reason not in codes.HARMLESS for s in result.skipped)
    partial = lost or not result.complete or any(s.failed for s in result.systems)
    if result.outcome is Outcome.FINDINGS:
        return codes.SOME_WITH_FINDINGS if partial else codes.ALL_WITH_FINDINGS
    return codes.SOME_WITHOUT_FINDINGS if partial else codes.ALL_WITHOUT_FINDINGS


def _scored_by(result: ExamResult) -> list[ModelUse]:
    """The models that scored views: the exam's and the breasts' scores are made of theirs."""
    algorithms = {view.algorithm for view in result.views}
    return [model for model in result.models if model.name in algorithms]


def _exam(edition: Edition) -> Item:
    """The exam: its score and the operating point or, without a score, how the reading ended."""
    result = edition.result
    evaluations, measurements = [], []
    if result.exam_score is None:
        evaluations.append(parts.evaluation(codes.SUMMARY, summary(result)))
    else:
        measurements.append(parts.score(exam_scorer(result), result.exam_score))
    if (with_age := result.score_with_age()) is not None:
        measurements.append(parts.age_score(with_age))
    if result.operating_point is not None:
        point = parts.number(result.operating_point)
        measurements.append(parts.measurement(codes.OPERATING_POINT, point, codes.NO_UNITS))
    return parts.group(
        "1501",
        parts.group_tracking(edition, "exam", 0, "exam"),
        sites=parts.breast(),
        by=parts.algorithm(_scored_by(result)),
        content=[*measurements, *evaluations],
    )


def _breast(edition: Edition, breast: BreastScore, index: int) -> Item:
    """One breast's score, and that of image and age where there is one."""
    side = SIDES[breast.laterality]
    with_age = edition.result.score_with_age(breast.laterality)
    return parts.group(
        "1501",
        parts.group_tracking(edition, "breast", index, f"{side} breast"),
        sites=parts.breast(breast.laterality),
        by=parts.algorithm(_scored_by(edition.result)),
        content=[
            parts.score(exam_scorer(edition.result), breast.score),
            *([] if with_age is None else [parts.age_score(with_age)]),
        ],
    )


def _view(edition: Edition, view: ViewScore, index: int) -> Item:
    """One view's score, with the image it was measured on."""
    model = edition.model(view.algorithm)
    mammogram = parts.mammogram_of(edition, view.sop_instance_uid)
    score = parts.score(view_scorer(edition.result, view.algorithm), view.score)
    return parts.group(
        "1501",
        parts.group_tracking(edition, "view", index, f"{view.laterality} {view.view}"),
        sites=parts.breast(view.laterality),
        by=parts.algorithm([model] if model else []),
        content=[score, parts.source(mammogram.header)],
    )


def _not_read(edition: Edition, skipped: Skipped, index: int) -> Item:
    """An image that was not read, and the coded reason why not."""
    header = edition.header(skipped.sop_instance_uid)
    text = f"not read: {skipped.sop_instance_uid}" if header is not None else "not read"
    image = [parts.source(header)] if header is not None and referable(header) else []
    return parts.group(
        "1501",
        parts.group_tracking(edition, "not-read", index, text),
        content=[
            parts.evaluation(codes.READING_STATUS, codes.reading_status(skipped.reason)),
            parts.evaluation(codes.REASON_NOT_READ, codes.skip_reason(skipped.reason)),
            *image,
        ],
    )

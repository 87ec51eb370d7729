"""What the exam says as a whole (TID 4001, 4002), and each finding under it (TID 4003)."""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode.domain import BreastScore, ExamResult, Finding, Laterality
from cadnode.report import codes
from cadnode.report.cad_sr import concepts, items
from cadnode.report.cad_sr.algorithms import scoring
from cadnode.report.cad_sr.composites import composite_feature
from cadnode.report.cad_sr.findings import (
    further_statements,
    single_image_finding,
    strongest,
)
from cadnode.report.cad_sr.library import Library
from cadnode.report.documents import remarks
from cadnode.report.edition import Edition
from cadnode.report.groups import summary
from cadnode.report.scores import exam_scorer


def overall_impression(library: Library) -> Dataset:
    """(111017, DCM, CAD Processing and Findings Summary): how it ended, in words, and why."""
    edition = library.edition
    description = items.text(
        items.PROPERTIES, concepts.IMPRESSION_DESCRIPTION, " ".join(_sentences(edition))
    )
    return items.code(
        items.CONTAINS,
        codes.SUMMARY,
        summary(edition.result),
        [description, *scoring(edition).items(), *_individuals(library)],
    )


def _individuals(library: Library) -> list[Dataset]:
    """A container for each lesion seen in two views, for each other finding, and for the rest.

    The rest is what the detection and further systems say of each finding: it is not for
    presentation. A container
    holds one finding's alone: PixelMed takes every finding beside a selected region for one.
    """
    result = library.edition.result
    made = []
    for number, pair in enumerate(result.correspondences):
        both = [result.findings[i] for i in (pair.cc, pair.mlo)]
        made.append(_individual(result, both, [composite_feature(library, number)]))
    paired = {i for pair in result.correspondences for i in (pair.cc, pair.mlo)}
    for i, finding in enumerate(result.findings):
        if i not in paired:
            alone = single_image_finding(library, items.CONTAINS, i)
            made.append(_individual(result, [finding], [alone]))
    further = [further_statements(library, items.CONTAINS, i) for i in range(len(result.findings))]
    return [*made, *(_impression(concepts.NOT_SHOWN, told) for told in further if told)]


def _individual(
    result: ExamResult, findings: Sequence[Finding], content: Sequence[Dataset]
) -> Dataset:
    """An impression that is to be shown when one of its findings is."""
    return _impression(strongest(result, findings), content)


def _impression(intent: Code, content: Sequence[Dataset]) -> Dataset:
    """(111034, DCM, Individual Impression/Recommendation)."""
    rendering = items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent)
    return items.container(items.INFERRED, concepts.IMPRESSION, [rendering, *content])


def _sentences(edition: Edition) -> list[str]:
    """Scores in words, what else must be known of the reading, and the admin's text.

    TID 4000 has no item for a score that is no probability, and may not be extended.
    """
    result = edition.result
    told = []
    if result.exam_score is not None:
        meaning = exam_scorer(result).code.meaning
        told.append(f"{meaning}, 0 to 1, no probability. Exam {result.exam_score:.2f}.")
        told += [_breast(breast) for breast in result.breasts]
    if result.operating_point is not None:
        told.append(f"Operating point {result.operating_point:.2f}.")
    told += [f"{remark}." for remark in remarks(result)]
    return [*told, f"{edition.disclaimer.rstrip('.')}."]


def _breast(breast: BreastScore) -> str:
    side = "Left" if breast.laterality is Laterality.LEFT else "Right"
    return f"{side} breast {breast.score:.2f}."

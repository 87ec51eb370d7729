"""The exam's impression as a whole (TID 4001, 4002), and each finding under it (TID 4003).

One lesion seen in CC and MLO is a composite feature (TID 4004, 4005).
"""

from collections.abc import Sequence

from pydicom.sr.coding import Code

from cadnode.domain import BreastScore, Correspondence, ExamResult, Finding, Laterality
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.cad_sr.tid4006_findings import (
    further_statements,
    single_image_finding,
    strongest,
)
from cadnode.report.cad_sr.tid4019_algorithms import ours, scoring
from cadnode.report.cad_sr.tid4020_image_library import Library
from cadnode.report.edition import Edition
from cadnode.report.scores import exam_scorer
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr import items
from cadnode.report.sr.documents import remarks
from cadnode.report.sr.items import Item
from cadnode.report.sr.measurement_groups import summary


def overall_impression(library: Library) -> Item:
    """(111017, DCM, CAD Processing and Findings Summary): how it ended, in words, and why."""
    edition = library.edition
    description = items.text(
        items.PROPERTIES, concepts.IMPRESSION_DESCRIPTION, " ".join(_sentences(edition))
    )
    return items.code(
        items.CONTAINS,
        codes.SUMMARY,
        summary(edition.result),
        [description, *scoring(edition).items(items.PROPERTIES), *_individuals(library)],
    )


def _individuals(library: Library) -> list[Item]:
    """A container for each lesion seen in two views, for each other finding, and for the rest.

    The rest is what the detection and further systems state of each finding: it is not for
    presentation. A container holds one finding's alone: PixelMed takes every finding beside a
    selected region for one.
    """
    result = library.edition.result
    made = []
    for number, pair in enumerate(result.correspondences):
        both = [result.findings[i] for i in (pair.cc, pair.mlo)]
        made.append(_individual(result, both, [_composite_feature(library, number)]))
    paired = {i for pair in result.correspondences for i in (pair.cc, pair.mlo)}
    for i, finding in enumerate(result.findings):
        if i not in paired:
            alone = single_image_finding(library, items.CONTAINS, i)
            made.append(_individual(result, [finding], [alone]))
    further = [further_statements(library, items.CONTAINS, i) for i in range(len(result.findings))]
    return [*made, *(_impression(concepts.NOT_SHOWN, one) for one in further if one)]


def _individual(result: ExamResult, findings: Sequence[Finding], content: Sequence[Item]) -> Item:
    """An impression that is to be shown when one of its findings is."""
    return _impression(strongest(result, findings), content)


def _impression(intent: Code, content: Sequence[Item]) -> Item:
    """(111034, DCM, Individual Impression/Recommendation)."""
    rendering = items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent)
    return items.container(items.INFERRED, concepts.IMPRESSION, [rendering, *content])


def _sentences(edition: Edition) -> list[str]:
    """Scores in words, what else must be known of the reading, and the admin's text.

    TID 4000 has no item for a score that is no probability, and may not be extended.
    """
    result = edition.result
    sentences = []
    if result.exam_score is not None:
        meaning = exam_scorer(result).code.meaning
        sentences.append(f"{meaning}, 0 to 1, no probability. Exam {result.exam_score:.2f}.")
        sentences += [_breast(breast) for breast in result.breasts]
    if result.operating_point is not None:
        sentences.append(f"Operating point {result.operating_point:.2f}.")
    sentences += [f"{remark}." for remark in remarks(result)]
    return [*sentences, f"{edition.disclaimer.rstrip('.')}."]


def _breast(breast: BreastScore) -> str:
    side = "Left" if breast.laterality is Laterality.LEFT else "Right"
    return f"{side} breast {breast.score:.2f}."


def _composite_feature(library: Library, number: int) -> Item:
    """Correspondence number `number` (from 0), inferred from its two single image findings.

    It is to be shown when one of the two is. No score is given: none was made of both views
    together.
    """
    edition = library.edition
    pair = edition.result.correspondences[number]
    both = [edition.result.findings[i] for i in (pair.cc, pair.mlo)]
    intent = strongest(edition.result, both)
    uid = edition.uid("tracking-correspondence", number)
    return items.code(
        items.CONTAINS,
        concepts.COMPOSITE_FEATURE,
        concepts.FEATURES[both[0].kind],
        [
            items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent),
            *parts.tracking(f"findings {pair.cc + 1} and {pair.mlo + 1}", uid),
            *_body(pair, estimated=parts.nipple_is_estimated(edition, pair)),
            *(single_image_finding(library, items.INFERRED, i) for i in (pair.cc, pair.mlo)),
        ],
    )


def _body(pair: Correspondence, *, estimated: bool) -> list[Item]:
    """TID 4005: how they belong together, which algorithm decided it, and how sure."""
    cc, mlo = pair.nipple_mm
    kind = "estimated nipple distances" if estimated else "nipple distances"
    distances = f"{kind} {cc:.1f} and {mlo:.1f} mm"
    percent = 100 * parts.number(pair.certainty)
    return [
        items.code(items.PROPERTIES, concepts.COMPOSITE_TYPE, concepts.SPATIALLY_RELATED),
        items.code(items.PROPERTIES, concepts.SCOPE, concepts.ON_MULTIPLE_IMAGES),
        *ours(distances).items(items.PROPERTIES),
        items.number(items.PROPERTIES, concepts.CERTAINTY_OF_FEATURE, percent, codes.PERCENT),
    ]

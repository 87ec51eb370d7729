"""The answer to one region that somebody asked about: an SR of its own, by template TID 1500.

It holds one measurement group (TID 1410) with the region, its image and the score of each system,
each score with its own algorithm (TID 300). Viewers that want a region in every group draw it, and
show all scores as one measurement.
"""

from typing import Final

from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage

from cadnode.domain import Assessment, Finding
from cadnode.errors import ReportError
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import assessment_scorer, phantom_sentence
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr.documents import absences, sr_document
from cadnode.report.sr.finding_groups import drawn_in, image_region, origin, reaches
from cadnode.report.sr.image_library import image_library, markers
from cadnode.report.sr.items import Item
from cadnode.report.sr.tid1500 import participation, qualitative_evaluations, report_root
from cadnode.report.wording import counting

SERIES_NUMBER: Final = 912
SERIES_DESCRIPTION: Final = "cadnode answer to a region"
KIND: Final = "region-answer"


def region_answer_sr(edition: Edition, region: str) -> Dataset:
    """The answer as a data set with file meta information, ready to be written.

    The edition's result has one finding, and its exam that finding's view alone. `region` names
    the region among all that were asked about: its UIDs depend on it, and on the edition. Each is
    a series of its own: of a series of SRs viewers show the last one only.

    Raises
    ------
    ReportError
        The result has not one finding, or its view or the object it was drawn in is missing.
    """
    if len(edition.result.findings) != 1:
        raise ReportError("an answer is about one region")
    (finding,) = edition.result.findings
    header = parts.mammogram_of(edition, finding.sop_instance_uid).header
    texts = _comments(edition)
    evaluations = qualitative_evaluations(
        participation(edition.result), [*texts, edition.disclaimer]
    )
    groups = [_group(edition, finding, region)]
    return sr_document(
        edition,
        report_root(edition, image_library(edition, [header]), groups, evaluations),
        sop_class_uid=ComprehensiveSRStorage,
        instance_uid=edition.uid(KIND, after=region),
        series_uid=edition.uid(f"{KIND}-series", after=region),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        texts=texts,
        referenced=[header, *markers(edition)],
        old=[],
    )


def _group(edition: Edition, finding: Finding, region: str) -> Item:
    """The region and its scores, the one that counts first."""
    chosen = counting(finding)
    mammogram = parts.mammogram_of(edition, finding.sop_instance_uid)
    scored = sorted(finding.assessments, key=lambda a: a is not chosen)
    members = chosen.members if chosen else ()
    return parts.group(
        "1410",
        parts.group_tracking(edition, f"{KIND}-{region}", 0, "region asked about"),
        kind=codes.FINDING_KINDS[finding.kind],
        sites=parts.breast(mammogram.laterality),
        by=parts.algorithm_with_members(edition, finding.algorithm, members),
        content=[
            *(_score(edition, assessment) for assessment in scored),
            *([reaches(chosen)] if chosen else []),
            *origin(finding),
            image_region(mammogram, finding),
            *drawn_in(finding),
        ],
    )


def _score(edition: Edition, found: Assessment) -> Item:
    by = parts.algorithm_with_members(edition, found.algorithm, found.members)
    return parts.score(assessment_scorer(edition.result, found), found.probability, by=by)


def _comments(edition: Edition) -> list[str]:
    """What a reader must know beside the numbers, each a sentence without its stop."""
    result = edition.result
    reached = [
        f"{a.system}: the score of the region "
        f"{'reaches' if a.suspicious else 'does not reach'} its operating point"
        for a in result.findings[0].assessments
    ]
    return [*reached, *filter(None, [phantom_sentence(result)]), *absences(result)]

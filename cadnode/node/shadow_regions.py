"""The regions of an active reading, assessed again by the systems that differ.

A region's squares and features are a function of its view and its box, so that each is cut again
exactly as it was, and assessed as an active reading does (`reading.assessment`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from cadnode.domain import ExamResult, Finding, ModelUse, System
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Exam, Mammogram
from cadnode.imaging import pixels
from cadnode.imaging.spacing import spacing_of
from cadnode.models.loading import load
from cadnode.node.readers import readers_of
from cadnode.node.shadow_lineup import Lineup
from cadnode.reading.assessment import Assessor
from cadnode.reading.regions import Cutter
from cadnode.settings import ReadingSection


def read_regions(
    exam: Exam, active: ExamResult, models: Lineup, reading: ReadingSection
) -> ExamResult:
    """The active result with the changed systems' assessments in place of theirs.

    Raises
    ------
    ModelError
        A model that is needed is damaged.
    """
    needed = [folder for folder, card in models.cards.items() if card.system in models.systems]
    loaded = [
        load(folder, operating_point=reading.operating_point, bf16=reading.bf16)
        for folder in needed
    ]
    assessor = Assessor(readers_of(loaded), flips=reading.flips)
    by_view: dict[str, list[Finding]] = defaultdict(list)
    for finding in active.findings:
        by_view[finding.sop_instance_uid].append(finding)
    findings: list[Finding] = []
    for mammogram in exam.mammograms:
        of_view = by_view[mammogram.sop_instance_uid]
        findings += _again(mammogram, of_view, assessor, models.systems)
    used = tuple(ModelUse(c.name, c.version, c.weights_sha256) for c in models.shadows)
    return replace(active, findings=tuple(findings), models=used, heat_maps=())


def _again(
    mammogram: Mammogram, findings: Sequence[Finding], assessor: Assessor, systems: Sequence[System]
) -> list[Finding]:
    """A view's findings with the systems' new assessments; without any, where it is unread."""
    if not findings:
        return []
    kept = [
        replace(f, assessments=tuple(a for a in f.assessments if a.system not in systems))
        for f in findings
    ]
    try:
        image = pixels.load(mammogram)
    except NotProcessable:
        return kept
    specs = tuple(dict.fromkeys(m.card.roi for m in assessor.readers.rois))
    cutter = Cutter(image, mammogram, spacing_of(mammogram), specs)
    found = []
    for finding in kept:
        candidate = cutter.candidate(finding.kind, finding.box, finding.outline)
        said, _ = assessor.of_region(candidate, mammogram)
        found.append(replace(finding, assessments=(*finding.assessments, *said)))
    return found

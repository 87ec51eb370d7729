"""The analyses of a reading: the exam's score, each system's regions, CC against MLO."""

from cadnode import __version__
from cadnode.domain import Assessment, Laterality, Outcome, SystemStatus, ViewPosition
from cadnode.imaging.spacing import spacing_of
from cadnode.report.cad_sr import concepts
from cadnode.report.cad_sr.tid4015_performed import Run, lost
from cadnode.report.cad_sr.tid4019_algorithms import named, ours
from cadnode.report.cad_sr.tid4020_image_library import Library
from cadnode.report.cad_sr.tid4023_operating_points import curve_of
from cadnode.report.edition import Edition
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr.group_parts import Algorithm
from cadnode.report.wording import plain

_RULE = "findings of one kind within 15 mm of the same nipple distance"
_GUESSED = "distances are estimated: an image states no pixel size"


def analyses(library: Library) -> tuple[list[Run], list[Run]]:
    """(successful, failed) analyses; both empty when no view was read: Not Attempted."""
    edition = library.edition
    if edition.result.outcome is Outcome.NOT_READ:
        return [], []
    done = [*_of_exam(edition), *_of_regions(edition), *_of_pairs(edition)]
    return done, _failed(library)


def _of_exam(edition: Edition) -> list[Run]:
    """Each model that scores views, on the views it scored."""
    found: dict[str, list[str]] = {}
    for view in edition.result.views:
        found.setdefault(view.algorithm, []).append(view.sop_instance_uid)
    return [
        Run(concepts.EXAM_ANALYSIS, named(edition, name), tuple(uids), curve_of(edition, name))
        for name, uids in found.items()
    ]


def _of_regions(edition: Edition) -> list[Run]:
    """Each algorithm that assessed a region, on the images of those regions.

    A curve that counts breasts is that of the exam's analysis and is not repeated here.
    """
    found: dict[str, tuple[Assessment, list[str]]] = {}
    for finding in edition.result.findings:
        for assessment in finding.assessments:
            _, uids = found.setdefault(assessment.algorithm, (assessment, []))
            uids.append(finding.sop_instance_uid)
    runs = []
    for name, (assessment, uids) in found.items():
        curve = curve_of(edition, name)
        curve = None if curve is None or curve.of_breasts else curve
        algorithm = _without_numbers(edition, assessment)
        runs.append(Run(concepts.REGION_ANALYSIS, algorithm, tuple(uids), curve))
    return runs


def _without_numbers(edition: Edition, assessment: Assessment) -> Algorithm:
    """The algorithm without the scores that its members gave one region."""
    if edition.model(assessment.algorithm) is not None:
        return named(edition, assessment.algorithm)
    members = [edition.model(name) for name, _ in assessment.members]
    return Algorithm(
        assessment.algorithm,
        __version__,
        tuple(f"{m.name} {m.version} sha256:{m.sha256}" for m in members if m is not None),
    )


def _of_pairs(edition: Edition) -> list[Run]:
    """CC against MLO, in breasts of which both were scored."""
    views = edition.result.views
    uids: list[str] = []
    for side in Laterality:
        of_side = [v for v in views if v.laterality is side]
        if {ViewPosition.CC, ViewPosition.MLO} <= {v.view for v in of_side}:
            uids += [v.sop_instance_uid for v in of_side]
    views_read = (parts.mammogram_of(edition, uid) for uid in uids)
    guessed = any(spacing_of(view).estimated for view in views_read)
    rule = ours(*([_RULE, _GUESSED] if guessed else [_RULE]))
    return [Run(concepts.COLLOCATION, rule, tuple(uids))] if uids else []


def _failed(library: Library) -> list[Run]:
    """What keeps an exam that was read from being read in full, but for images lost by name."""
    result = library.edition.result
    scored = tuple(v.sop_instance_uid for v in result.views)
    runs = [
        Run(concepts.REGION_ANALYSIS, _broken(status), _unassessed(library, status) or scored)
        for status in result.systems
        if status.failed
    ]
    if not result.complete:
        why = ours("no breast was seen in both CC and MLO")
        runs.append(Run(concepts.COLLOCATION, why, scored))
    nameless = [s for s in lost(result) if s.sop_instance_uid not in library]
    if nameless:
        why = ours(f"{len(nameless)} more could not be read, and cannot be referred to")
        runs.append(Run(concepts.EXAM_ANALYSIS, why, scored))
    return runs


def _broken(status: SystemStatus) -> Algorithm:
    return Algorithm(
        status.system.value, __version__, (reason,) if (reason := plain(status.reason)) else ()
    )


def _unassessed(library: Library, status: SystemStatus) -> tuple[str, ...]:
    """Images with a finding that the system did not assess."""
    return tuple(
        finding.sop_instance_uid
        for finding in library.edition.result.findings
        if not any(a.system is status.system for a in finding.assessments)
    )

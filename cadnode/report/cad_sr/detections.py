"""The detections of a reading: what was looked for, and the images where it could not be."""

from cadnode.domain import SKIP_MEANINGS, ExamResult, Outcome, Skipped
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.cad_sr.algorithms import named, ours
from cadnode.report.cad_sr.library import Library
from cadnode.report.cad_sr.performed import Run
from cadnode.report.scores import cluster_detector


def detections(library: Library) -> tuple[list[Run], list[Run]]:
    """(successful, failed) detections.

    Choice: an image that was left unread and holds something to read counts as a failed detection
    once the exam was worked on, also where it was left alone on purpose (an implant): a report
    that says "succeeded" of two views in four would be taken for a read exam. When nothing at
    all was tried, both are empty: Not Attempted.
    """
    result = library.edition.result
    failed = _failed(library)
    if result.outcome is not Outcome.NOT_READ:
        return _done(library), failed
    tried = any(codes.reading_status(s.reason) is codes.FAILED for s in lost(result))
    return [], failed if tried else []


def lost(result: ExamResult) -> list[Skipped]:
    """Images that were not read although they hold something to read."""
    return [s for s in result.skipped if s.reason not in codes.HARMLESS]


def _done(library: Library) -> list[Run]:
    """Peaks by each model that scores views, clusters and densities by the detection."""
    edition = library.edition
    scored = tuple(v.sop_instance_uid for v in edition.result.views)
    runs = []
    for name in dict.fromkeys(v.algorithm for v in edition.result.views):
        uids = tuple(v.sop_instance_uid for v in edition.result.views if v.algorithm == name)
        runs.append(Run(concepts.SELECTED_REGION, named(edition, name), uids))
    learned = cluster_detector(edition.result)
    clusters = ours() if learned is None else named(edition, learned.name)
    runs.append(Run(concepts.CLUSTER, clusters, scored))
    return [*runs, Run(concepts.DENSITY, ours(), scored)]


def _failed(library: Library) -> list[Run]:
    """Each kind of detection on the images that were lost, by the reason why."""
    runs = []
    told = [s for s in lost(library.edition.result) if s.sop_instance_uid in library]
    for reason in dict.fromkeys(s.reason for s in told):
        uids = tuple(s.sop_instance_uid for s in told if s.reason is reason)
        algorithm = ours(f"not read: {SKIP_MEANINGS[reason]}")
        for kind in (concepts.SELECTED_REGION, concepts.CLUSTER, concepts.DENSITY):
            runs.append(Run(kind, algorithm, uids))
    return runs

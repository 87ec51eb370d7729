"""Which algorithms ran on which images, and which failed (TID 4015 to 4018): the detections.

What was looked for, and the images where it could not be; `tid4017_analyses` has the analyses.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.sr.coding import Code

from cadnode.domain import SKIP_MEANINGS, ExamResult, OperatingCurve, Outcome, Skipped
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.cad_sr.tid4019_algorithms import named, ours
from cadnode.report.cad_sr.tid4020_image_library import Library
from cadnode.report.cad_sr.tid4023_operating_points import operating_points
from cadnode.report.scores import cluster_detector
from cadnode.report.sr import items
from cadnode.report.sr.group_parts import Algorithm
from cadnode.report.sr.items import Item


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One algorithm, what it looked for, and the SOP Instance UIDs of its images."""

    code: Code
    algorithm: Algorithm
    images: tuple[str, ...]
    curve: OperatingCurve | None = None


@dataclass(frozen=True, slots=True)
class SummaryConcepts:
    """The concepts of TID 4015 and 4017, or of TID 4016 and 4018."""

    summary: Code
    successful: Code
    failed: Code
    performed: Code


DETECTIONS = SummaryConcepts(
    concepts.SUMMARY_OF_DETECTIONS,
    concepts.SUCCESSFUL_DETECTIONS,
    concepts.FAILED_DETECTIONS,
    concepts.DETECTION_PERFORMED,
)
ANALYSES = SummaryConcepts(
    concepts.SUMMARY_OF_ANALYSES,
    concepts.SUCCESSFUL_ANALYSES,
    concepts.FAILED_ANALYSES,
    concepts.ANALYSIS_PERFORMED,
)


def status_of(done: Sequence[Run], failed: Sequence[Run]) -> Code:
    """CID 6042: succeeded, in part, failed, or not attempted where nothing ran."""
    if done:
        return concepts.PARTIALLY_SUCCEEDED if failed else concepts.SUCCEEDED
    return codes.FAILED if failed else codes.NOT_ATTEMPTED


def performed(
    library: Library, words: SummaryConcepts, done: Sequence[Run], failed: Sequence[Run]
) -> Item:
    """The summary of all detections or analyses with what ran and what failed below it."""
    groups = [(words.successful, done), (words.failed, failed)]
    return items.code(
        items.CONTAINS,
        words.summary,
        status_of(done, failed),
        [
            items.container(items.INFERRED, name, [*_runs(library, words, runs)])
            for name, runs in groups
            if runs
        ],
    )


def _runs(library: Library, words: SummaryConcepts, runs: Iterable[Run]) -> Iterable[Item]:
    """TID 4017 or 4018: the algorithm, its images by reference, its operating points."""
    for run in runs:
        yield items.code(
            items.CONTAINS,
            words.performed,
            run.code,
            [
                *run.algorithm.items(items.PROPERTIES),
                *library.references(run.images),
                *operating_points(run.curve),
            ],
        )


def detections(library: Library) -> tuple[list[Run], list[Run]]:
    """(successful, failed) detections.

    Choice: an image that was left unread and holds something to read counts as a failed detection
    once the exam was worked on, also where it was left alone on purpose (an implant): a report
    that states "succeeded" of two views in four would be taken for a read exam. When nothing at
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
    skipped = [s for s in lost(library.edition.result) if s.sop_instance_uid in library]
    for reason in dict.fromkeys(s.reason for s in skipped):
        uids = tuple(s.sop_instance_uid for s in skipped if s.reason is reason)
        algorithm = ours(f"not read: {SKIP_MEANINGS[reason]}")
        for kind in (concepts.SELECTED_REGION, concepts.CLUSTER, concepts.DENSITY):
            runs.append(Run(kind, algorithm, uids))
    return runs

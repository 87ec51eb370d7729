"""Which algorithms ran on which images, and which failed (TID 4015 to 4018)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode.domain import OperatingCurve
from cadnode.report import codes
from cadnode.report.cad_sr import concepts, items
from cadnode.report.cad_sr.algorithms import Algorithm
from cadnode.report.cad_sr.library import Library
from cadnode.report.cad_sr.operating_points import operating_points


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One algorithm, what it looked for, and the SOP Instance UIDs of its images."""

    code: Code
    algorithm: Algorithm
    images: tuple[str, ...]
    curve: OperatingCurve | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """The concepts of TID 4015 and 4017, or of TID 4016 and 4018."""

    summary: Code
    successful: Code
    failed: Code
    performed: Code


DETECTIONS = Words(
    concepts.SUMMARY_OF_DETECTIONS,
    concepts.SUCCESSFUL_DETECTIONS,
    concepts.FAILED_DETECTIONS,
    concepts.DETECTION_PERFORMED,
)
ANALYSES = Words(
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
    library: Library, words: Words, done: Sequence[Run], failed: Sequence[Run]
) -> Dataset:
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


def _runs(library: Library, words: Words, runs: Iterable[Run]) -> Iterable[Dataset]:
    """TID 4017 or 4018: the algorithm, its images by reference, its operating points."""
    for run in runs:
        yield items.code(
            items.CONTAINS,
            words.performed,
            run.code,
            [
                *run.algorithm.items(),
                *library.references(run.images),
                *operating_points(run.curve),
            ],
        )

"""What is counted of an exam that was read: outcome, skips, findings, and scores by system."""

from collections.abc import Iterator
from typing import Final

from cadnode.domain import ExamResult, System
from cadnode.exam.exam import Exam, Mammogram
from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts

UNKNOWN: Final = "unknown"
"""The value of the label `vendor` where no manufacturer is stated."""


def count_exam(counts: Counts, exam: Exam, result: ExamResult, seconds: float) -> None:
    """Count one patient's exam, which took so long to read."""
    counts.add(table.EXAMS, result.outcome.value)
    for skipped in result.skipped:
        counts.add(table.SKIPPED, skipped.reason.value)
    for finding in result.findings:
        counts.add(table.FINDINGS, finding.kind.value)
    for system, view, score in scores_of(exam, result):
        counts.observe(table.SCORE, score, system, view.vendor or UNKNOWN, view.view.value)
    for _ in result.views:
        counts.observe(table.VIEW_READING, seconds / len(result.views))


def scores_of(exam: Exam, result: ExamResult) -> Iterator[tuple[str, Mammogram, float]]:
    """(system, view, score in [0, 1]): a view model's score, else the highest of a finding there.

    A system that saw no finding in a view has no score of it.
    """
    views = {one.sop_instance_uid: one for one in exam.mammograms}
    systems = {used.name: used.system for used in result.models}
    found: dict[tuple[str, str], float] = {}
    for one in result.views:
        system = systems.get(one.algorithm) or System.KIM2018  # the one that has view models
        found[system.value, one.sop_instance_uid] = one.score
    whole = {system for system, _ in found}
    for finding in result.findings:
        for assessed in finding.assessments:
            key = (assessed.system.value, finding.sop_instance_uid)
            if assessed.system.value not in whole:
                found[key] = max(found.get(key, 0.0), assessed.probability)
    for (name, uid), score in found.items():
        if (view := views.get(uid)) is not None:
            yield name, view, score

"""What is counted of an exam that was read: outcome, skips, findings, and scores by system."""

from typing import Final

from cadnode.domain import ExamResult
from cadnode.exam.exam import Exam
from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts
from cadnode.quality.entry import scores_of

UNKNOWN: Final = "unknown"
"""The value of the label `vendor` where no manufacturer is stated."""


def count_exam(counts: Counts, exam: Exam, result: ExamResult, seconds: float) -> None:
    """Count one patient's exam, which took so long to read."""
    counts.add(table.EXAMS, result.outcome.value)
    for skipped in result.skipped:
        counts.add(table.SKIPPED, skipped.reason.value)
    for finding in result.findings:
        counts.add(table.FINDINGS, finding.kind.value)
    for one in scores_of(exam, result):
        vendor = one.view.vendor or UNKNOWN
        counts.observe(table.SCORE, one.score, one.system, vendor, one.view.view.value)
    for _ in result.views:
        counts.observe(table.VIEW_READING, seconds / len(result.views))

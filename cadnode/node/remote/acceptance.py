"""Whether what another machine brings is the whole reading of an exam, as far as this node can see.

A machine whose GPU, codec or model fails reads on without it: a view is then skipped, a system is
silent, or nothing is read, and the rest looks like an exam without findings. Such a reading is no
result but a failure of that machine, unless this node finds the same reason by itself.
"""

from collections.abc import Sequence
from typing import Final

from cadnode.domain import ExamResult, SkipReason
from cadnode.exam.exam import Exam, Mammogram
from cadnode.imaging import pixels
from cadnode.node.remote.parcel import Read
from cadnode.reading import Readers
from cadnode.reading.verdict import model_for

_OF_PIXELS: Final = frozenset(
    {
        SkipReason.TRUNCATED, SkipReason.NO_PIXELS, SkipReason.PIXELS_CORRUPT,
        SkipReason.PIXELS_UNSUPPORTED, SkipReason.NOT_GRAYSCALE, SkipReason.MULTI_FRAME,
    }
)  # fmt: skip


def problem_of(exams: Sequence[Exam], read: Sequence[Read], readers: Readers) -> str:
    """Why readings are not those of these exams, or not whole; "" where they may be kept.

    Costs the decoding of views that were skipped.
    """
    if len(exams) != len(read):
        return "it has another number of exams"
    for exam, (result, _) in zip(exams, read, strict=True):
        if problem := _problem(exam, result, readers):
            return problem
    return ""


def _problem(exam: Exam, result: ExamResult, readers: Readers) -> str:
    views = {mammogram.sop_instance_uid: mammogram for mammogram in exam.mammograms}
    scored = {view.sop_instance_uid for view in result.views}
    shown = {finding.sop_instance_uid for finding in result.findings}
    shown |= {heat_map.sop_instance_uid for heat_map in result.heat_maps}
    if exam.study_instance_uid != result.study_instance_uid or not scored | shown <= views.keys():
        return "it is of other images"
    if any(system.failed for system in result.systems):
        return "a system failed"
    reasons = {one.sop_instance_uid: one.reason for one in result.skipped}
    for uid, mammogram in views.items():
        if uid not in scored and not _cannot_be_read(mammogram, reasons.get(uid), readers):
            return "a view that can be read is not read"
    stated = {(one.sop_instance_uid, one.reason) for one in result.skipped}
    if not {(one.sop_instance_uid, one.reason) for one in exam.skipped} <= stated:
        return "it does not say why other images are not read"
    return ""


def _cannot_be_read(mammogram: Mammogram, reason: SkipReason | None, readers: Readers) -> bool:
    """Whether this node, too, finds that reason; others show only where a view is read."""
    if reason is SkipReason.NO_MODEL_APPLIES:
        return model_for(mammogram, readers.views) is None
    if reason in _OF_PIXELS:
        fault = pixels.fault(mammogram)
        return fault is not None and fault.reason is reason
    return False

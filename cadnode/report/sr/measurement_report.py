"""Comprehensive SR of an exam's reading, by template TID 1500 (PS3.16)."""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage

from cadnode.domain import ExamResult
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr.documents import document_uid, predecessors, remarks, sr_document
from cadnode.report.sr.image_library import image_library, images, markers
from cadnode.report.sr.items import Item
from cadnode.report.sr.measurement_groups import measurement_groups, summary
from cadnode.report.sr.tid1500 import participation, qualitative_evaluations, report_root

KIND: Final = "sr"
SERIES_NUMBER: Final = 901
SERIES_DESCRIPTION: Final = "cadnode CAD report"


def measurement_sr(edition: Edition, replaced: Sequence[Dataset] = ()) -> Dataset:
    """The report as a data set with file meta information, ready to be written.

    `replaced` are the SRs of earlier readings of the same images; the new document names them
    in Predecessor Documents Sequence, unless its content is the same.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or the result does not fit the exam.
    """
    return document(
        edition,
        measurement_groups(edition),
        replaced,
        kind=KIND,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )


def document(
    edition: Edition,
    groups: Sequence[Item],
    replaced: Sequence[Dataset],
    *,
    kind: str,
    series_number: int,
    series_description: str,
    sop_class_uid: str = ComprehensiveSRStorage,
    uid_kind: str = "",
    comments: Sequence[str] = (),
    beside: Sequence[Dataset] = (),
    references: Sequence[Item] = (),
) -> Dataset:
    """A measurement report with these groups: the exam's, or one of its other forms.

    `kind` names its series and, unless `uid_kind` does, the document among the edition's UIDs.
    `comments` and `references` follow the remarks; what the latter refer to is `beside`.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or the result does not fit the exam.
    """
    headers = images(edition)
    uid_kind = uid_kind or kind
    old = predecessors(edition, replaced, uid_kind)
    texts = remarks(edition.result)
    evaluations = qualitative_evaluations(
        _evaluations(edition.result), [*texts, edition.disclaimer, *comments], references
    )
    return sr_document(
        edition,
        report_root(edition, image_library(edition, headers), groups, evaluations),
        sop_class_uid=sop_class_uid,
        instance_uid=document_uid(edition, uid_kind, old),
        series_uid=edition.uid(f"{kind}-series"),
        series_number=series_number,
        series_description=series_description,
        texts=texts,
        referenced=[*headers, *markers(edition), *beside] if headers or beside else [],
        old=old,
    )


def _evaluations(result: ExamResult) -> list[tuple[Code, Code]]:
    """How the reading ended; that scores are no probabilities; which systems took part."""
    scored = [(codes.CALIBRATION, codes.UNCALIBRATED)] if result.views else []
    return [(codes.SUMMARY, summary(result)), *scored, *participation(result)]

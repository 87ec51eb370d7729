"""Comprehensive SR of an exam's reading, by template TID 1500 (PS3.16)."""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from cadnode.domain import ExamResult
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.identity import (
    contributing_equipment,
    file_meta,
    patient_and_study,
    stamp,
)
from cadnode.report.sr.content_tree import add_content
from cadnode.report.sr.documents import add_document, document_uid, predecessors, remarks
from cadnode.report.sr.image_library import evidence, image_library, images, markers
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
    ds = patient_and_study(edition.reference, [edition.disclaimer, *remarks(edition.result)])
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = document_uid(edition, uid_kind, old)
    ds.Modality = "SR"
    ds.SeriesInstanceUID = edition.uid(f"{kind}-series")
    ds.InstanceNumber = 1
    stamp(
        ds,
        made_at=edition.made_at,
        series_number=series_number,
        description=series_description,
    )
    ds.CodingSchemeIdentificationSequence = [codes.private_scheme_item()]
    add_document(ds, old)
    if headers or beside:
        ds.CurrentRequestedProcedureEvidenceSequence = evidence(
            [*headers, *markers(edition), *beside]
        )
    words = [*remarks(edition.result), edition.disclaimer, *comments]
    evaluations = qualitative_evaluations(_evaluations(edition.result), words, references)
    add_content(ds, report_root(edition, image_library(edition, headers), groups, evaluations))
    ds.ContributingEquipmentSequence = contributing_equipment(
        edition.reference, edition.made_at, edition.exam.content
    )
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian)
    return ds


def _evaluations(result: ExamResult) -> list[tuple[Code, Code]]:
    """How the reading ended; that scores are no probabilities; which systems took part."""
    scored = [(codes.CALIBRATION, codes.UNCALIBRATED)] if result.views else []
    return [(codes.SUMMARY, summary(result)), *scored, *participation(result)]

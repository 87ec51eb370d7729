"""What every structured report of ours has: its modules, its state, its place after another one."""

from collections.abc import Iterable, Sequence

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from cadnode.domain import ExamResult
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.identity import contributing_equipment, file_meta, patient_and_study, stamp
from cadnode.report.scores import phantom_sentence, took_part
from cadnode.report.sr.content_tree import add_content
from cadnode.report.sr.image_library import evidence
from cadnode.report.sr.items import Item
from cadnode.report.wording import (
    below_operating_point,
    calibrations,
    contradictions,
    image_and_age,
    missing_breasts,
    plain,
)


def sr_document(
    edition: Edition,
    root: Item,
    *,
    sop_class_uid: str,
    instance_uid: str,
    series_uid: str,
    series_number: int,
    series_description: str,
    texts: Sequence[str],
    referenced: Iterable[Dataset],
    old: list[Dataset],
    has_own_codes: bool = True,
) -> Dataset:
    """A report with file meta information, ready to be written: content `root`, all else by module.

    `texts` are what a reader must know beside the disclaimer; `referenced`, headers of what the
    content refers to; `old`, the document's predecessors. `has_own_codes`: some of its codes are of
    our own scheme.
    """
    ds = patient_and_study(edition.reference, [edition.disclaimer, *texts])
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = instance_uid
    ds.Modality = "SR"
    ds.SeriesInstanceUID = series_uid
    ds.InstanceNumber = 1
    stamp(
        ds,
        made_at=edition.made_at,
        series_number=series_number,
        description=series_description,
    )
    if has_own_codes:
        ds.CodingSchemeIdentificationSequence = [codes.private_scheme_item()]
    add_document(ds, old)
    named = evidence(referenced)
    if named:
        ds.CurrentRequestedProcedureEvidenceSequence = named
    add_content(ds, root)
    ds.ContributingEquipmentSequence = contributing_equipment(
        edition.reference, edition.made_at, edition.exam.content
    )
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian)
    return ds


def add_document(ds: Dataset, old: list[Dataset]) -> None:
    """SR Document Series and SR Document General modules, PS3.3 C.17.1 and C.17.2."""
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "UNVERIFIED"
    if old:
        ds.PredecessorDocumentsSequence = old


def predecessors(edition: Edition, replaced: Sequence[Dataset], kind: str) -> list[Dataset]:
    """Items of Predecessor Documents Sequence (0040,A360) of a document that replaces others.

    There are several where exams of a study that was taken for two patients' become one. When one
    of them is what this very edition makes, the study was only read again: the document stays the
    same and names what that one named.
    """
    for document in replaced:
        own = list(document.get("PredecessorDocumentsSequence") or [])
        if document.SOPInstanceUID == document_uid(edition, kind, own):
            return own
    return evidence(replaced)


def document_uid(edition: Edition, kind: str, old: list[Dataset]) -> str:
    """UID of the document of that kind that comes after `old`."""
    return edition.uid(kind, after=_named(old))


def remarks(result: ExamResult) -> list[str]:
    """What a reader must know of the reading beside its numbers, each a sentence without its stop.

    Which breast is missing, and which images contradict themselves; whose scanner's calibration was
    used; what image and age come to, where that was asked for; which systems were trained on
    phantoms; why a finding may be suspicious in an exam that is not; why a system took no part, or
    not with all of its models. No shell command is among them.
    """
    sentences = [phantom_sentence(result), below_operating_point(result)]
    return [
        *missing_breasts(result),
        *contradictions(result),
        *calibrations(result),
        *image_and_age(result),
        *filter(None, sentences),
        *absences(result),
    ]


def absences(result: ExamResult) -> list[str]:
    """Why a system took no part, or not with all of its models, each a sentence."""
    sentences = []
    for status in result.systems:
        reason = plain(status.reason)
        if took_part(result, status):
            sentences += [f"{status.system} took part, but: {reason}"] if reason else []
        else:
            idle = "it is active, but nothing in this exam was for it to read"
            why = reason or (idle if status.active else "no model of it is active")
            sentences.append(f"{status.system} took no part: {why}")
    return sentences


def _named(documents: list[Dataset]) -> str:
    """SOP Instance UIDs of the documents that Predecessor Documents Sequence names, or ""."""
    return " ".join(
        str(reference.ReferencedSOPInstanceUID)
        for study in documents
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    )

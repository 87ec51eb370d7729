"""What every structured report of ours has: its place after another one, and its state."""

from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from cadnode.domain import ExamResult
from cadnode.report.edition import Edition
from cadnode.report.identity import IMPLEMENTATION_CLASS_UID, MANUFACTURER
from cadnode.report.image_library import evidence


def observer() -> ObserverContext:
    """TID 1002 and 1004 (PS3.16): this software as the observer."""
    device = DeviceObserverIdentifyingAttributes(
        uid=IMPLEMENTATION_CLASS_UID,
        name="cadnode",
        manufacturer_name=MANUFACTURER,
        model_name="cadnode",
    )
    return ObserverContext(codes.DCM.Device, device)


def add_document(ds: Dataset, old: list[Dataset]) -> None:
    """SR Document Series and SR Document General modules, PS3.3 C.17.1 and C.17.2."""
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "UNVERIFIED"
    if old:
        ds.PredecessorDocumentsSequence = old


def predecessors(edition: Edition, predecessor: Dataset | None, kind: str) -> list[Dataset]:
    """Items of Predecessor Documents Sequence (0040,A360).

    When the predecessor is what this very edition makes, the study was only read again: the
    document stays the same and names what the predecessor named.
    """
    if predecessor is None:
        return []
    own = list(predecessor.get("PredecessorDocumentsSequence") or [])
    if predecessor.SOPInstanceUID == document_uid(edition, kind, own):
        return own
    return evidence([predecessor])


def document_uid(edition: Edition, kind: str, old: list[Dataset]) -> str:
    """UID of the document of that kind that comes after `old`."""
    return edition.uid(kind, after=_named(old))


def in_place(ds: Dataset, edition: Edition, predecessor: Dataset | None, kind: str) -> None:
    """Give the document, made from another kind's, its own UID and its own predecessors."""
    old = predecessors(edition, predecessor, kind)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(
        document_uid(edition, kind, old)
    )
    ds.pop("PredecessorDocumentsSequence", None)
    if old:
        ds.PredecessorDocumentsSequence = old


def absences(result: ExamResult) -> list[str]:
    """Why a system took no part in the reading, or not with all of its models or regions."""
    words = {True: "took part, but", False: "took no part"}
    return [f"{s.system} {words[s.active]}: {s.reason}" for s in result.systems if s.reason]


def _named(documents: list[Dataset]) -> str:
    """SOP Instance UID of the document that Predecessor Documents Sequence names, or ""."""
    if not documents:
        return ""
    series = documents[0].ReferencedSeriesSequence[0]
    return str(series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)

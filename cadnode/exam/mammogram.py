"""One file becomes one `Mammogram`, or a coded reason why it cannot."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom import Dataset

from cadnode.domain import Evidence, Intent, Laterality, Skipped, SkipReason, ViewPosition
from cadnode.errors import DecoderUnavailable, NotProcessable
from cadnode.exam import kind, view
from cadnode.exam.attributes import number, text
from cadnode.exam.cbis_ddsm import refuse_regions
from cadnode.exam.dicom_file import DicomFile, open_file
from cadnode.exam.evidence import Weighed
from cadnode.exam.exam import Mammogram
from cadnode.exam.spacing import magnification_of, stated_spacing

_VENDORS = (  # as found in Manufacturer, and the one name they go by here
    ("HOLOGIC", "hologic"), ("LORAD", "hologic"), ("GE ", "ge"), ("GENERAL ELECTRIC", "ge"),
    ("SIEMENS", "siemens"), ("FUJI", "fujifilm"), ("PHILIPS", "philips"), ("SECTRA", "philips"),
    ("I.M.S", "ims"), ("IMS", "ims"), ("GIOTTO", "ims"), ("PLANMED", "planmed"),
    ("CARESTREAM", "carestream"), ("KODAK", "carestream"), ("KONICA", "konica"),
    ("AGFA", "agfa"), ("METALTRONICA", "metaltronica"), ("CANON", "canon"),
)  # fmt: skip

NOT_THE_FILES_FAULT: Final = (DecoderUnavailable, OSError, MemoryError)
"""What may be better at the next try. All else that reading headers raises is for their content."""


@dataclass(frozen=True, eq=False, slots=True)
class Instance:
    """The result for one file: a mammogram, or the reason why none; its header when it has one."""

    path: Path = field(repr=False)
    header: Dataset | None = field(repr=False)
    mammogram: Mammogram | None
    skipped: Skipped | None
    evidence: tuple[Evidence, ...] = ()

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID as the data set states it, "" when there is none."""
        return "" if self.header is None else str(self.header.get("SOPInstanceUID") or "")

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID, "" when there is none."""
        return "" if self.header is None else str(self.header.get("StudyInstanceUID") or "")


def read_instance(path: Path, *, read_for_processing: bool = False) -> Mammogram:
    """The mammogram that a DICOM file holds, each attribute from its best source.

    Raises
    ------
    NotProcessable
        When the file is no readable mammographic view; with the coded reason.
    """
    return describe(open_file(path), read_for_processing=read_for_processing)


def inspect(path: Path, *, read_for_processing: bool = False) -> Instance:
    """The result for one file; never raises for what is in it."""
    header: Dataset | None = None
    evidence: tuple[Evidence, ...] = ()
    try:
        file = open_file(path)
        header = file.header
        if kind.is_image(header):
            evidence = evidence_of(header)
        mammogram = describe(file, read_for_processing=read_for_processing)
        return Instance(path, header, mammogram, None, evidence)
    except NotProcessable as error:
        sop_instance_uid = _sop_instance_uid(header) if header is not None else ""
        skipped = Skipped(sop_instance_uid, error.reason, error.detail)
        return Instance(path, header, None, skipped, evidence)
    except NOT_THE_FILES_FAULT:
        raise
    except Exception as error:
        return unusable(Instance(path, header, None, None), error)


def unusable(instance: Instance, error: Exception) -> Instance:
    """The instance without its header, which nothing that reads headers was prepared for."""
    uid = ""
    with suppress(Exception):
        uid = instance.sop_instance_uid
    detail = f"its header cannot be used ({type(error).__name__})"
    skipped = Skipped(uid, SkipReason.NOT_DICOM, detail)
    return Instance(instance.path, None, None, skipped)


def evidence_of(header: Dataset) -> tuple[Evidence, ...]:
    """What the header's sources state of kind, side and view, whether the image is read or not."""
    return (
        *kind.evidence_of(header),
        *view.laterality_of(header).evidence,
        *view.view_of(header).evidence,
    )


def describe(file: DicomFile, *, read_for_processing: bool = False) -> Mammogram:
    """The mammogram in an opened file; raises `NotProcessable` like `read_instance`."""
    header = file.header
    _refuse_unreadable(file)
    intent, _ = kind.intent_of(header)
    if intent is Intent.PROCESSING and not read_for_processing:
        raise NotProcessable(SkipReason.FOR_PROCESSING)
    view.refuse_unsupported(header)
    laterality = _known(view.laterality_of(header), SkipReason.LATERALITY_UNKNOWN)
    position = _known(view.view_of(header), SkipReason.VIEW_UNKNOWN)
    modifiers, _ = view.modifiers_of(header)
    partial, _ = view.is_partial(header)
    acquisition, _ = kind.acquisition_of(header)
    spacing, _ = stated_spacing(header)
    magnification, _ = magnification_of(header)
    return Mammogram(
        path=file.path,
        header=header,
        sop_instance_uid=_sop_instance_uid(header),
        sop_class_uid=str(header.get("SOPClassUID") or ""),
        transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
        laterality=Laterality(laterality),
        view=ViewPosition(position),
        modifiers=modifiers,
        paddle=text(header, "PaddleDescription"),
        intent=intent,
        acquisition=acquisition,
        rows=int(number(header, "Rows") or 0),
        columns=int(number(header, "Columns") or 0),
        spacing_mm=spacing,
        magnification=magnification,
        implant=text(header, "BreastImplantPresent") == "YES",
        partial=partial,
        vendor=vendor_of(header),
    )


def _known(weighed: Weighed, otherwise: SkipReason) -> str:
    """What the evidence decides; raises the reason, with both sides of a contradiction."""
    if not weighed.value:
        raise NotProcessable(otherwise, weighed.contradiction)
    return weighed.value


def _refuse_unreadable(file: DicomFile) -> None:
    """Raise for all that is no mammogram with pixels."""
    if file.damage is SkipReason.TRUNCATED and "SOPClassUID" not in file.header:
        raise NotProcessable(SkipReason.TRUNCATED)
    kind.refuse_other_objects(file.header)
    if not _sop_instance_uid(file.header):
        raise NotProcessable(SkipReason.NOT_DICOM, "no SOP Instance UID")
    if file.damage is not None:
        raise NotProcessable(file.damage)
    refuse_regions(file.header)
    kind.refuse_special_images(file.header)
    kind.refuse_unreadable_pixels(file.header, has_pixels=file.has_pixels)


def _sop_instance_uid(header: Dataset) -> str:
    meta = header.file_meta.get("MediaStorageSOPInstanceUID")
    return str(header.get("SOPInstanceUID") or meta or "")


def vendor_of(header: Dataset) -> str:
    """One lower-case name a vendor; "other" for the rest, "" when unstated."""
    stated = text(header, "Manufacturer")
    for part, vendor in _VENDORS:
        if part in f"{stated} ":
            return vendor
    return "other" if stated else ""

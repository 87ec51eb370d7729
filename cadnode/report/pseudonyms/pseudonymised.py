"""A mammogram's file without its patient's identity (DICOM PS3.15 annex E), pixels unchanged."""

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydicom import DataElement, Dataset, config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian

from cadnode.domain import Acquisition, ViewPosition
from cadnode.exam.attributes import number, text
from cadnode.exam.dicom_file import is_encapsulated, read_pixel_data, tolerant
from cadnode.exam.exam import Mammogram
from cadnode.exam.mammogram import inspect
from cadnode.exam.patient import patient_of
from cadnode.files import written_whole
from cadnode.imaging.decode import single_frame
from cadnode.report.codes import code_item
from cadnode.report.identity import IMPLEMENTATION_CLASS_UID
from cadnode.report.pseudonyms import attributes
from cadnode.report.pseudonyms.key import PseudonymKey

_PIXEL_DATA: Final = BaseTag(0x7FE00010)
_OLDEST_STATED: Final = 90
_FIRST_YEAR: Final = 1900  # before it a date is a device's default, and cannot always be moved
_AGE: Final = re.compile(r"(\d{3})Y")
_SEXES: Final = ("F", "M", "O")
_SHORTEST: Final = 3  # letters of a name, or digits of a number, that are looked for in texts
_OVERLAYS: Final = range(0x6000, 0x6100, 2)
_NOT_KEPT: Final = ("AE", "PN", "UN", "UR")  # VRs that no attribute has that is kept
_TEXTS: Final = ("LO", "SH", "ST", "LT", "UT", "UC")  # CS holds terms of closed lists


class Withheld(StrEnum):
    """Why an image cannot go without its patient's identity."""

    BURNED_IN = "burned_in_annotation"
    FILM = "film_not_stated_clean"
    OVERLAY = "overlay_within_pixels"
    COMMENT = "name_in_compressed_frame"
    CHANGED = "reads_differently_without_identity"


class CannotPseudonymise(Exception):
    """An image that cannot go on; its text is the coded reason."""

    def __init__(self, reason: Withheld) -> None:
        super().__init__(reason.value)
        self.reason = reason


def write_pseudonymised(mammogram: Mammogram, key: PseudonymKey, path: Path) -> None:
    """Write a mammogram without identity to `path`, whole or not at all.

    The same image and key give the same bytes. What was written is read again and compared: side,
    view, modifiers, kind, size and spacing are as they were.

    Raises
    ------
    CannotPseudonymise
        Text may be burned into the pixels, or the image reads differently without what was taken
        out.
    NotProcessable
        Its pixel data cannot be read.
    OSError
        The disk is full.
    """
    if (reason := withheld(mammogram)) is not None:
        raise CannotPseudonymise(reason)
    ds = pseudonymised(mammogram, key)
    with tolerant(), written_whole(path) as file:
        ds.save_as(file, enforce_file_format=True)
    if not _is_same_view(mammogram, path):
        path.unlink()
        raise CannotPseudonymise(Withheld.CHANGED)


def withheld(mammogram: Mammogram) -> Withheld | None:
    """Why the pixels may name the patient; None where nothing says so.

    A scanned film often shows her label: it has to state that nothing is burned in. Overlays
    may lie in the unused bits of the pixels (PS3.5 8.1.2, retired), whose header is taken out.
    """
    stated = text(mammogram.header, "BurnedInAnnotation")
    if stated == "YES" or text(mammogram.header, "RecognizableVisualFeatures") == "YES":
        return Withheld.BURNED_IN
    if mammogram.acquisition is Acquisition.FILM and stated != "NO":
        return Withheld.FILM
    if any(_is_within_pixels(mammogram.header, group) for group in _OVERLAYS):
        return Withheld.OVERLAY
    return None


def _is_within_pixels(header: Dataset, group: int) -> bool:
    """Whether the overlay of a group states a bit of the pixels, or cells of more than a bit."""
    stated = [header.get(BaseTag(group << 16 | element)) for element in (0x0102, 0x0100)]
    bit, allocated = ("" if one is None else str(one.value or "").strip() for one in stated)
    return bit not in ("", "0") or allocated not in ("", "0", "1")


def pseudonymised(mammogram: Mammogram, key: PseudonymKey) -> FileDataset:
    """The data set, ready to be written; the profile and its options are stated in it.

    Only `attributes.KEPT` stay, UIDs and Patient ID are keyed hashes, dates are moved by the
    patient's number of days, and texts that hold what names her go.

    Raises
    ------
    CannotPseudonymise
        A comment in the compressed frame names her.
    NotProcessable
        Its pixel data cannot be read.
    """
    header, encapsulated = mammogram.header, is_encapsulated(UID(mammogram.transfer_syntax_uid))
    ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    with tolerant():
        hers = _what_names_her(header)
        _keep(header, ds, attributes.KEPT, hers)
        for keyword in attributes.EMPTY:
            setattr(ds, keyword, "")
        for keyword in attributes.REPLACED_UIDS:
            setattr(ds, keyword, key.uid(str(header.get(keyword) or "")))
        _state_patient(header, ds, key)
        if text(ds, "ImageLaterality") not in ("L", "R"):
            ds.ImageLaterality = mammogram.laterality.value
        if not text(ds, "ViewPosition"):
            ds.ViewPosition = mammogram.view.value
        if not text(ds, "Manufacturer") and mammogram.vendor:
            ds.Manufacturer = mammogram.vendor.upper()  # she has a maker's name
        ds.SpecificCharacterSet = "ISO_IR 192"
        _state_method(ds)
        meta = ds.file_meta
        meta.MediaStorageSOPClassUID = UID(mammogram.sop_class_uid)
        meta.MediaStorageSOPInstanceUID = UID(ds.SOPInstanceUID)
        meta.TransferSyntaxUID = (
            UID(mammogram.transfer_syntax_uid) if encapsulated else ExplicitVRLittleEndian
        )
        meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
        value = read_pixel_data(mammogram.path)
        if encapsulated and any(_names_her(t, hers) for t in _comments(single_frame(value))):
            raise CannotPseudonymise(Withheld.COMMENT)
        is_bytes = encapsulated or (number(header, "BitsAllocated") or 16) <= 8
        pixels = DataElement(_PIXEL_DATA, "OB" if is_bytes else "OW", value)
        pixels.is_undefined_length = encapsulated
        ds.add(pixels)
    return ds


def date_of(value: str) -> date | None:
    """A DICOM date (DA) as `YYYYMMDD`, or with dots; None when it is none, or before 1900."""
    try:
        day = datetime.strptime(value.replace(".", "")[:8], "%Y%m%d").date()
    except ValueError:
        return None
    return day if day.year >= _FIRST_YEAR else None


def age_of(header: Dataset) -> int | None:
    """Age at the exam in years, as stated or by birth date; 90 for all above (None: unknown)."""
    stated = _AGE.fullmatch(text(header, "PatientAge"))
    years = int(stated[1]) if stated else None
    patient = patient_of(header)
    if years is None and patient.birth_date and patient.study_date:
        born, day = patient.birth_date, patient.study_date
        years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return None if years is None or years <= 0 else min(years, _OLDEST_STATED)


def moved(day: date, patient_id: str, key: PseudonymKey) -> date:
    """A patient's date by her number of days earlier."""
    return day - timedelta(days=key.days(patient_id))


def _state_patient(header: Dataset, ds: Dataset, key: PseudonymKey) -> None:
    patient_id = text(header, "PatientID")
    ds.PatientID = ds.PatientName = key.woman(patient_id)
    sex, age = text(header, "PatientSex"), age_of(header)
    ds.PatientSex = sex if sex in _SEXES else ""
    if age is not None:
        ds.PatientAge = f"{age:03d}Y"
    for keyword in attributes.DATES:
        day = date_of(text(header, keyword))
        if day is not None:
            setattr(ds, keyword, f"{moved(day, patient_id, key):%Y%m%d}")
        elif keyword == "StudyDate":
            ds.StudyDate = ""


def _state_method(ds: Dataset) -> None:
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "cadnode: listed attributes stay, all others go"
    ds.LongitudinalTemporalInformationModified = "MODIFIED"
    codes = [code_item(Code(value, "DCM", meaning)) for value, meaning in attributes.METHODS]
    ds.DeidentificationMethodCodeSequence = Sequence(codes)


def _keep(source: Dataset, target: Dataset, keywords: Iterable[str], hers: frozenset[str]) -> None:
    """Copy the named attributes, of items those of `OF_ITEMS`; not texts that name her."""
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is None or tag not in source:
            continue
        element = source[tag]
        if element.VR == "SQ":
            items = []
            for item in element.value or ():
                items.append(Dataset())
                _keep(item, items[-1], attributes.OF_ITEMS, hers)
            target.add(DataElement(tag, "SQ", Sequence(items)))
        elif element.VR not in _NOT_KEPT and not (
            element.VR in _TEXTS and _names_her(element.value, hers)
        ):
            target.add(DataElement(tag, element.VR, element.value, validation_mode=config.IGNORE))


def _what_names_her(header: Dataset) -> frozenset[str]:
    """Words and numbers of hers, in capitals, that no text may hold."""
    patient = patient_of(header)
    named = [patient.patient_id, patient.accession_number, text(header, "StudyID"), *patient.names]
    words = {word for value in named for word in _words(value)}
    return frozenset(word for word in words if len(word) >= _SHORTEST)


def _names_her(value: object, hers: frozenset[str]) -> bool:
    many = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return any(not hers.isdisjoint(_words(str(one))) for one in many)


def _words(value: str) -> list[str]:
    return re.split(r"[\W_]+", value.upper())


def _comments(stream: bytes) -> Iterator[str]:
    """Comments and application data before the picture in a JPEG, JPEG-LS or JPEG 2000 stream.

    ISO 10918-1 B.2.4.5 and B.2.4.6 (COM, APPn), ISO 15444-1 A.9.2 (COM).
    """
    at = 2
    while stream[at : at + 1] == b"\xff" and at + 4 <= len(stream):
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker in (0xDA, 0x90):  # SOS, SOT
            return
        if marker in (0xFE, 0x64) or 0xE0 <= marker <= 0xEF:
            content = stream[at + 4 : at + 2 + length]
            yield from (content.decode(code, "replace") for code in ("utf-8", "latin-1"))
        at += 2 + max(length, 2)


def _is_same_view(mammogram: Mammogram, path: Path) -> bool:
    """Whether the file reads as the mammogram that it was made of."""
    found = inspect(path).mammogram
    return found is not None and _facts(found) == _facts(mammogram)


def _facts(view: Mammogram) -> tuple[object, ...]:
    position: ViewPosition = view.view
    return (
        view.laterality, position, view.modifiers, view.intent, view.acquisition, view.rows,
        view.columns, view.spacing_mm, view.implant, view.partial, view.vendor,
    )  # fmt: skip

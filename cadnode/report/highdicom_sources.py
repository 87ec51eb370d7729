"""Image headers without a person: what highdicom's constructors are given to read.

highdicom copies patient and study from its source images and prints names that break rules in
warnings. It gets none; the object's own modules come from `cadnode.report.identity` afterwards.
"""

from collections.abc import Iterable
from typing import Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.filewriter import correct_ambiguous_vr

from cadnode.report.edition import Edition
from cadnode.report.identity import (
    PATIENT_MODULES,
    STUDY_MODULES,
    contributing_equipment,
    file_meta,
    patient_and_study,
    stamp,
)

_EMPTY: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def unnamed(header: Dataset) -> Dataset:
    """Copy of an image's header with its UIDs, and nobody's name, number or dates in it."""
    left_out = {tag_for_keyword(k) for k in (*PATIENT_MODULES, *STUDY_MODULES, *_PIXELS)}
    copy = Dataset({tag: element for tag, element in header.items() if tag not in left_out})
    copy.pop("SpecificCharacterSet", None)  # highdicom refuses some; no text of the source is left
    for keyword in _EMPTY:
        setattr(copy, keyword, "")
    copy.StudyInstanceUID = header.StudyInstanceUID
    copy.file_meta = header.file_meta if hasattr(header, "file_meta") else file_meta("", "", "")
    return copy


def owned(
    made: Dataset,
    edition: Edition,
    header: Dataset,
    *,
    series_number: int,
    description: str,
    texts: Iterable[str] = (),
) -> Dataset:
    """The object that highdicom made, as a plain data set that belongs to `header`'s patient.

    Patient and study are copied as everywhere else (`identity.patient_and_study`); character set,
    equipment, times and file meta information are ours. `texts` are the object's texts.
    """
    ds = Dataset()
    for element in made:
        ds[element.tag] = element
    for keyword in (*PATIENT_MODULES, *STUDY_MODULES, "SpecificCharacterSet"):
        if keyword in ds:
            delattr(ds, keyword)
    correct_ambiguous_vr(ds, is_little_endian=True)  # left to the writer, which copies text as is
    theirs = patient_and_study(header, texts)
    for tag, value in theirs.items():
        ds[tag] = value
    implicit, little_endian = theirs.original_encoding
    ds.set_original_encoding(implicit, little_endian, theirs.original_character_set)
    stamp(ds, made_at=edition.made_at, series_number=series_number, description=description)
    ds.ContributingEquipmentSequence = contributing_equipment(
        header, edition.made_at, edition.exam.content
    )
    syntax = str(made.file_meta.TransferSyntaxUID)
    ds.file_meta = file_meta(str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax)
    return ds

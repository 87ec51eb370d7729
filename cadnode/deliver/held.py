"""Whether what an archive holds under a UID of ours is the object that we sent, or another.

An archive that answers "duplicate" has only compared a UID. It may hold what an earlier try
brought; it may as well hold another patient's object, or ours of images that were corrected since.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from cadnode.deliver.outcome import RefusedObject
from cadnode.errors import PermanentDeliveryError
from cadnode.exam.content import stated_input
from cadnode.exam.dicom_file import read_attributes, tolerant
from cadnode.log import get_logger

log = get_logger("deliver")

ANOTHER: Final = "the archive holds another object under this UID"
UNVERIFIED: Final = "duplicate_unverified"
"""The coded reason of a delivery that counts although the archive's copy could not be compared."""

UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
PATIENT: Final = ("PatientID", "PatientName", "PatientBirthDate")
EQUIPMENT: Final = "ContributingEquipmentSequence"
COMPARED: Final = (*UIDS, *PATIENT, EQUIPMENT)
_COMPARED_TAGS: Final = tuple(filter(None, map(tag_for_keyword, COMPARED)))
_TAGS: Final = frozenset(f"{tag:08X}" for tag in _COMPARED_TAGS)


class PeerCopy(Enum):
    """What an archive's copy is."""

    OURS = auto()
    ANOTHER = auto()
    UNKNOWN = auto()


def sent(path: Path) -> Dataset:
    """What is compared of a file of ours.

    Raises
    ------
    OSError
        It cannot be read.
    PermanentDeliveryError
        It is no DICOM file.
    """
    with path.open("rb") as file:
        ds = from_file(file)
    if ds is None:
        raise PermanentDeliveryError("a file is not DICOM or cannot be read")
    return ds


def from_file(file: BinaryIO) -> Dataset | None:
    """The data set in a DICOM file, as far as it is compared; None when it is none."""
    return read_attributes(file, _COMPARED_TAGS)


def from_json(document: object) -> Dataset | None:
    """The data set of a DICOM JSON object (PS3.18 F.2), as far as it is compared; None if none."""
    if not isinstance(document, Mapping):
        return None
    try:
        with tolerant():
            return Dataset.from_json({t: e for t, e in document.items() if t in _TAGS})
    except Exception:  # a server may write anything
        return None


def compared(ours: Dataset, theirs: Dataset) -> PeerCopy:
    """What `theirs`, all of an archive's copy but its pixels, is to `ours`.

    It is ours when its UIDs, its patient and the digest of the input that it states agree. An
    object of ours that states none, which older versions made, is compared without.
    """
    if _contradicts(ours, theirs, stated_only=False) or stated_input(ours) != stated_input(theirs):
        return PeerCopy.ANOTHER
    return PeerCopy.OURS


def compared_in_part(ours: Dataset, theirs: Dataset) -> PeerCopy:
    """What the archive's copy is to `ours`, by the attributes that a query returned.

    An attribute that is absent or empty is ignored. Unless the same patient and study are
    stated, it stays unknown.
    """
    if _contradicts(ours, theirs, stated_only=True):
        return PeerCopy.ANOTHER
    made_of = stated_input(theirs)
    if made_of and stated_input(ours):
        return PeerCopy.OURS if made_of == stated_input(ours) else PeerCopy.ANOTHER
    stated = {keyword for keyword in COMPARED if _words(theirs, keyword)}
    patient = stated & {"PatientID", "PatientName"}
    return (
        PeerCopy.OURS
        if patient and {"SOPInstanceUID", "StudyInstanceUID"} <= stated
        else PeerCopy.UNKNOWN
    )


def worst(copies: Iterable[PeerCopy]) -> PeerCopy:
    """What several copies under one UID are together: another, else ours, else unknown."""
    found = set(copies)
    return next((h for h in (PeerCopy.ANOTHER, PeerCopy.OURS) if h in found), PeerCopy.UNKNOWN)


def judged(copies: Sequence[PeerCopy], destination: str) -> tuple[list[RefusedObject], int]:
    """A refusal for each copy that is another object, and how many could not be compared.

    The latter are logged as a warning.
    """
    n_unverified = sum(copy is PeerCopy.UNKNOWN for copy in copies)
    if n_unverified:
        log.warning(
            "delivery_unverified", destination=destination, reason=UNVERIFIED, count=n_unverified
        )
    return [RefusedObject(ANOTHER) for copy in copies if copy is PeerCopy.ANOTHER], n_unverified


def _contradicts(ours: Dataset, theirs: Dataset, *, stated_only: bool) -> bool:
    """Whether an identifier differs; with `stated_only`, one that both sides state."""
    for keyword in (*UIDS, *PATIENT):
        one, other = _words(ours, keyword), _words(theirs, keyword)
        if one != other and not (stated_only and not other):
            return True
    return False


def _words(ds: Dataset, keyword: str) -> str:
    """A value to compare, without what archives are known to change.

    Of a name: the letters and digits in ASCII of its alphabetic group. How other letters come
    back depends on character sets that sources state wrongly.
    """
    try:
        with tolerant():
            value = str(ds.get(keyword) or "").strip(" \0")
    except Exception:  # a value that cannot be decoded
        return ""
    if keyword == "PatientName":
        return re.sub("[^a-z0-9]", "", value.split("=")[0].lower())
    return value

"""Rejection notes: key objects that name the images not to be used any more (IHE IOCM).

IHE RAD TF-3 4.66.4.1.3; the titles are in PS3.16 CID 7011, the document in PS3.3 A.35.4.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pydicom import Dataset

from cadnode.exam.attributes import items, text
from cadnode.exam.kind import is_own_output

KEY_OBJECTS: Final = "1.2.840.10008.5.1.4.1.1.88.59"
# Rejected for Quality Reasons, for Patient Safety Reasons, Incorrect Modality Worklist Entry,
# Data Retention Policy Expired.
TITLES: Final = frozenset({"113001", "113037", "113038", "113039"})
_SCHEMES: Final = ("DCM", "DICOM", "1.2.840.10008.2.16.4", "")
_LONGEST_TREE: Final = 20_000  # items; no note is that long


def rejected_by(header: Dataset) -> frozenset[str]:
    """SOP Instance UIDs of what the object rejects; none where it is no rejection note.

    Its content and its evidence sequence are taken together: writers leave out of one or the other.
    """
    if text(header, "SOPClassUID") != KEY_OBJECTS or is_own_output(header):
        return frozenset()
    titles = items(header, "ConceptNameCodeSequence")
    equivalent = [code for title in titles for code in items(title, "EquivalentCodeSequence")]
    if not any(map(_is_rejection, [*titles, *equivalent])):
        return frozenset()
    return frozenset(filter(None, _references(header)))


def rejections(headers: Iterable[Dataset | None]) -> frozenset[str]:
    """SOP Instance UIDs of everything that the notes among these objects reject."""
    found: set[str] = set()
    for header in headers:
        if header is not None:
            found |= rejected_by(header)
    return frozenset(found)


def _is_rejection(title: Dataset) -> bool:
    """Whether a code is one of `TITLES`, in whichever of the code's forms (PS3.3 table 8.8-1a)."""
    value = text(title, "CodeValue") or text(title, "LongCodeValue")
    if not value:
        value = re.split(r"[:./#]", text(title, "URNCodeValue"))[-1]
    return value in TITLES and text(title, "CodingSchemeDesignator") in _SCHEMES


def _references(header: Dataset) -> Iterator[str]:
    waiting = [*items(header, "ContentSequence")]
    for study in items(header, "CurrentRequestedProcedureEvidenceSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            waiting.append(series)
    seen = 0
    while waiting and seen < _LONGEST_TREE:
        item, seen = waiting.pop(), seen + 1
        for reference in items(item, "ReferencedSOPSequence"):
            yield str(reference.get("ReferencedSOPInstanceUID") or "").strip(" \0")
        waiting += items(item, "ContentSequence")

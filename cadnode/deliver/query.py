"""What a DICOM peer's copy of an object of ours is, asked by C-FIND (DICOM PS3.4 annex C)."""

from collections.abc import Iterable
from typing import Any, Final

from pydicom import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from cadnode.deliver.answers import of_status
from cadnode.deliver.held import COMPARED, EQUIPMENT, PATIENT, PeerCopy, compared_in_part, worst
from cadnode.errors import Again, TransientDeliveryError

FIND: Final = str(StudyRootQueryRetrieveInformationModelFind)
CONTEXTS: Final = tuple((FIND, syntax) for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"))
"""The presentation contexts of an association in which `copy_of` asks."""

_PENDING: Final = (0xFF00, 0xFF01)
_MOST_MATCHES: Final = 1000  # of one SOP Instance UID there is one, or a few


class NoAnswer(TransientDeliveryError):
    """The peer did not answer a query now: it went away, took too long, or is out of resources."""


def copy_of(assoc: Any, ours: Dataset, *, with_equipment: bool = True) -> PeerCopy:
    """What the peer's copy is, by what it returns of it; unknown where it returns too little.

    IMAGE level first, with the unique keys of the levels above. Without a match, by the SOP
    Instance UID alone: a copy in another study. A peer that searches by level
    (C.4.1.3.1.1) returns the patient at STUDY level only. Without `with_equipment`, the sequence
    that states the input is not asked for.

    Raises
    ------
    NoAnswer
        It may answer later: what it holds is open until then.
    """
    keys = [key for key in COMPARED if with_equipment or key != EQUIPMENT]
    found = _of(ours, _find(assoc, "IMAGE", ours, ("StudyInstanceUID", "SeriesInstanceUID"), keys))
    found = found or _of(ours, _find(assoc, "IMAGE", ours, (), keys))
    verdict = worst(compared_in_part(ours, one) for one in found)
    if verdict is not PeerCopy.UNKNOWN or not found:
        return verdict
    studies = _find(assoc, "STUDY", ours, ("StudyInstanceUID",), PATIENT)
    return worst(compared_in_part(ours, _with_patient(found[0], study)) for study in studies)


def _find(
    assoc: Any, level: str, ours: Dataset, keys: Iterable[str], returned: Iterable[str]
) -> list[Dataset]:
    """The matches of a query; none when the peer fails it."""
    wanted = Dataset()
    wanted.QueryRetrieveLevel = level
    for keyword in returned:
        setattr(wanted, keyword, [] if keyword == EQUIPMENT else "")
    for keyword in (*keys, *(["SOPInstanceUID"] if level == "IMAGE" else [])):
        setattr(wanted, keyword, ours.get(keyword))
    found = _asked(assoc, wanted)
    if found is None and wanted.pop(EQUIPMENT, None) is not None:
        found = _asked(assoc, wanted)  # the sequence, a rare key, may be why it failed
    return found or []


def _asked(assoc: Any, wanted: Dataset) -> list[Dataset] | None:
    """The matches; None when the peer answers with a failure. Raises `NoAnswer`."""
    matches = []
    try:
        for status, match in assoc.send_c_find(wanted, FIND):
            code = status.get("Status")
            if code in _PENDING and match is not None:
                matches.append(match)
                if len(matches) > _MOST_MATCHES:
                    return None
            elif code is None:
                raise NoAnswer("the peer did not answer C-FIND or ended the association")
            elif code != 0:
                if of_status(code).again is Again.SOON:
                    raise NoAnswer(f"the peer answered C-FIND with {code:04X}")
                return None
    except ValueError:  # no such context
        return None
    except (RuntimeError, OSError) as error:
        raise NoAnswer("the association for C-FIND is gone") from error
    return matches


def _of(ours: Dataset, matches: Iterable[Dataset]) -> list[Dataset]:
    """Matches that are of our UID: some peers return more than was asked for."""
    uid = ours.SOPInstanceUID
    return [one for one in matches if one.get("SOPInstanceUID", uid) in (uid, "")]


def _with_patient(image: Dataset, study: Dataset) -> Dataset:
    """The attributes of a match at IMAGE level, with the patient of its study."""
    both = Dataset()
    both.update(image)
    both.update({study[keyword].tag: study[keyword] for keyword in PATIENT if keyword in study})
    return both

"""What a received data set is: its UIDs, read from its head only, never decoding a pixel."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.tag import BaseTag

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.encoding import begin, read_file_meta

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_STUDY_INSTANCE_UID = 0x0020000D
_IDENTIFIERS = (_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID)
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """UIDs as the data set states them; "" when absent."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str


def is_valid_uid(value: str) -> bool:
    """Whether `value` has the form of a UID (DICOM PS3.5 9.1; leading zeros are tolerated)."""
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def read_identity(file: BinaryIO, transfer_syntax_uid: str) -> InstanceIdentity:
    """Identity of the data set that starts at the file's position, as its bytes are written.

    Raises
    ------
    NotProcessable
        The bytes are no data set in this transfer syntax, nor in another that they could be in.
    """
    try:
        data_set = begin(file, transfer_syntax_uid)
        ds = data_set.read(_is_past_the_identifiers, _IDENTIFIERS)
        return InstanceIdentity(*(_text(ds, tag) for tag in _IDENTIFIERS))
    except Exception as error:
        # pydicom raises whatever malformed bytes lead to; all of it means the same here.
        raise NotProcessable(SkipReason.NOT_DICOM) from error


def read_file_identity(path: Path) -> InstanceIdentity:
    """Identity of a file with a Part 10 header. Raises `NotProcessable` when it is not DICOM."""
    with path.open("rb") as file:
        try:
            prefixed = file.read(132)[128:] == b"DICM"
            file.seek(0)
            syntax = _text(read_file_meta(file), 0x00020010)
        except OSError:
            raise
        except Exception as error:
            raise NotProcessable(SkipReason.NOT_DICOM) from error
        if not (prefixed and syntax):
            raise NotProcessable(SkipReason.NOT_DICOM)
        return read_identity(file, syntax)


def _is_past_the_identifiers(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > _STUDY_INSTANCE_UID


def _text(ds: Any, tag: int) -> str:
    """A UID element's value as text, unvalidated: validation would quote it in a warning."""
    item = ds.get_item(tag)
    value = b"" if item is None or item.value is None else item.value
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \0")

"""What storage commitment's data sets say (DICOM PS3.4 J.3.2 and J.3.3): read and written, no I/O.

A request (N-ACTION) names a transaction and objects; a report (N-EVENT-REPORT) says of the same
transaction which of them are safe, and why others are not. Only UIDs and numbers are read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Any, Final

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from cadnode.limits import COMMITMENT_BYTES, COMMITMENT_REFERENCES
from cadnode.receive.identity import is_valid_uid

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known SOP instance that every request and report is about (J.3.5)."""

REQUEST: Final = 1
"""Action Type ID of "Request Storage Commitment" (table J.3-1)."""
ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event Type IDs (table J.3-3)."""

TRANSFER_SYNTAXES: Final = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))

_TRANSACTION = 0x00081195
_REFERENCED, _FAILED = 0x00081199, 0x00081198
_CLASS, _INSTANCE, _REASON = 0x00081150, 0x00081155, 0x00081197


class FailureReason(IntEnum):
    """Why an object is not committed (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION_UID = 0x0131
    RESOURCE_LIMITATION = 0x0213


class MalformedCommitment(ValueError):
    """Bytes or elements that are no request and no report of a transaction."""


class TooManyReferences(ValueError):
    """More objects than one transaction may name here (`limits.COMMITMENT_REFERENCES`)."""


@dataclass(frozen=True, order=True, slots=True)
class Reference:
    """An object, by its SOP class and instance."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """Action Information (table J.3-2)."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """Event Information (table J.3-4); a failure's number is a `FailureReason`, or another's."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = ()

    @property
    def event_type(self) -> int:
        """Its Event Type ID."""
        return SOME_FAILED if self.failed else ALL_COMMITTED


def parsed(data: bytes, transfer_syntax: str) -> Dataset:
    """The data set that these bytes are. Raises `MalformedCommitment`."""
    if len(data) > COMMITMENT_BYTES:
        raise MalformedCommitment("too long")
    try:
        is_implicit = transfer_syntax == ImplicitVRLittleEndian
        return read_dataset(BytesIO(data), is_implicit, True, at_top_level=False)
    except Exception as error:
        # pydicom raises whatever malformed bytes lead to; its text may quote them.
        raise MalformedCommitment("no data set") from error


def request_in(ds: Dataset) -> CommitmentRequest:
    """What an N-ACTION asks for. Raises `MalformedCommitment` or `TooManyReferences`."""
    references = tuple(reference for reference, _ in _items(ds, _REFERENCED))
    if not references:
        raise MalformedCommitment("no object is referenced")
    return CommitmentRequest(_transaction(ds), references)


def report_in(ds: Dataset) -> CommitmentReport:
    """What an N-EVENT-REPORT says. Raises `MalformedCommitment` or `TooManyReferences`.

    An object that is in both lists has failed.
    """
    failed = {
        reference: FailureReason.PROCESSING_FAILURE if reason is None else reason
        for reference, reason in _items(ds, _FAILED)
    }
    committed = [one for one, _ in _items(ds, _REFERENCED) if one not in failed]
    return CommitmentReport(_transaction(ds), tuple(committed), tuple(failed.items()))


def request_of(request: CommitmentRequest) -> Dataset:
    """Action Information with what a request asks for."""
    ds = Dataset()
    ds.TransactionUID = request.transaction_uid
    ds.ReferencedSOPSequence = [_item_of(one) for one in request.references]
    return ds


def report_of(report: CommitmentReport) -> Dataset:
    """Event Information with what a report says."""
    ds = Dataset()
    ds.TransactionUID = report.transaction_uid
    if report.committed:
        ds.ReferencedSOPSequence = [_item_of(one) for one in report.committed]
    if report.failed:
        ds.FailedSOPSequence = [_item_of(one, reason) for one, reason in report.failed]
    return ds


def encoded(ds: Dataset, transfer_syntax: str) -> bytes:
    """The data set's bytes. Raises `ValueError` when it cannot be written."""
    data: bytes | None = encode(ds, transfer_syntax == ImplicitVRLittleEndian, True)
    if data is None:
        raise ValueError("a data set of storage commitment cannot be written")
    return data


def _item_of(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


def _transaction(ds: Dataset) -> str:
    uid = _uid(ds, _TRANSACTION)
    if uid is None:
        raise MalformedCommitment("no transaction")
    return uid


def _items(ds: Dataset, tag: int) -> Iterable[tuple[Reference, int | None]]:
    """(object, failure reason) of each item of a sequence; nothing where it is absent."""
    try:
        items = ds[tag].value if tag in ds else ()
        if len(items) > COMMITMENT_REFERENCES:
            raise TooManyReferences
        return [_reference(item) for item in items]
    except (MalformedCommitment, TooManyReferences):
        raise
    except Exception as error:
        # As in `parsed`: what a sequence holds is parsed when it is first asked for.
        raise MalformedCommitment("no sequence of objects") from error


def _reference(item: Dataset) -> tuple[Reference, int | None]:
    sop_class, instance = _uid(item, _CLASS), _uid(item, _INSTANCE)
    if sop_class is None or instance is None:
        raise MalformedCommitment("an object without its UIDs")
    return Reference(sop_class, instance), _number(item)


def _value(ds: Dataset, tag: int) -> Any:
    element = ds.get_item(tag)
    return None if element is None else element.value


def _uid(ds: Dataset, tag: int) -> str | None:
    """A valid UID, unpadded; None where there is none."""
    value = _value(ds, tag)
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    text = text.strip(" \0")
    return text if is_valid_uid(text) else None


def _number(ds: Dataset) -> int | None:
    value = _value(ds, _REASON)
    if isinstance(value, bytes):
        return int.from_bytes(value, "little") if len(value) == 2 else None
    return value if isinstance(value, int) else None

"""Storage commitment with a named peer (DICOM PS3.4 annex J): reports to it, requests to it.

What the data sets say is made and read elsewhere (`receive.commitment_data`): here they travel.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset
from pynetdicom import build_role, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from cadnode.deliver.answers import NOT_ACCEPTED, of_status
from cadnode.deliver.dicom import DicomPeer, associated
from cadnode.errors import TransientDeliveryError, not_taken

CLASS: Final = str(StorageCommitmentPushModel)
CONTEXTS: Final = tuple((CLASS, syntax) for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"))
_INSTANCE: Final = str(StorageCommitmentPushModelInstance)
_REQUEST: Final = 1  # Action Type ID (table J.3-1)
_LOOK_EVERY_S: Final = 0.05
_SUCCESS, _PROCESSING_FAILURE, _INVALID_ARGUMENT = 0x0000, 0x0110, 0x0115  # PS3.7 10.1.1.1.9

OnReport = Callable[[Dataset], bool]
"""Takes a report that comes on the association of its request; whether it is one of ours."""


@dataclass(frozen=True, slots=True)
class OutgoingReport:
    """A report for a sender: `key` is ours, `data` its Event Information."""

    key: str
    event_type: int
    data: Dataset


def report(
    reports: Iterable[OutgoingReport], sender: DicomPeer, on_taken: Callable[[str], None]
) -> bool:
    """Whether the sender took all of these reports; `on_taken` is called with each one's key.

    One that it refuses does not hold back the others.

    We are the SCP on an association of our own: the role is negotiated (PS3.4 J.3.3).

    Raises
    ------
    DeliveryError
        The sender cannot be reached, or takes no reports.
    """
    role = build_role(CLASS, scu_role=False, scp_role=True)
    took_all = True
    with associated(sender, CONTEXTS, ext_neg=[role]) as assoc:
        for message_id, one in enumerate(reports, 1):
            try:
                status, _ = assoc.send_n_event_report(
                    one.data, one.event_type, CLASS, _INSTANCE, message_id
                )
            except ValueError as error:  # there is no context in which we are the SCP
                text = f"{sender.name} takes no reports of storage commitment"
                raise not_taken(NOT_ACCEPTED, text) from error
            except (RuntimeError, OSError):  # the association is gone
                return False
            if (code := status.get("Status")) is None:
                return False
            if code == _SUCCESS:
                on_taken(one.key)
            took_all = took_all and code == _SUCCESS
    return took_all


def ask(
    request: Dataset,
    archive: DicomPeer,
    on_report: OnReport,
    is_answered: Callable[[], bool],
    wait_s: float,
) -> None:
    """Ask the archive to commit objects; return when it has accepted to answer.

    Its answer may come on this association, which stays open until `is_answered` or `wait_s` are
    over, or hours later on one that the archive opens.

    Raises
    ------
    TransientDeliveryError
        The archive cannot be reached or does not answer.
    PermanentDeliveryError
        It does not offer storage commitment, or refuses this request.
    """

    def take(event: evt.Event) -> tuple[int, None]:
        try:
            return (_SUCCESS if on_report(event.event_information) else _INVALID_ARGUMENT), None
        except Exception:
            # The association handler: whatever an archive sends, it gets an answer, and can repeat.
            return _PROCESSING_FAILURE, None

    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    with _asking(archive, evt_handlers=handlers) as assoc:
        _requested(assoc, request, archive)
        deadline = time.monotonic() + wait_s
        while assoc.is_established and not is_answered() and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)


def check(archive: DicomPeer) -> None:
    """Return when the archive offers storage commitment. Raises `DeliveryError`."""
    with _asking(archive):
        return


@contextmanager
def _asking(archive: DicomPeer, **negotiation: Any) -> Iterator[Any]:
    """An association on which the archive may be asked. Raises `DeliveryError`."""
    # Beside Verification, which every archive accepts: what it does not offer is known then.
    contexts = [*CONTEXTS, (str(Verification), CONTEXTS[-1][1])]
    with associated(archive, contexts, **negotiation) as assoc:
        if not any(context.abstract_syntax == CLASS for context in assoc.accepted_contexts):
            text = f"{archive.name} does not offer storage commitment (commit = true)"
            raise not_taken(NOT_ACCEPTED, text)
        yield assoc


def _requested(assoc: Any, request: Dataset, archive: DicomPeer) -> None:
    try:
        answer, _ = assoc.send_n_action(request, _REQUEST, CLASS, _INSTANCE)
    except (RuntimeError, ValueError, OSError) as error:
        raise TransientDeliveryError(f"{archive.name} ended the association") from error
    status = answer.get("Status")
    if status is None:
        raise TransientDeliveryError(f"{archive.name} did not answer the request for commitment")
    if status != 0:
        meaning = of_status(status)
        text = f"{archive.name} refused to commit: {status:04X}, {meaning.words}"
        raise not_taken(meaning.again, text)

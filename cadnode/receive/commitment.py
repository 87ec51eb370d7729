"""Storage commitment on an association: requests are accepted, objects checked, reports exchanged.

Push Model (DICOM PS3.4 annex J). To a sender we are the SCP: its N-ACTION is on the disk before it
is accepted, and the N-EVENT-REPORT follows on the same association; what is not acknowledged there
is reported over a new one, by whoever serves `CommitmentRequests.to_report`. Of an archive we are
the SCU: its N-EVENT-REPORT is handed on, and answered as that says.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from cadnode.limits import COMMITMENT_BYTES
from cadnode.log import get_logger
from cadnode.receive import command
from cadnode.receive.command import CommandField, DimseRequest
from cadnode.receive.commitment_data import (
    ALL_COMMITTED,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    SOME_FAILED,
    CommitmentReport,
    FailureReason,
    MalformedCommitment,
    TooManyReferences,
    encoded,
    parsed,
    report_in,
    report_of,
    request_in,
)
from cadnode.receive.commitment_requests import CommitmentRequests, Full, Requested, Sender
from cadnode.receive.holdings import Holdings
from cadnode.receive.notes import Notes
from cadnode.receive.pdu import Context

log = get_logger("receive")

_EXCHANGED: Final = frozenset({CommandField.N_ACTION_RQ, CommandField.N_EVENT_REPORT_RQ})


class CommitmentStatus(IntEnum):
    """Status of a response to N-ACTION or N-EVENT-REPORT (PS3.7 10.1.1.1.9, 10.1.4.1.10)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT = 0x0115
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION = 0x0123
    RESOURCE_LIMITATION = 0x0213


OnReport = Callable[[Sender, CommitmentReport], bool]
"""Takes an archive's report, durably; False: that archive was not asked. May raise `OSError`."""


def nobody_asked(_sender: Sender, _report: CommitmentReport) -> bool:
    """`OnReport` of a listener that asks no archive."""
    return False


@dataclass(frozen=True, slots=True)
class CommitmentService:
    """What all associations share. `is_offered`: to senders; else archives are asked only."""

    requests: CommitmentRequests
    holdings: Holdings
    on_report: OnReport = nobody_asked
    is_offered: bool = True

    def report(self, requested: Requested) -> CommitmentReport:
        """What is true of a request's objects at this moment."""
        request = requested.request
        if requested.is_duplicate:
            reason = FailureReason.DUPLICATE_TRANSACTION_UID
            failed = tuple((one, int(reason)) for one in request.references)
            return CommitmentReport(request.transaction_uid, (), failed)
        return self.holdings.report(request.transaction_uid, request.references)


class MessageSink:
    """A message's data set in memory, as far as it may have one; the rest is read and forgotten."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_too_long = False

    def write(self, data: memoryview) -> None:
        """Append a part of the data set."""
        self.is_too_long = self.is_too_long or len(self.data) + len(data) > COMMITMENT_BYTES
        if not self.is_too_long:
            self.data += data

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing is left behind."""


@dataclass(slots=True)
class CommitmentExchange:
    """Storage commitment on one association, in its thread."""

    service: CommitmentService
    sender: Sender
    notes: Notes
    may_report: bool = True  # on this association
    _due: list[str] = field(default_factory=list)  # accepted, and not reported yet
    _reported: dict[int, str] = field(default_factory=dict)  # by message, until acknowledged
    _last_message: int = 0

    @staticmethod
    def serves(request: DimseRequest) -> bool:
        """Whether the message is for `serve`."""
        return request.field in _EXCHANGED

    def serve(self, request: DimseRequest, context: Context, sink: MessageSink) -> int:
        """Status of a request whose data set has arrived."""
        status = self._status(request, context, sink)
        address, reason = self.sender.address, request.field.name
        if status is not CommitmentStatus.SUCCESS:
            count = self.notes.due(f"{reason} {status.name}", address)
            if count:
                log.warning(
                    "commitment_refused", peer=address, reason=reason, status=status.name,
                    count=count,
                )  # fmt: skip
        return int(status)

    def _status(
        self, request: DimseRequest, context: Context, sink: MessageSink
    ) -> CommitmentStatus:
        if not request.sop_class_uid == context.abstract_syntax == PUSH_MODEL:
            return CommitmentStatus.SOP_CLASS_NOT_SUPPORTED
        if request.sop_instance_uid != PUSH_MODEL_INSTANCE:
            return CommitmentStatus.NO_SUCH_OBJECT_INSTANCE
        if sink.is_too_long:
            return CommitmentStatus.RESOURCE_LIMITATION
        serve = self._act if request.field is CommandField.N_ACTION_RQ else self._take_report
        try:
            return serve(request, bytes(sink.data), context.transfer_syntax)
        except (TooManyReferences, Full):
            return CommitmentStatus.RESOURCE_LIMITATION
        except MalformedCommitment:
            return CommitmentStatus.INVALID_ARGUMENT
        except OSError as error:
            log.error("commitment_failed", error=error)
            return CommitmentStatus.RESOURCE_LIMITATION
        except Exception as error:
            # The association handler: whatever a peer sends, it gets an answer.
            log.error("commitment_failed", error=error)
            return CommitmentStatus.PROCESSING_FAILURE

    def _act(self, request: DimseRequest, data: bytes, transfer_syntax: str) -> CommitmentStatus:
        if request.type_id != REQUEST or not self.service.is_offered:
            return CommitmentStatus.NO_SUCH_ACTION
        if not self.service.holdings.has_room():
            return CommitmentStatus.RESOURCE_LIMITATION
        wanted = request_in(parsed(data, transfer_syntax))
        key = self.service.requests.add(self.sender, wanted)
        log.info("commitment_requested", peer=self.sender.address, count=len(wanted.references))
        self._due.append(key)
        return CommitmentStatus.SUCCESS

    def _take_report(
        self, request: DimseRequest, data: bytes, transfer_syntax: str
    ) -> CommitmentStatus:
        if request.type_id not in (ALL_COMMITTED, SOME_FAILED):
            return CommitmentStatus.NO_SUCH_EVENT_TYPE
        is_ours = self.service.on_report(self.sender, report_in(parsed(data, transfer_syntax)))
        return CommitmentStatus.SUCCESS if is_ours else CommitmentStatus.INVALID_ARGUMENT

    def reports(self, context: Context) -> Iterator[tuple[bytes, bytes]]:
        """(command set, data set) of each N-EVENT-REPORT that is due on this context."""
        while self._due and self.may_report:
            key = self._due.pop(0)
            try:
                requested = self.service.requests.owed(key)
            except OSError as error:  # it is on the disk, and reported later
                log.error("commitment_failed", error=error)
                self.service.requests.release(key)
                continue
            if requested is None:  # reported, or asked for once more by another listener
                continue
            report = self.service.report(requested)
            self._last_message += 1
            self._reported[self._last_message] = key
            yield (
                command.event_report(
                    self._last_message, PUSH_MODEL, PUSH_MODEL_INSTANCE, report.event_type
                ),
                encoded(report_of(report), context.transfer_syntax),
            )

    def acknowledged(self, response: DimseRequest) -> None:
        """The peer has answered a report; unless it took it, that is sent again later."""
        key = self._reported.pop(response.message_id, None)
        if key is None:
            return
        if response.status == CommitmentStatus.SUCCESS:
            try:
                self.service.requests.settle(key)
            except OSError as error:  # it stays, and is reported once more
                log.error("commitment_failed", error=error)
            log.info("commitment_reported", peer=self.sender.address)
        else:
            self.service.requests.release(key)

    def end(self) -> None:
        """The association has ended."""
        for key in (*self._due, *self._reported.values()):
            self.service.requests.release(key)
        self._due.clear()
        self._reported.clear()

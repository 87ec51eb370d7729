"""One association: it is accepted, serves C-ECHO, C-STORE and storage commitment in turn, and ends.

The acceptor's part of the state machine of DICOM PS3.8 9.2, in one thread that reads a message,
serves it, answers it, and only then reads on: a peer that sends ahead waits in its own buffers.
A data set streams into the spool as it comes; of a PDU no more than a buffer is in memory.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

from cadnode.association_failures import AssociationFailure
from cadnode.log import get_logger
from cadnode.receive import command, pdu
from cadnode.receive.command import CommandField, DimseRequest, MalformedCommand
from cadnode.receive.commitment import CommitmentExchange, CommitmentService, MessageSink
from cadnode.receive.commitment_data import PUSH_MODEL
from cadnode.receive.commitment_requests import Sender
from cadnode.receive.notes import Notes
from cadnode.receive.pdu import AbortSource, AssociateRequest, Context, MalformedPdu, PduType
from cadnode.receive.secure import Peer
from cadnode.receive.spool import Spool
from cadnode.receive.stream import DataSetSink
from cadnode.receive.wire import Patience, PeerGone, Silent, TooSlow, Wire

_IMPLEMENTATION = (str(PYNETDICOM_IMPLEMENTATION_UID), PYNETDICOM_IMPLEMENTATION_VERSION)
_PROGRESS_BYTES = 64 << 10
# Of a data set. One with a defined length has at most 4 GiB of pixels (PS3.5 7.1.1).
_MOST_DATA_SET_BYTES = 8 << 30
_ABORT_WITHIN_S = 1.0
_NO_CONTEXT = AssociationFailure.NO_CONTEXT.value
_LEAST_REPORTED = 4096  # bytes of a PDU: a report cut into smaller ones is many times as long
log = get_logger("receive")

Store = Callable[[DimseRequest, Context, DataSetSink], int]


class RefusedMessage(Exception):
    """A message that must not come, by the reason that is logged; it ends the association."""


@dataclass(frozen=True, slots=True)
class Service:
    """What every association of a listener shares."""

    spool: Spool
    store: Store
    supported: Mapping[str, Sequence[str]]
    patience: Patience
    max_pdu_bytes: int
    notes: Notes
    commitment: CommitmentService | None = None


@dataclass(slots=True)
class _Message:
    """A message on its way: its command, then its data set (PS3.8 annex E)."""

    context: Context
    command: bytearray
    request: DimseRequest | None = None
    sink: DataSetSink | MessageSink | None = None
    n_bytes: int = 0  # of its data set


class Association:
    """One association, from its A-ASSOCIATE-RQ on. `run` returns when it has ended."""

    def __init__(
        self,
        peer: Peer,
        address: str,
        request: AssociateRequest,
        service: Service,
        stalled_s: float,
        *,
        asked_who: bool = False,
    ) -> None:
        self._peer = peer
        self._address = address
        self._asked = request
        self._service = service
        self._stalled_s = stalled_s
        self._asked_who = asked_who
        self._wire = Wire(peer, service.patience)
        self._accepted: dict[int, Context] = {}
        self._studies: Counter[str] = Counter()  # that came on it, and how many images
        self._message: _Message | None = None
        self._commitment = (
            CommitmentExchange(
                service.commitment,
                Sender(address, request.calling_ae_title),
                service.notes,
                may_report=request.max_pdu_bytes == 0 or request.max_pdu_bytes >= _LEAST_REPORTED,
            )
            if service.commitment
            else None
        )
        self._lock = threading.Lock()
        self._is_dismissed = self._is_stopping = False
        self._is_serving = self._is_answering = False
        self._progress_at = time.monotonic()
        self._unseen_bytes = 0

    # What others ask of it, from their threads

    def touch(self) -> None:
        """It has done something worth its place just now."""
        self._progress_at = time.monotonic()

    def spare_s(self) -> float | None:
        """For how long nothing has been done that would be lost; None: it is at work."""
        idle_s = time.monotonic() - self._progress_at
        if self._is_serving:
            return None
        return idle_s if self._message is None else idle_s - self._stalled_s

    def dismiss(self) -> bool:
        """End it now unless it is at work; whether it ends."""
        with self._lock:
            if self._is_serving:
                return False
            self._is_dismissed = True
        self._wake()
        return True

    def stop(self) -> None:
        """End it as soon as no message is on its way."""
        with self._lock:
            self._is_stopping = True
            is_busy = self._is_serving or self._message is not None
        if not is_busy:
            self._wake()

    def cut(self) -> None:
        """End it whatever it does."""
        with self._lock:
            self._is_dismissed = True
        self._wake()

    @property
    def is_receiving(self) -> bool:
        """Whether a message is on its way or being served."""
        return self._is_serving or self._message is not None

    def _wake(self) -> None:
        with suppress(OSError):  # it is ending by itself
            self._peer.shutdown(socket.SHUT_RDWR if self._is_answering else socket.SHUT_RD)

    # What it does, in its own thread

    def run(self) -> bool:
        """Serve until the end. Whether the peer still has to read what was sent to it."""
        try:
            self._accept()
            while self._next_pdu():
                pass
            return True
        except PeerGone:
            return self._is_dismissed_or_stopping() and self._abort()
        except Silent:
            return self._abort()
        except TooSlow:
            self._log_cut("too_slow")
            return self._abort()
        except RefusedMessage as refused:
            self._log_refusal(str(refused))
            return self._abort()
        except (MalformedPdu, MalformedCommand):
            self._log_refusal("malformed")
            return self._abort()
        except Exception as error:
            # The association handler: whatever a peer sends, it ends this association only.
            log.warning("association_failed", error=error)
            return self._abort()
        finally:
            self._drop_message()
            if self._commitment is not None:
                self._commitment.end()
            if self._studies:
                self._service.notes.witness.brought(self._asked.calling_ae_title, self._studies)

    def _is_dismissed_or_stopping(self) -> bool:
        if self._is_dismissed and not self._is_stopping:
            self._log_cut("gave_way")
        return self._is_dismissed or self._is_stopping

    def _log_cut(self, reason: str) -> None:
        if count := self._service.notes.due(reason, self._address):
            log.warning("association_cut", reason=reason, peer=self._address, count=count)

    def _log_refusal(self, reason: str) -> None:
        if count := self._service.notes.due(reason, self._address):
            log.warning("message_refused", reason=reason, peer=self._address, count=count)

    def _abort(self) -> bool:
        """Send A-ABORT where it can be sent at once."""
        try:
            self._peer.settimeout(_ABORT_WITHIN_S)
            self._peer.sendall(pdu.abort(AbortSource.SERVICE_PROVIDER))
            self._peer.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def _accept(self) -> None:
        service, user = self._service, self._asked.user
        self._accepted, results = pdu.negotiated(self._asked.proposals, service.supported)
        if not self._accepted:
            title = self._asked.calling_ae_title
            if count := service.notes.due(_NO_CONTEXT, self._address, title):
                log.warning(
                    "association_refused", calling_ae=title, reason=_NO_CONTEXT,
                    peer=self._address, count=count,
                )  # fmt: skip
        self._send(
            pdu.associate_ac(
                self._asked,
                self._accepted,
                results,
                service.max_pdu_bytes,
                _IMPLEMENTATION,
                self._roles(),
                confirms_user=self._asked_who and user is not None and user.wants_answer,
            )
        )

    def _roles(self) -> list[pdu.ProposedRole]:
        """Of storage commitment either side may be the SCP; elsewhere the requestor is the SCU."""
        accepted = {context.abstract_syntax for context in self._accepted.values()}
        roles = {one.sop_class_uid: one for one in self._asked.roles}
        return [roles[PUSH_MODEL]] if PUSH_MODEL in accepted and PUSH_MODEL in roles else []

    def _next_pdu(self) -> bool:
        """Take a PDU; False when it ended the association in good order."""
        is_between = self._message is None
        if is_between and self._is_stopping:
            raise PeerGone
        self._wire.await_bytes()
        if is_between:
            self._wire.begin()
        kind, length = pdu.HEADER.unpack(self._wire.take(pdu.HEADER.size))
        if kind == PduType.P_DATA_TF:
            self._take_data(length)
        elif kind == PduType.RELEASE_RQ and length == 4:
            self._wire.take(length)
            self._send(pdu.release_rp())
            return False
        elif kind == PduType.ABORT:
            raise PeerGone
        else:
            raise RefusedMessage("unexpected_pdu")
        if self._message is None:
            self._wire.end()
        return True

    def _take_data(self, length: int) -> None:
        if length > self._service.max_pdu_bytes:
            raise RefusedMessage("pdu_too_long")  # than what was offered (PS3.8 annex D.1)
        while length:
            if length < pdu.PDV_HEADER.size:
                raise MalformedPdu("item cut off")
            n_bytes, context_id, control = pdu.PDV_HEADER.unpack(
                self._wire.take(pdu.PDV_HEADER.size)
            )
            if not 2 <= n_bytes <= length - 4:
                raise MalformedPdu("item longer than its PDU")
            length -= 4 + n_bytes
            self._take_fragment(context_id, control, n_bytes - 2)

    def _take_fragment(self, context_id: int, control: int, n_bytes: int) -> None:
        """Take a fragment of a message: all of one message have one accepted context (annex E)."""
        context = self._accepted.get(context_id)
        if context is None:
            raise RefusedMessage("context_not_accepted")
        if self._message is None:
            self._begin_message(context)
        message = self._message
        assert message is not None
        if message.context.context_id != context_id:
            raise RefusedMessage("context_changed")
        is_command, is_last = bool(control & pdu.COMMAND), bool(control & pdu.LAST)
        if is_command != (message.request is None):
            raise MalformedPdu("command and data set out of turn")
        if is_command:
            self._take_command(message, n_bytes, is_last=is_last)
        else:
            self._take_data_set(message, n_bytes, is_last=is_last)

    def _begin_message(self, context: Context) -> None:
        with self._lock:
            if self._is_dismissed:
                raise PeerGone
            self._message = _Message(context, bytearray())

    def _take_command(self, message: _Message, n_bytes: int, *, is_last: bool) -> None:
        if len(message.command) + n_bytes > command.MOST_COMMAND_BYTES:
            raise MalformedCommand("too long")
        message.command += self._wire.take(n_bytes)
        if is_last:
            message.request = command.request(bytes(message.command))
            if message.request.has_data_set:
                message.sink = self._sink(message.request, message.context)
            else:
                self._serve(message, message.request)

    def _sink(self, request: DimseRequest, context: Context) -> DataSetSink | MessageSink:
        if CommitmentExchange.serves(request):
            if self._commitment is None:
                raise MalformedCommand("a command that is not served")
            return MessageSink()
        return DataSetSink(self._service.spool, request, context)

    def _take_data_set(self, message: _Message, n_bytes: int, *, is_last: bool) -> None:
        sink, request = message.sink, message.request
        assert sink is not None
        assert request is not None
        message.n_bytes += n_bytes
        if message.n_bytes > _MOST_DATA_SET_BYTES:
            raise RefusedMessage("data_set_too_long")
        for part in self._wire.parts(n_bytes):
            sink.write(part)
            self._unseen_bytes += len(part)
            if self._unseen_bytes >= _PROGRESS_BYTES:
                self._unseen_bytes = 0
                self.touch()
        if is_last:
            sink.flush()
            self._serve(message, request)

    def _serve(self, message: _Message, request: DimseRequest) -> None:
        """Do what a whole message asks for, and answer it."""
        with self._lock:
            if self._is_dismissed:
                raise PeerGone
            self._is_serving = True
        try:
            status, reports = 0x0000, []
            if isinstance(message.sink, DataSetSink):
                status = self._service.store(request, message.context, message.sink)
                self._tell_of(message.sink)
                self.touch()
            elif message.sink is not None and self._commitment is not None:
                status = self._commitment.serve(request, message.context, message.sink)
                reports = list(self._commitment.reports(message.context))
                self.touch()
        finally:
            self._drop_message()
            with self._lock:
                self._is_serving = False
        if request.field is CommandField.C_CANCEL_RQ:
            return  # of nothing that is still being done; it has no response (PS3.7 9.3.2.3)
        if request.field is CommandField.N_EVENT_REPORT_RSP:
            if self._commitment is not None:
                self._commitment.acknowledged(request)
            return
        self._send(
            pdu.p_data(
                message.context.context_id, pdu.COMMAND,
                command.response(request, status), self._asked.max_pdu_bytes,
            )
        )  # fmt: skip

        most, where = self._asked.max_pdu_bytes, message.context.context_id
        for command_set, data_set in reports:
            self._send(pdu.p_data(where, pdu.COMMAND, command_set, most))
            self._send(pdu.p_data(where, 0, data_set, most))

    def _tell_of(self, sink: DataSetSink) -> None:
        """Tell of a study whose first image this is, before its sender is answered."""
        if sink.stored is None:
            return
        study = sink.stored.study_key
        self._studies[study] += 1
        if self._studies[study] == 1:
            witness = self._service.notes.witness
            witness.received(self._asked.calling_ae_title, self._address, study)

    def _send(self, data: bytes) -> None:
        self._is_answering = True  # a peer that does not read is woken from by closing both ways
        self._wire.send(data)
        self._is_answering = False

    def _drop_message(self) -> None:
        message, self._message = self._message, None
        if message is not None and message.sink is not None:
            message.sink.close()

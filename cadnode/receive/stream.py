"""The seam with pynetdicom: a C-STORE's data set goes to the spool as its fragments come in.

pynetdicom keeps a data set in memory, or with `STORE_RECV_CHUNKED_DATASET` in a temporary file
of its own choosing. Both write to `DIMSEMessage.data_set`; here that is a `DataSetSink`, which
writes to the spool's file system, stands a full disk, and leaves nothing behind.
"""

import socket
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from cadnode.log import get_logger
from cadnode.receive.connection import Connection
from cadnode.receive.incoming import Incoming
from cadnode.receive.spool import Spool
from cadnode.receive.status import Status

MAX_PDU_BYTES = 1 << 20  # offered to peers; DCMTK takes 128 KiB of it at most
MOST_PDU_BYTES = (
    16 << 20
)  # taken from peers that ignore the offer; a longer PDU ends the association
MOST_COMMAND_BYTES = 64 << 10
_INVALID_PDU = "Evt19"  # of the state machine in PS3.8 9.2: A-ABORT is sent, A-P-ABORT indicated
_DATA_TOO_EARLY = ("Evt10", "Sta2")  # of the same: P-DATA-TF while an A-ASSOCIATE-RQ is awaited

log = get_logger("receive")


class DataSetSink(BytesIO):
    """What pynetdicom writes a data set to. `status` says whether the file holds all of it."""

    def __init__(self, spool: Spool, message: DIMSEMessage, assoc: Any) -> None:
        super().__init__()
        self._spool = spool
        self._message: DIMSEMessage | None = message
        self._assoc: Any = assoc
        self.incoming: Incoming | None = None
        self.context_id: int | None = None
        self.offset = 0
        self.status = Status.SUCCESS

    def write(self, data: Any) -> int:
        """Append a fragment; past a failure, read on and forget."""
        try:
            if self._message is not None:
                self._begin(self._message)
            if self.incoming is not None:
                self.incoming.write(data)
        except OSError as error:
            log.error("spool_failed", error=error)
            self.status = Status.OUT_OF_RESOURCES
            self.close()
        return len(data)

    @property
    def has_begun(self) -> bool:
        """Whether the first fragment has been written, or refused."""
        return self._message is None

    def _begin(self, message: DIMSEMessage) -> None:
        """Open the file and write the Part 10 header in front of the first fragment."""
        self._message, assoc, self._assoc = None, self._assoc, None
        self.context_id = message.context_id
        if not isinstance(message, C_STORE_RQ):
            self.status = Status.CANNOT_UNDERSTAND  # pynetdicom ends such an association itself
        elif not self._spool.has_room():
            self.status = Status.OUT_OF_RESOURCES
        else:
            self.incoming = self._spool.open()
            self.incoming.write(_header(message, assoc))
            self.offset = self.incoming.n_bytes

    def close(self) -> None:
        """Remove what was not published."""
        if self.incoming is not None:
            self.incoming.drop()
            self.incoming = None
        super().close()


def _header(message: DIMSEMessage, assoc: Any) -> bytes:
    """Preamble and file meta information (DICOM PS3.10 7.1) for a C-STORE request."""
    syntax = next(
        cx.transfer_syntax[0]
        for cx in assoc.accepted_contexts
        if cx.context_id == message.context_id
    )
    meta = create_file_meta(
        sop_class_uid=message.command_set.AffectedSOPClassUID,
        sop_instance_uid=message.command_set.AffectedSOPInstanceUID,
        transfer_syntax=syntax,
    )
    return b"\0" * 128 + b"DICM" + bytes(encode_file_meta(meta))


class _CommandBuffer(BytesIO):
    """A command set in memory, refused when no command set is that long."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > MOST_COMMAND_BYTES:
            raise ValueError("command set too long")
        return super().write(data)


class StreamingProvider(DIMSEServiceProvider):  # type: ignore[misc]  # pynetdicom is untyped
    """DIMSE provider whose messages write their data sets to the spool."""

    message: DIMSEMessage | None

    def __init__(self, assoc: Any, spool: Spool, peer: socket.socket) -> None:
        super().__init__(assoc)
        self._spool = spool
        self._peer = peer
        self._context_id = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA primitive, the first of a message or a further one.

        One that belongs to no accepted presentation context, or that cannot be decoded, ends the
        association by A-ABORT (DICOM PS3.8 7.4 and 9.3.8): pynetdicom's own thread would die of it.
        """
        try:
            reason = self._wrong_context(primitive)
            if not reason:
                self._take(primitive)
                return
            log.warning("message_refused", reason=reason)
        except Exception as error:
            # The association handler: whatever a peer sends, it ends this association only.
            log.warning("message_refused", reason="malformed", error=error)
        self._drop_message()
        self.dul.event_queue.put(_INVALID_PDU)

    def _wrong_context(self, primitive: P_DATA) -> str:
        """Why the fragments are of no message; one has one accepted context (PS3.8 annex E)."""
        found = {context_id for context_id, _ in primitive.presentation_data_value_list}
        if not found <= {cx.context_id for cx in self.assoc.accepted_contexts}:
            return "context_not_accepted"
        if self.message is not None:
            found.add(self._context_id)
        if len(found) != 1:
            return "context_changed"
        (self._context_id,) = found
        return ""

    def _take(self, primitive: P_DATA) -> None:
        if self.message is None:
            message = DIMSEMessage()
            message.encoded_command_set = _CommandBuffer()
            message.data_set = DataSetSink(self._spool, message, self.assoc)
            self.message = message
        super().receive_primitive(primitive)

    def open_sink(self) -> DataSetSink | None:
        """The data set on its way, once its first fragment has been written."""
        sink = None if self.message is None else self.message.data_set
        return sink if isinstance(sink, DataSetSink) and sink.has_begun else None

    def is_receiving(self) -> bool:
        """Whether a message is on its way or waits to be served."""
        return self.message is not None or not self.msg_queue.empty()

    def connection_closed(self) -> None:
        """Remove a half-received data set, and close the socket that pynetdicom only shuts down."""
        self._drop_message()
        self._peer.close()
        if not self.assoc.is_established:
            self.dul.to_user_queue.put(None)  # it waits for an association request: wait no more

    def _drop_message(self) -> None:
        message, self.message = self.message, None
        if message is not None and isinstance(message.data_set, DataSetSink):
            message.data_set.close()


class StreamingServer(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom is untyped
    """Server whose associations stream into `spool`; set right after construction."""

    request_queue_size = 128
    daemon_threads = True
    spool: Spool
    timeout_s: float

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a connection failed before it became an association."""
        log.warning("connection_failed")


class StreamingHandler(RequestHandler):  # type: ignore[misc]  # pynetdicom is untyped
    """Makes each connection's association a streaming one."""

    server: StreamingServer

    def setup(self) -> None:
        """Answers leave at once, and a silent peer is not waited for forever."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(self.server.timeout_s)

    def _create_association(self) -> Any:
        assoc = super()._create_association()
        provider = StreamingProvider(assoc, self.server.spool, self.request)
        assoc.dimse = provider
        alive = assoc.dul._idle_timer.restart
        assoc.dul.socket.recv = Connection(self.request, provider.open_sink, alive).recv
        assoc.dul.state_machine.do_action = _guarded(assoc, assoc.dul.state_machine.do_action)
        return assoc


def _guarded(assoc: Any, do_action: Callable[[str], None]) -> Callable[[str], None]:
    """The state machine's step; one that fails ends its association, with one line in the log.

    As pynetdicom does where it cannot decode: past a state machine that is out of step.
    """

    def step(event: str) -> None:
        if (event, assoc.dul.state_machine.current_state) == _DATA_TOO_EARLY:
            log.warning("message_refused", reason="no_association")
        try:
            do_action(event)
        except Exception as error:
            # The association handler: pynetdicom's thread would die with a traceback.
            log.warning("association_failed", error=error)
            abort = A_ABORT_RQ()
            abort.source, abort.reason_diagnostic = 0x02, 0x00
            assoc.dul.socket.send(abort.encode())
            assoc.is_aborted, assoc.is_established = True, False
            assoc.dul.kill_dul()
            assoc.dimse.connection_closed()

    return step

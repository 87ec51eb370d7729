"""The seam with pynetdicom: a C-STORE's data set goes to the spool as its fragments come in.

pynetdicom keeps a data set in memory, or with `STORE_RECV_CHUNKED_DATASET` in a temporary file
of its own choosing. Both write to `DIMSEMessage.data_set`; here that is a `DataSetSink`, which
writes to the spool's file system, stands a full disk, and leaves nothing behind.

pynetdicom reads 4 KiB at a time and copies a fragment some eight times on its way through the
state machine. A PDU that is nothing but a middle part of a data set (DICOM PS3.8 9.3.5 and annex
E) changes no state: `Connection` writes it to the open file, and pynetdicom never sees it.
"""

import socket
import struct
import time
from collections.abc import Callable
from enum import IntEnum
from io import BytesIO
from typing import Any, Protocol

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from cadnode.log import get_logger
from cadnode.receive.spool import Incoming, Spool

# Taken from peers that ignore the offer; a longer PDU ends the association.
MOST_PDU_BYTES = 16 << 20
_BUFFER_BYTES = 128 << 10  # of one write; measured, see benchmarks/LOG.md: longer ones are slower
_P_DATA_TF = 0x04
_PDU_HEADER = struct.Struct(">BxI")  # type, length
_PDV_HEADER = struct.Struct(">IBB")  # length, presentation context, message control header
_MIDDLE_OF_DATA_SET = 0x00  # neither a command (bit 0) nor the last fragment (bit 1)
MAX_PDU_BYTES = 1 << 20  # offered to peers; DCMTK takes 128 KiB of it at most
MOST_COMMAND_BYTES = 64 << 10
# Of a PDU before there is an association: an A-ASSOCIATE-RQ of 128 presentation contexts fits.
MOST_REQUEST_BYTES = 256 << 10
_INVALID_PDU = "Evt19"  # of the state machine in PS3.8 9.2: A-ABORT is sent, A-P-ABORT indicated
_DATA_TOO_EARLY = ("Evt10", "Sta2")  # of the same: P-DATA-TF while an A-ASSOCIATE-RQ is awaited
log = get_logger("receive")


class StorageStatus(IntEnum):
    """Status of a C-STORE response."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class PduSink(Protocol):
    """Where the fragments of a data set go, and the presentation context that they belong to."""

    context_id: int | None

    def write(self, data: memoryview, /) -> int:
        """Take a fragment, or a part of one."""


class Connection:
    """Replaces `AssociationSocket.recv` for one association.

    `sink` gives the open data set, None when there is none; `alive` is called as bytes come in.
    Until `is_requested` an association, the peer has `within_s` seconds for all that it sends.
    """

    def __init__(
        self,
        peer: socket.socket,
        sink: Callable[[], PduSink | None],
        alive: Callable[[], None],
        is_requested: Callable[[], bool],
        within_s: float,
    ) -> None:
        self._peer = peer
        self._sink = sink
        self._alive = alive
        self._is_requested = is_requested
        self._deadline: float | None = time.monotonic() + within_s
        self._timeout_s = peer.gettimeout()
        self._read_ahead = b""
        self._buffer = memoryview(b"")
        self._n_buffered = 0

    def recv(self, n_bytes: int) -> bytearray:
        """The next `n_bytes` for pynetdicom; fewer when the peer has closed the connection.

        pynetdicom asks for a PDU's header, and then for as many bytes as it announces.

        Raises
        ------
        OSError
            The peer is silent for too long, is gone, or announces more than any PDU needs.
        """
        if n_bytes > (MOST_PDU_BYTES if self._deadline is None else MOST_REQUEST_BYTES):
            raise OSError("PDU too long")
        if n_bytes == _PDU_HEADER.size and not self._read_ahead:
            return self._next_header()
        ahead, self._read_ahead = self._read_ahead[:n_bytes], self._read_ahead[n_bytes:]
        return bytearray(ahead) + self._exactly(n_bytes - len(ahead))

    def _next_header(self) -> bytearray:
        """Header of the next PDU that is pynetdicom's to handle."""
        sink = self._sink()
        if sink is None:
            return self._exactly(_PDU_HEADER.size)
        header = self._stream_to(sink)
        self._flush(sink)
        return header

    def _stream_to(self, sink: PduSink) -> bytearray:
        """Header of the first PDU that is not a middle part of the data set; those go to `sink`."""
        while True:
            header = self._exactly(_PDU_HEADER.size)
            if len(header) < _PDU_HEADER.size:
                return header
            pdu_type, pdu_length = _PDU_HEADER.unpack(header)
            if pdu_type != _P_DATA_TF or pdu_length < _PDV_HEADER.size:
                return header
            item = self._exactly(_PDV_HEADER.size)
            if not _is_middle_of_data_set(bytes(item), pdu_length, sink.context_id):
                self._read_ahead = bytes(item)
                return header
            if not self._stream(pdu_length - _PDV_HEADER.size, sink):
                return bytearray()
            self._alive()

    def _stream(self, n_bytes: int, sink: PduSink) -> bool:
        """Take the next `n_bytes` of the data set; False when the peer closed the connection."""
        if not self._buffer:
            self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        while n_bytes:
            end = min(self._n_buffered + n_bytes, _BUFFER_BYTES)
            wanted = end - self._n_buffered
            done = self._fill(self._buffer[self._n_buffered : end])
            self._n_buffered += done
            n_bytes -= done
            if self._n_buffered == _BUFFER_BYTES:
                self._flush(sink)
            if done < wanted:
                return False
        return True

    def _flush(self, sink: PduSink) -> None:
        if self._n_buffered:
            sink.write(self._buffer[: self._n_buffered])
            self._n_buffered = 0

    def _exactly(self, n_bytes: int) -> bytearray:
        data = bytearray(n_bytes)
        with memoryview(data) as view:
            done = self._fill(view)
        del data[done:]
        return data

    def _fill(self, view: memoryview) -> int:
        """Bytes read into `view`: all of it, unless the peer has closed the connection."""
        done = 0
        while done < len(view):
            if self._deadline is not None:
                self._keep_deadline(self._deadline)
            n_read = self._peer.recv_into(view[done:])
            if not n_read:
                break
            done += n_read
        return done

    def _keep_deadline(self, deadline: float) -> None:
        """Wait no longer than until the deadline, which ends with the request."""
        if self._is_requested():
            self._deadline = None
            self._peer.settimeout(self._timeout_s)
            return
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise OSError("no association was asked for in time")
        self._peer.settimeout(left_s)


def _is_middle_of_data_set(item: bytes, pdu_length: int, context_id: int | None) -> bool:
    """Whether a P-DATA-TF's one and only item is a middle part of the context's data set."""
    if len(item) < _PDV_HEADER.size:
        return False
    length, context, control = _PDV_HEADER.unpack(item)
    is_middle = control & 0b11 == _MIDDLE_OF_DATA_SET
    return bool(length == pdu_length - 4 and is_middle and context == context_id)


class DataSetSink(BytesIO):
    """What pynetdicom writes a data set to. `status` is success while the file holds all of it."""

    def __init__(self, spool: Spool, message: DIMSEMessage, assoc: Any) -> None:
        super().__init__()
        self._spool = spool
        self._message: DIMSEMessage | None = message
        self._assoc: Any = assoc
        self.incoming: Incoming | None = None
        self.context_id: int | None = None
        self.offset = 0
        self.status = StorageStatus.SUCCESS

    def write(self, data: Any) -> int:
        """Append a fragment; past a failure, read on and forget."""
        try:
            if self._message is not None:
                self._begin(self._message)
            if self.incoming is not None:
                self.incoming.write(data)
        except OSError as error:
            log.error("spool_failed", error=error)
            self.status = StorageStatus.OUT_OF_RESOURCES
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
            self.status = (
                StorageStatus.CANNOT_UNDERSTAND
            )  # pynetdicom ends such an association itself
        elif not self._spool.has_room():
            self.status = StorageStatus.OUT_OF_RESOURCES
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
    association_within_s: float

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
        assoc.dul.socket.recv = Connection(
            self.request,
            provider.open_sink,
            alive,
            lambda: was_requested(assoc),
            self.server.association_within_s,
        ).recv
        assoc.dul.state_machine.do_action = _guarded(assoc, assoc.dul.state_machine.do_action)
        return assoc


def was_requested(assoc: Any) -> bool:
    """Whether the association's A-ASSOCIATE-RQ has arrived; before, it is but a connection."""
    return assoc.requestor.primitive is not None


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

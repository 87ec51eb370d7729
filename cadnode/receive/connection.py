"""One peer's bytes: fragments of a data set go straight to the spool, the rest to pynetdicom.

pynetdicom reads 4 KiB at a time and copies a fragment some eight times on its way through the
state machine. A PDU that is nothing but a middle part of a data set (DICOM PS3.8 9.3.5 and annex
E) changes no state: here it is written to the open file and pynetdicom never sees it.
"""

import socket
import struct
from collections.abc import Callable
from typing import Protocol

MOST_PDU_BYTES = 16 << 20  # whatever a peer announces, no more than this is taken into memory
_BUFFER_BYTES = 128 << 10  # of one write; measured, see benchmarks/LOG.md: longer ones are slower
_P_DATA_TF = 0x04
_PDU_HEADER = struct.Struct(">BxI")  # type, length
_PDV_HEADER = struct.Struct(">IBB")  # length, presentation context, message control header
_MIDDLE_OF_DATA_SET = 0x00  # neither a command (bit 0) nor the last fragment (bit 1)


class Sink(Protocol):
    """Where the fragments of a data set go, and the presentation context that they belong to."""

    context_id: int | None

    def write(self, data: memoryview, /) -> int:
        """Take a fragment, or a part of one."""


class Connection:
    """Replaces `AssociationSocket.recv` for one association.

    `sink` gives the open data set, None when there is none; `alive` is called as bytes come in.
    """

    def __init__(
        self, peer: socket.socket, sink: Callable[[], Sink | None], alive: Callable[[], None]
    ) -> None:
        self._peer = peer
        self._sink = sink
        self._alive = alive
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
        if n_bytes > MOST_PDU_BYTES:
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

    def _stream_to(self, sink: Sink) -> bytearray:
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

    def _stream(self, n_bytes: int, sink: Sink) -> bool:
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

    def _flush(self, sink: Sink) -> None:
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
        while done < len(view) and (n_read := self._peer.recv_into(view[done:])):
            done += n_read
        return done


def _is_middle_of_data_set(item: bytes, pdu_length: int, context_id: int | None) -> bool:
    """Whether a P-DATA-TF's one and only item is a middle part of the context's data set."""
    if len(item) < _PDV_HEADER.size:
        return False
    length, context, control = _PDV_HEADER.unpack(item)
    is_middle = control & 0b11 == _MIDDLE_OF_DATA_SET
    return bool(length == pdu_length - 4 and is_middle and context == context_id)

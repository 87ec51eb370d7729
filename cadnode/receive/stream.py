"""Where a C-STORE's data set goes: to the spool's file system, as its fragments come in."""

from enum import IntEnum

from pydicom.uid import UID
from pynetdicom.dsutils import create_file_meta, encode_file_meta

from cadnode.log import get_logger
from cadnode.receive.command import DimseRequest
from cadnode.receive.pdu import Context
from cadnode.receive.spool import Incoming, Spool, StoredInstance

_BUFFER_BYTES = 128 << 10  # of one write; measured, see benchmarks/LOG.md: longer ones are slower
_LOOK_AFTER_BYTES = 64 << 20  # how much is written before it is asked again whether there is room
log = get_logger("receive")


class StorageStatus(IntEnum):
    """Status of a C-STORE response."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class DataSetSink:
    """A data set on its way into the spool. `status` is success while the file holds all of it.

    Past a failure the rest is read on and forgotten: the peer gets its answer at the end.
    """

    def __init__(self, spool: Spool, request: DimseRequest, context: Context) -> None:
        self._spool = spool
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._n_buffered = 0
        self._look_at = _LOOK_AFTER_BYTES
        self.incoming: Incoming | None = None
        self.stored: StoredInstance | None = None  # once it was published
        self.offset = 0
        self.status = StorageStatus.SUCCESS
        try:
            if spool.has_room():
                self.incoming = spool.open()
                self.incoming.write(_header(request, context))
                self.offset = self.incoming.n_bytes
            else:
                self.status = StorageStatus.OUT_OF_RESOURCES
        except OSError as error:
            self._fail(error)

    def write(self, data: memoryview) -> None:
        """Append a part of the data set."""
        while data and self.incoming is not None:
            part = data[: _BUFFER_BYTES - self._n_buffered]
            self._buffer[self._n_buffered : self._n_buffered + len(part)] = part
            self._n_buffered += len(part)
            data = data[len(part) :]
            if self._n_buffered == _BUFFER_BYTES:
                self.flush()

    def flush(self) -> None:
        """Bring to the file what was written so far."""
        if self.incoming is None or not self._n_buffered:
            return
        try:
            self.incoming.write(self._buffer[: self._n_buffered])
            if self.incoming.n_bytes >= self._look_at:
                self._look_at += _LOOK_AFTER_BYTES
                if not self._spool.has_room():
                    self.status = StorageStatus.OUT_OF_RESOURCES
                    self.close()
        except OSError as error:
            self._fail(error)
        self._n_buffered = 0

    def close(self) -> None:
        """Remove what was not published. May be called again."""
        if self.incoming is not None:
            self.incoming.drop()
            self.incoming = None

    def _fail(self, error: OSError) -> None:
        log.error("spool_failed", error=error)
        self.status = StorageStatus.OUT_OF_RESOURCES
        self.close()


def _header(request: DimseRequest, context: Context) -> bytes:
    """Preamble and file meta information (DICOM PS3.10 7.1) for a C-STORE request."""
    meta = create_file_meta(
        sop_class_uid=UID(request.sop_class_uid),
        sop_instance_uid=UID(request.sop_instance_uid),
        transfer_syntax=UID(context.transfer_syntax),
    )
    return b"\0" * 128 + b"DICM" + bytes(encode_file_meta(meta))

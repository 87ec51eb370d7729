"""The DICOM listener: Verification and Storage SCP (DICOM PS3.4 annexes A and B).

Data sets go to the spool byte for byte as they came; nothing is decoded or converted. The tables
name what is taken: storage SOP classes (PS3.4 B.5) and transfer syntaxes (PS3.5).
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from socketserver import BaseServer
from typing import Any, cast

from pydicom import uid
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification

from cadnode.errors import NotProcessable, SettingsError
from cadnode.log import get_logger, hashed
from cadnode.receive.identity import Identity, is_valid_uid, read_identity
from cadnode.receive.spool import Incoming, Spool, StoredInstance
from cadnode.receive.stream import (
    MAX_PDU_BYTES,
    DataSetSink,
    StorageStatus,
    StreamingHandler,
    StreamingProvider,
    StreamingServer,
    was_requested,
)

MAMMOGRAPHY: tuple[str, ...] = (
    uid.DigitalMammographyXRayImageStorageForPresentation,
    uid.DigitalMammographyXRayImageStorageForProcessing,
    uid.BreastTomosynthesisImageStorage,
    uid.BreastProjectionXRayImageStorageForPresentation,
    uid.BreastProjectionXRayImageStorageForProcessing,
)
SECONDARY_CAPTURE: tuple[str, ...] = (
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
)
STRUCTURED_REPORTS: tuple[str, ...] = (
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.Comprehensive3DSRStorage,
    uid.ExtensibleSRStorage,
    uid.MammographyCADSRStorage,
    uid.XRayRadiationDoseSRStorage,
    uid.KeyObjectSelectionDocumentStorage,
)
PRESENTATION_STATES: tuple[str, ...] = (
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.ColorSoftcopyPresentationStateStorage,
    uid.PseudoColorSoftcopyPresentationStateStorage,
    uid.BlendingSoftcopyPresentationStateStorage,
    uid.AdvancedBlendingPresentationStateStorage,
    uid.BasicStructuredDisplayStorage,
)
SEGMENTATIONS: tuple[str, ...] = (uid.SegmentationStorage, uid.SurfaceSegmentationStorage)

STORAGE_CLASSES: tuple[str, ...] = (
    *MAMMOGRAPHY,
    *SECONDARY_CAPTURE,
    *STRUCTURED_REPORTS,
    *PRESENTATION_STATES,
    *SEGMENTATIONS,
)

TRANSFER_SYNTAXES: tuple[str, ...] = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.JPEG2000MCLossless,
    uid.JPEG2000MC,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)


log = get_logger("receive")

OnInstance = Callable[[StoredInstance], None]


@dataclass(frozen=True, slots=True)
class ScpConfig:
    """How to listen. Port 0 takes any free one; no calling AE titles means any."""

    ae_title: str = "CADNODE"
    host: str = "127.0.0.1"
    port: int = 11112
    calling_ae_titles: tuple[str, ...] = ()
    check_called_ae_title: bool = False
    max_associations: int = 20
    network_timeout_s: float = 60.0
    association_within_s: float = 10.0
    max_pdu_bytes: int = MAX_PDU_BYTES
    stop_within_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A running listener."""

    port: int


class Notices:
    """Calls `on_instance` for each instance put, in order, in a thread of its own."""

    def __init__(self, on_instance: Callable[[StoredInstance], None]) -> None:
        self._on_instance = on_instance
        self._queue: SimpleQueue[StoredInstance | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def put(self, stored: StoredInstance) -> None:
        """Announce `stored` soon; returns at once."""
        self._queue.put(stored)

    def close(self) -> None:
        """Return once every instance put was announced."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (stored := self._queue.get()) is not None:
            try:
                self._on_instance(stored)
            except Exception as error:
                # The instance is safe in the spool; a callback must not stop the listener.
                log.error("notice_failed", study=stored.study_key, error=error)


@contextmanager
def serve(
    config: ScpConfig,
    spool: Spool,
    on_instance: OnInstance,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[Listener]:
    """A listener for the length of the `with` block.

    `on_instance` is called after an instance was published, in a thread of its own; `alive` by
    the loop that accepts connections, ten times a second for as long as it does. At the end
    no new association is taken, instances on their way may arrive for `stop_within_s` seconds,
    and every notice is given.

    Raises
    ------
    SettingsError
        The address cannot be listened on.
    """
    _config.LOG_HANDLER_LEVEL = "none"  # pynetdicom would log each PDU, and identifiers with it
    removed = spool.clear_incoming()
    notices = Notices(on_instance)
    try:
        server = _server(config, spool, notices)
        server.service_actions = alive
    except OSError as error:
        notices.close()
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"cannot listen on {config.host}:{config.port}: {reason}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="listener")
    thread.start()
    port = int(server.server_address[1])
    log.info("listener_started", port=port, ae_title=config.ae_title, count=removed)
    try:
        yield Listener(port)
    finally:
        _stop(server, config.stop_within_s)
        thread.join()
        notices.close()
        log.info("listener_stopped", port=port)


class _ListenerAE(AE):  # type: ignore[misc]  # pynetdicom is untyped
    """An AE that counts associations, not connections, against `maximum_associations`.

    pynetdicom has a thread for each connection and counts them all: a load balancer's TCP check
    would take a place until the association's timer ends.
    """

    @property
    def active_associations(self) -> list[Any]:
        """Those that were requested, by an A-ASSOCIATE-RQ that has arrived whole."""
        return [one for one in super().active_associations if was_requested(one)]


def _server(config: ScpConfig, spool: Spool, notices: Notices) -> StreamingServer:
    ae = _ListenerAE(config.ae_title)
    ae.require_called_aet = config.check_called_ae_title
    ae.require_calling_aet = list(config.calling_ae_titles)
    ae.maximum_associations = config.max_associations
    ae.maximum_pdu_size = config.max_pdu_bytes
    ae.network_timeout = config.network_timeout_s
    ae.acse_timeout = min(config.association_within_s, config.network_timeout_s)
    ae.dimse_timeout = config.network_timeout_s
    ae.add_supported_context(Verification)
    for sop_class in STORAGE_CLASSES:
        ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
    server = cast(
        StreamingServer,
        ae.make_server(
            (config.host, config.port),
            evt_handlers=[
                (evt.EVT_C_STORE, _store, [spool, notices]),
                (evt.EVT_CONN_CLOSE, _connection_closed),
                (evt.EVT_REJECTED, _log_refusal),
            ],
            server_class=StreamingServer,
            request_handler=StreamingHandler,
        ),
    )
    server.spool, server.timeout_s = spool, config.network_timeout_s
    server.association_within_s = config.association_within_s
    return server


def _stop(server: StreamingServer, within_s: float) -> None:
    """Take no more connections, let running transfers end for a while, then cut the rest."""
    BaseServer.shutdown(server)
    server.server_close()
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and any(
        assoc.dimse.is_receiving() for assoc in server.active_associations
    ):
        time.sleep(0.02)
    for assoc in server.active_associations:
        if not assoc.is_established:
            assoc.dul.to_user_queue.put(None)  # it waits for an association request: wait no more
        assoc.abort()
        assoc.join(within_s)


def _store(event: Any, spool: Spool, notices: Notices) -> int:
    """Status of a C-STORE request whose data set has arrived."""
    sink = event.request.DataSet
    try:
        status, stored = _publish(sink, event, spool)
    except OSError as error:
        log.error("spool_failed", error=error)
        status, stored = StorageStatus.OUT_OF_RESOURCES, None
    except Exception as error:
        # The association handler: whatever this object did, the peer gets an answer.
        log.error("store_failed", error=error)
        status, stored = StorageStatus.PROCESSING_FAILURE, None
    finally:
        if isinstance(sink, DataSetSink):
            sink.close()
    _log_outcome(event, status, stored)
    if stored is not None:
        notices.put(stored)
    return int(status)


def _publish(sink: Any, event: Any, spool: Spool) -> tuple[StorageStatus, StoredInstance | None]:
    if not isinstance(sink, DataSetSink):
        return StorageStatus.CANNOT_UNDERSTAND, None
    if sink.incoming is None:
        return sink.status or StorageStatus.CANNOT_UNDERSTAND, None
    status, identity = _identify(sink.incoming, sink.offset, event)
    if identity is None:
        return status, None
    return StorageStatus.SUCCESS, spool.publish(sink.incoming, identity)


def _identify(incoming: Incoming, offset: int, event: Any) -> tuple[StorageStatus, Identity | None]:
    """The data set's identity when it agrees with the command, else the status for the refusal.

    A refused object is not kept: by the status the sender knows that it must keep it.
    """
    try:
        with incoming.path.open("rb") as file:
            file.seek(offset)
            identity = read_identity(file, event.context.transfer_syntax)
    except NotProcessable:
        return StorageStatus.CANNOT_UNDERSTAND, None
    if not (is_valid_uid(identity.study_instance_uid) and is_valid_uid(identity.sop_instance_uid)):
        return StorageStatus.CANNOT_UNDERSTAND, None
    request = event.request
    command = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
    if command != (identity.sop_class_uid, identity.sop_instance_uid):
        return StorageStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, None
    return StorageStatus.SUCCESS, identity


def _log_outcome(event: Any, status: StorageStatus, stored: StoredInstance | None) -> None:
    if stored is None:
        instance = hashed(str(event.request.AffectedSOPInstanceUID))
        log.warning("instance_refused", instance=instance, status=status.name)
    else:
        log.info(
            "instance_received", study=stored.study_key, instance=stored.instance_key,
            outcome=stored.received.value, bytes=stored.n_bytes, status=status.name,
            transfer_syntax=str(event.context.transfer_syntax),
        )  # fmt: skip


def _connection_closed(event: Any) -> None:
    if isinstance(event.assoc.dimse, StreamingProvider):
        event.assoc.dimse.connection_closed()


def _log_refusal(event: Any) -> None:
    log.warning("association_refused", calling_ae=str(event.assoc.requestor.ae_title))

"""The DICOM listener: Verification and Storage SCP (DICOM PS3.4 annexes A and B).

Data sets go to the spool byte for byte as they came; nothing is decoded or converted. The tables
name what is taken: storage SOP classes (PS3.4 B.5) and transfer syntaxes (PS3.5).
"""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import Full, Queue

from pydicom import uid

from cadnode.errors import NotProcessable, SettingsError
from cadnode.log import get_logger, hashed
from cadnode.receive import commitment_data
from cadnode.receive.acceptor import Acceptor, Door
from cadnode.receive.admission import AllowedPeer, AllowedPeers, Network, PlaceLimits
from cadnode.receive.association import Service
from cadnode.receive.command import DimseRequest
from cadnode.receive.commitment import CommitmentService
from cadnode.receive.connections import Limits, provide_descriptors
from cadnode.receive.identity import InstanceIdentity, is_valid_uid, read_identity
from cadnode.receive.notes import Notes
from cadnode.receive.pdu import Context
from cadnode.receive.spool import Incoming, Received, Spool, StoredInstance
from cadnode.receive.stream import DataSetSink, StorageStatus
from cadnode.receive.wire import Patience
from cadnode.receive.witness import Witness
from cadnode.tls import Reloaded, TlsFiles, server_context

VERIFICATION = "1.2.840.10008.1.1"
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
# Verification needs no transfer syntax in particular; PS3.5 10.1: Implicit VR is the default.
_VERIFICATION_SYNTAXES: tuple[str, ...] = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
)

log = get_logger("receive")

OnInstance = Callable[[StoredInstance], None]
SetAside = Callable[[DimseRequest, InstanceIdentity, Incoming], StoredInstance | None]
"""Takes a C-STORE that the node itself asked for as a prior exam; None: it is none of these."""


_MOST_NOTICES = 10_000
MAX_PDU_BYTES = 1 << 20  # offered to peers; DCMTK takes 128 KiB of it at most


@dataclass(frozen=True, slots=True)
class ScpConfig:
    """How to listen. Port 0 takes any free one; no peers and no calling AE titles mean any.

    Connections from `proxies` begin with a header of the PROXY protocol (`receive.proxied`).

    With `tls` also on `tls_port`, and on `port` only where `in_clear`.
    """

    ae_title: str = "CADNODE"
    host: str = "127.0.0.1"
    port: int = 11112
    in_clear: bool = True
    tls: TlsFiles | None = None
    tls_port: int = 2762
    peers: tuple[AllowedPeer, ...] = ()
    calling_ae_titles: tuple[str, ...] = ()
    proxies: tuple[Network, ...] = ()
    check_called_ae_title: bool = False
    max_associations: int = 20
    max_associations_per_address: int = 0  # 0: three quarters of `max_associations`
    max_connections: int = 500
    network_timeout_s: float = 60.0
    association_within_s: float = 10.0
    least_bytes_per_s: float = 10_000.0
    max_pdu_bytes: int = MAX_PDU_BYTES
    stop_within_s: float = 10.0

    @property
    def allowed(self) -> AllowedPeers:
        """Who may open an association."""
        called = self.ae_title if self.check_called_ae_title else ""
        return AllowedPeers(self.peers, self.calling_ae_titles, called)

    @property
    def patience(self) -> Patience:
        """How long peers may take."""
        return Patience(
            silence_s=self.network_timeout_s,
            begun_s=self.network_timeout_s,
            bytes_per_s=self.least_bytes_per_s,
            answer_s=min(30.0, self.network_timeout_s),
        )

    @property
    def limits(self) -> Limits:
        """How many peers there may be. A quarter of the places is for others than the greediest."""
        share = self.max_associations_per_address or (
            self.max_associations - self.max_associations // 4
        )
        return Limits(
            connections=self.max_connections,
            connections_per_address=max(1, self.max_connections // 2),
            associations=PlaceLimits(self.max_associations, share),
            request_within_s=min(self.association_within_s, self.network_timeout_s),
            proxies=self.proxies,
        )


@dataclass(frozen=True, slots=True)
class Listener:
    """A running listener; a port is 0 where it is not listened on.

    `problem` says why it still shows an older certificate than its files hold; "" when it does not.
    `retire` has it accept nobody more while every association goes on; `is_done`: they have ended.
    `sockets` are what it listens on, by host and port as configured.
    """

    port: int
    tls_port: int = 0
    problem: Callable[[], str] = lambda: ""
    retire: Callable[[], None] = lambda: None
    is_done: Callable[[], bool] = lambda: True
    sockets: Mapping[tuple[str, int], socket.socket] = field(default_factory=dict)


class Notices:
    """Calls `on_instance` for each instance put, in order, in a thread of its own.

    Where that cannot keep up, some are left out: a notice is a hint, the spool is the truth.
    """

    def __init__(self, on_instance: Callable[[StoredInstance], None]) -> None:
        self._on_instance = on_instance
        self._queue: Queue[StoredInstance | None] = Queue(_MOST_NOTICES)
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def put(self, stored: StoredInstance) -> None:
        """Announce `stored` soon; returns at once."""
        try:
            self._queue.put_nowait(stored)
        except Full:
            log.warning("notice_left_out", study=stored.study_key)

    def close(self) -> None:
        """Return once every instance in the queue was announced."""
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
    commitment: CommitmentService | None = None,
    witness: Witness | None = None,
    set_aside: SetAside | None = None,
    takes_over: Listener | None = None,
) -> Iterator[Listener]:
    """A listener for the length of the `with` block; with `commitment` it offers that, too.

    A `witness` hears who sent which study, and who was refused. What `set_aside` takes is not put
    into the spool, and nobody is told of it.

    `on_instance` is called after an instance was published, in a thread of its own; `alive` by
    the loop that accepts connections, ten times a second for as long as it does. At the end
    no new association is taken, instances on their way may arrive for `stop_within_s` seconds,
    and every notice is given.

    One that `takes_over` listens on the sockets of another, so far as host and port are the same:
    whoever connects meanwhile waits for it, and is not refused.

    Raises
    ------
    SettingsError
        An address cannot be listened on, or a file of TLS cannot be used.
    """
    certificates = None if config.tls is None else Reloaded(config.tls, server_context)
    inherited = {} if takes_over is None else takes_over.sockets
    in_clear = None
    if config.in_clear or not certificates:
        in_clear = _door(config.host, config.port, inherited)
    secure = None
    if certificates is not None:
        try:
            secure = _door(config.host, config.tls_port, inherited, certificates.current)
        except SettingsError:
            if in_clear is not None:
                in_clear.listening.close()
            raise
    removed = spool.clear_incoming() if takes_over is None else 0
    notices = Notices(on_instance)
    acceptor = Acceptor(
        [door for door in (in_clear, secure) if door is not None], config.allowed,
        provide_descriptors(config.limits),
        _service(config, spool, notices, commitment, Notes(witness=witness), set_aside), alive,
    )  # fmt: skip
    listening = {(config.host, config.port): in_clear, (config.host, config.tls_port): secure}
    listener = Listener(
        _port_of(in_clear), _port_of(secure), lambda: _problem_of(certificates), acceptor.retire,
        lambda: acceptor.is_done, {at: door.listening for at, door in listening.items() if door},
    )  # fmt: skip
    acceptor.start()
    port = listener.port or listener.tls_port
    log.info("listener_started", port=port, ae_title=config.ae_title, count=removed)
    try:
        yield listener
    finally:
        acceptor.stop(config.stop_within_s)
        notices.close()
        log.info("listener_stopped", port=port)


def _problem_of(certificates: Reloaded | None) -> str:
    if certificates is None:
        return ""
    certificates.current()  # also while nobody connects
    return certificates.problem


def _door(
    host: str,
    port: int,
    inherited: Mapping[tuple[str, int], socket.socket],
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> Door:
    try:
        there = inherited.get((host, port))
        return Door(there.dup() if there is not None else _listening(host, port), tls)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"cannot listen on {host}:{port}: {reason}") from error


def _port_of(door: Door | None) -> int:
    return 0 if door is None else int(door.listening.getsockname()[1])


def _listening(host: str, port: int) -> socket.socket:
    """A bound socket; of a name's addresses the first IPv4 one, if there is any."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
    except OSError:
        listening.close()
        raise
    return listening


def _service(
    config: ScpConfig,
    spool: Spool,
    notices: Notices,
    commitment: CommitmentService | None,
    notes: Notes,
    set_aside: SetAside | None,
) -> Service:
    supported = {str(one): TRANSFER_SYNTAXES for one in STORAGE_CLASSES}
    if commitment is not None:
        supported[commitment_data.PUSH_MODEL] = commitment_data.TRANSFER_SYNTAXES
    return Service(
        spool=spool,
        store=partial(
            _store, spool=spool, announce=_announcing(notices, commitment), set_aside=set_aside
        ),
        supported={VERIFICATION: _VERIFICATION_SYNTAXES} | supported,
        patience=config.patience,
        max_pdu_bytes=config.max_pdu_bytes,
        notes=notes,
        commitment=commitment,
    )


def _announcing(notices: Notices, commitment: CommitmentService | None) -> OnInstance:
    """What is done with an instance before its sender hears of it; returns at once."""
    if commitment is None:
        return notices.put
    note = commitment.holdings.note

    def announce(stored: StoredInstance) -> None:
        note(stored)
        notices.put(stored)

    return announce


def _store(
    request: DimseRequest, context: Context, sink: DataSetSink, *, spool: Spool,
    announce: OnInstance, set_aside: SetAside | None = None,
) -> int:  # fmt: skip
    """Status of a C-STORE request whose data set has arrived."""
    try:
        status, stored = _publish(request, context, sink, spool, set_aside)
    except OSError as error:
        log.error("spool_failed", error=error)
        status, stored = StorageStatus.OUT_OF_RESOURCES, None
    except Exception as error:
        # The association handler: whatever this object did, the peer gets an answer.
        log.error("store_failed", error=error)
        status, stored = StorageStatus.PROCESSING_FAILURE, None
    finally:
        sink.close()
    _log_outcome(request, context, status, stored)
    sink.stored = stored
    if stored is not None and stored.received is not Received.ASIDE:
        announce(stored)
    return int(status)


def _publish(
    request: DimseRequest, context: Context, sink: DataSetSink, spool: Spool,
    set_aside: SetAside | None,
) -> tuple[StorageStatus, StoredInstance | None]:  # fmt: skip
    if sink.incoming is None:
        return sink.status, None
    status, identity = _identify(sink.incoming, sink.offset, request, context)
    if identity is None:
        return status, None
    if set_aside is not None and (aside := set_aside(request, identity, sink.incoming)):
        return StorageStatus.SUCCESS, aside
    return StorageStatus.SUCCESS, spool.publish(sink.incoming, identity)


def _identify(
    incoming: Incoming, offset: int, request: DimseRequest, context: Context
) -> tuple[StorageStatus, InstanceIdentity | None]:
    """The data set's identity when it agrees with the command, else the status for the refusal.

    A refused object is not kept: by the status the sender knows that it must keep it.
    """
    try:
        with incoming.path.open("rb") as file:
            file.seek(offset)
            identity = read_identity(file, context.transfer_syntax)
    except NotProcessable:
        return StorageStatus.CANNOT_UNDERSTAND, None
    if not (is_valid_uid(identity.study_instance_uid) and is_valid_uid(identity.sop_instance_uid)):
        return StorageStatus.CANNOT_UNDERSTAND, None
    command = (request.sop_class_uid, request.sop_instance_uid)
    if command != (identity.sop_class_uid, identity.sop_instance_uid):
        return StorageStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, None
    return StorageStatus.SUCCESS, identity


def _log_outcome(
    request: DimseRequest, context: Context, status: StorageStatus, stored: StoredInstance | None
) -> None:
    if stored is None:
        instance = hashed(request.sop_instance_uid)
        log.warning("instance_refused", instance=instance, status=status.name)
    else:
        log.info(
            "instance_received", study=stored.study_key, instance=stored.instance_key,
            outcome=stored.received.value, bytes=stored.n_bytes, status=status.name,
            transfer_syntax=context.transfer_syntax,
        )  # fmt: skip

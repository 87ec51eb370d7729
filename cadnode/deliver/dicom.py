"""C-STORE and C-ECHO to a named peer (DICOM PS3.4 annexes A and B).

Objects go in the transfer syntax in which they are stored: nothing is decoded or converted. Of an
object that the peer has already (0111) it is asked, by C-FIND, whether its copy is ours.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, _config
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification

from cadnode.association_failures import AssociationFailure
from cadnode.deliver.answers import NOT_ACCEPTED, of_failure
from cadnode.deliver.associations import QueuedObject, items_of, plan
from cadnode.deliver.held import PeerCopy, judged, sent
from cadnode.deliver.outcome import Delivered, DeliveryOutcome, RefusedObject, all_taken, outcome_of
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.deliver.query import CONTEXTS, NoAnswer, copy_of
from cadnode.deliver.transport import Transport
from cadnode.errors import (
    DeliveryError,
    PermanentDeliveryError,
    SettingsError,
    TransientDeliveryError,
    not_taken,
)
from cadnode.identity.secret_file import first_line
from cadnode.log import get_logger
from cadnode.settings import Destination
from cadnode.tls import TlsFiles

log = get_logger("deliver")

OnFile = Callable[[Path], None]
OnRefusal = Callable[[Path, str], None]


@dataclass(frozen=True, slots=True)
class DicomPeer:
    """A DICOM peer that takes objects.

    `query_host`, `query_port` and `query_ae_title` name the peer that answers C-FIND for it, where
    that is another; `commit_ae_title` is what it is called for storage commitment. With `tls` all
    are spoken to by TLS; `tls_name` is the name in the certificate where that is not the host. A
    `username` is shown with the first line of `password_file` (user identity negotiation, PS3.7
    D.3.3.7).
    """

    name: str
    host: str
    port: int
    ae_title: str
    calling_ae_title: str = "CADNODE"
    timeout_s: float = 30.0
    query_host: str = ""
    query_port: int = 0
    query_ae_title: str = ""
    commit_ae_title: str = ""
    tls: TlsFiles | None = None
    tls_name: str = ""
    username: str = ""
    password_file: Path | None = None

    @property
    def for_queries(self) -> "DicomPeer":
        """The peer that answers C-FIND."""
        return replace(
            self,
            host=self.query_host or self.host,
            port=self.query_port or self.port,
            ae_title=self.query_ae_title or self.ae_title,
        )

    @property
    def for_commitment(self) -> "DicomPeer":
        """The peer that is asked to commit."""
        return replace(self, ae_title=self.commit_ae_title or self.ae_title)


class DicomKind:
    """Destinations of kind `dicom`: Storage SCPs."""

    takes = Takes.OBJECTS
    serial = False
    needs = ("host", "port", "ae_title")
    advice = "is it running, is the port right, and does it know this node's AE title?"

    def where(self, destination: Destination) -> str:
        """Its AE title, host and port."""
        return f"{destination.ae_title} at {destination.host}:{destination.port}"

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        """That it answered C-ECHO."""
        echo(peer_of(destination, calling_ae_title))
        return "answered C-ECHO"

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        """The exam's objects by C-STORE."""
        return send(outgoing.files, peer_of(destination, calling_ae_title))


def peer_of(destination: Destination, calling_ae_title: str) -> DicomPeer:
    """The C-STORE peer that a destination names. Raises `SettingsError` when it is none."""
    if destination.port is None or destination.ae_title is None:
        raise SettingsError(f"destination {destination.name!r} is not a DICOM peer")
    return DicomPeer(
        name=destination.name,
        host=destination.host,
        port=destination.port,
        ae_title=destination.ae_title,
        calling_ae_title=destination.calling_ae_title or calling_ae_title,
        timeout_s=destination.timeout_s,
        query_host=destination.query_host,
        query_port=destination.query_port or 0,
        query_ae_title=destination.query_ae_title or "",
        commit_ae_title=destination.commit_ae_title or "",
        tls=destination.tls_files,
        tls_name=destination.tls_name,
        username=destination.username,
        password_file=destination.password_file,
    )


def send(
    files: Sequence[Path],
    destination: DicomPeer,
    on_file: OnFile = lambda path: None,
    on_refusal: OnRefusal = lambda path, reason: None,
) -> Delivered:
    """What the peer took: every file, sent over as few associations as contexts allow.

    `on_file` is called after each file the peer took, `on_refusal` after each that it refused,
    with the reason. Files that it refuses do not keep it from the others; the error comes after
    the last. A file that it has already counts as taken when its copy is ours, or when it is not
    to be asked by C-FIND (`Delivered.n_unverified`).

    Raises
    ------
    TransientDeliveryError
        The peer cannot be reached, is busy or went away: nothing further was sent; or it is out of
        resources for some of the files; or it has some already and does not answer now whose they
        are. All of it may be sent again.
    PermanentDeliveryError
        The peer refuses the association, or some of the files (`PassingRefusal`: for a cause that
        can pass), or a file is not DICOM, or the peer holds another object under a file's UID.
    """
    items, refusals = items_of(files)
    duplicates: list[Path] = []
    n_sent = n_warnings = 0
    for contexts, batch in plan(items):
        with associated(destination, contexts) as assoc:
            for item in batch:
                outcome = _send_one(assoc, item, destination)
                if outcome.refusal:
                    refusals.append(RefusedObject(outcome.refusal, outcome.again))
                    on_refusal(item.path, outcome.refusal)
                    continue
                if outcome.is_duplicate:
                    duplicates.append(item.path)
                    continue
                n_sent += 1
                n_warnings += outcome.is_warning
                on_file(item.path)
    copies = _held(duplicates, destination) if duplicates else []
    for path, copy in zip(duplicates, copies, strict=True):
        if copy is not PeerCopy.ANOTHER:
            n_sent, n_warnings = n_sent + 1, n_warnings + 1
            on_file(path)
        else:
            on_refusal(path, "holds another object under its UID")
    others, n_unverified = judged(copies, destination.name)
    log.info("files_sent", destination=destination.name, count=n_sent)
    return all_taken(n_sent, n_warnings, [*refusals, *others], destination.name, n_unverified)


def echo(destination: DicomPeer) -> None:
    """Return when the peer answers C-ECHO with success.

    Raises
    ------
    TransientDeliveryError
        It cannot be reached or does not answer.
    PermanentDeliveryError
        It refuses the association or verification.
    """
    with associated(destination, [(str(Verification), "1.2.840.10008.1.2")]) as assoc:
        if not assoc.accepted_contexts:
            raise not_taken(NOT_ACCEPTED, f"{destination.name} does not take C-ECHO")
        status = assoc.send_c_echo().get("Status")
        if status is None:
            raise TransientDeliveryError(f"{destination.name} did not answer C-ECHO")
        if status != 0:
            raise PermanentDeliveryError(f"{destination.name} answered C-ECHO with {status:04X}")


def _held(files: Sequence[Path], destination: DicomPeer) -> list[PeerCopy]:
    """What the peer's copies of these files are; unknown where it is not to be asked by C-FIND.

    Raises
    ------
    TransientDeliveryError
        It may answer later.
    """
    ours = [sent(file) for file in files]
    try:
        try:
            return _queried(ours, destination)
        except NoAnswer:  # a peer may hang up on a query for a sequence
            return _queried(ours, destination, with_equipment=False)
    except TransientDeliveryError as error:
        text = f"{destination.name} has objects of these UIDs; whose they are is open: {error}"
        raise TransientDeliveryError(text) from error
    except DeliveryError:
        return [PeerCopy.UNKNOWN] * len(files)


def _queried(
    ours: Iterable[Dataset], destination: DicomPeer, *, with_equipment: bool = True
) -> list[PeerCopy]:
    with associated(destination.for_queries, CONTEXTS) as assoc:
        return [copy_of(assoc, ds, with_equipment=with_equipment) for ds in ours]


def _send_one(assoc: Any, item: QueuedObject, destination: DicomPeer) -> DeliveryOutcome:
    if not assoc.is_established:
        raise TransientDeliveryError(f"{destination.name} ended the association")
    if (item.sop_class_uid, item.transfer_syntax_uid) not in {
        (cx.abstract_syntax, cx.transfer_syntax[0]) for cx in assoc.accepted_contexts
    }:
        return DeliveryOutcome(f"does not accept {item.describe()}", again=NOT_ACCEPTED)
    try:
        answer = assoc.send_c_store(item.path)
    except (RuntimeError, OSError) as error:
        raise TransientDeliveryError(f"sending to {destination.name} failed") from error
    return outcome_of(answer.get("Status"), destination.name)


@contextmanager
def associated(
    destination: DicomPeer, contexts: Sequence[tuple[str, str]], **negotiation: Any
) -> Iterator[Any]:
    """An established association; released at the end, aborted after an error.

    `negotiation` are further arguments of pynetdicom's `AE.associate`.
    """
    _config.LOG_HANDLER_LEVEL = "none"  # pynetdicom would log each PDU, and identifiers with it
    _config.STORE_SEND_CHUNKED_DATASET = True  # files are read piecewise and sent as they are
    try:
        server = destination.tls_name or destination.host
        transport = Transport(destination.name, server, destination.tls)
        extended = [*negotiation.pop("ext_neg", ()), *_user_identity(destination)]
    except SettingsError as error:
        raise not_taken(NOT_ACCEPTED, f"{destination.name}: {error}") from None
    ae = AE(destination.calling_ae_title)
    ae.connection_timeout = destination.timeout_s
    ae.acse_timeout = destination.timeout_s
    ae.dimse_timeout = destination.timeout_s
    ae.network_timeout = destination.timeout_s
    for sop_class_uid, transfer_syntax_uid in contexts:
        ae.add_requested_context(sop_class_uid, transfer_syntax_uid)
    try:
        assoc = ae.associate(
            destination.host, destination.port, ae_title=destination.ae_title, max_pdu=0,
            tls_args=(transport, ""), ext_neg=extended, **negotiation,
        )  # fmt: skip
    except OSError as error:  # the host's name has no address
        raise of_failure(AssociationFailure.UNKNOWN_HOST, destination.name) from error
    if not assoc.is_established:
        transport.close()
        raise transport.problem(assoc)
    try:
        yield assoc
        assoc.release()
    except BaseException:
        assoc.abort()
        raise
    finally:
        transport.close()


def _user_identity(destination: DicomPeer) -> list[UserIdentityNegotiation]:
    """Read at every association, so that a changed passcode is used at the next try.

    Raises
    ------
    SettingsError
        The file cannot be used.
    """
    if destination.password_file is None:
        return []
    item = UserIdentityNegotiation()
    item.user_identity_type = 2  # user and passcode
    item.positive_response_requested = False
    item.primary_field = destination.username.encode()
    item.secondary_field = first_line(
        destination.password_file, "password_file", "it holds the passcode"
    ).encode()
    return [item]

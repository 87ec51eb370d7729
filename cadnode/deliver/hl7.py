"""An HL7 v2 message to a listener by MLLP: sent, acknowledged, and what the acknowledgement means.

HL7 v2.5.1 chapter 2.9 (acknowledgements, original and enhanced mode), table 0008 (MSA-1), table
0357 (ERR-3), table 0211 (character sets); "Minimal Lower Layer Protocol", release 1, for the bytes
around a message. What the listener writes beside its codes is not repeated: it may name a patient.
"""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hl7apy.core import Message
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from hl7apy.v2_5_1 import ST
from pydicom.sr.coding import Code

from cadnode.association_failures import WE_CALL, of_connecting
from cadnode.deliver.answers import NEVER, SLOWLY, SOON, of_tls
from cadnode.deliver.outcome import Delivered
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.errors import Again, PermanentDeliveryError, SettingsError, not_taken
from cadnode.log import get_logger
from cadnode.settings import Destination
from cadnode.tls import client_context

log = get_logger("deliver")

BEGIN, END = b"\x0b", b"\x1c\r"
_MOST_ANSWER_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 64 << 10
PAGE: Final = Code("READING_PAGE", "99CADNODE", "Page of this reading")

CHARACTER_SETS: Final[Mapping[str, str]] = {
    "UNICODE UTF-8": "utf-8", "ASCII": "ascii", "8859/1": "iso8859-1", "8859/2": "iso8859-2",
    "8859/5": "iso8859-5", "8859/7": "iso8859-7", "8859/9": "iso8859-9", "8859/15": "iso8859-15",
}  # fmt: skip
"""Table 0211, as far as one encoding has all of it, and the codec of each."""

_TAKEN: Final = frozenset({"AA", "CA"})
_ERRORS: Final[Mapping[str, tuple[str, Again]]] = {
    "100": ("segment sequence error", NEVER),
    "101": ("required field missing", NEVER),
    "102": ("data type error", NEVER),
    "103": ("table value not found", NEVER),
    "200": ("unsupported message type", SLOWLY),
    "201": ("unsupported event code", SLOWLY),
    "202": ("unsupported processing id", SLOWLY),
    "203": ("unsupported version id", SLOWLY),
    "204": ("unknown key identifier", SLOWLY),
    "206": ("application record locked", SOON),
    "207": ("application internal error", SOON),
}
"""Table 0357: the order or the patient may be entered there later (204), what is locked is free."""
_DUPLICATE: Final = "205"
_WORDS: Final = {"AE": "an error", "CE": "an error", "AR": "a rejection", "CR": "a rejection"}


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """MSA-1, MSA-2 and the code of ERR-3 ("" without one)."""

    code: str
    control_id: str
    error: str = ""


class Hl7Kind:
    """Destinations of kind `hl7`: listeners of a RIS, a hospital system or an interface engine."""

    takes = Takes.MESSAGE
    serial = True  # a feed: what is read later arrives later
    needs = ("host", "port")
    advice = "is its MLLP listener running, and are host and port right?"

    def where(self, destination: Destination) -> str:
        """Its host and port."""
        return f"{destination.host}:{destination.port}"

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        """That it takes a connection: HL7 has no question without consequences."""
        with _connected(destination):
            return "takes connections by TLS" if destination.tls else "takes connections"

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        """The exam's message, which the listener has acknowledged."""
        (path,) = outgoing.files
        message = addressed(path, destination, outgoing.place.split("/")[0])
        codec = CHARACTER_SETS[destination.character_set]
        data = message.to_er7().encode(codec, "replace")
        with _connected(destination) as connection:
            answer = _exchange(connection, data, destination)
        delivered = outcome(answer, message.msh.msh_10.to_er7(), destination.name)
        log.info("files_sent", destination=destination.name, count=delivered.n_sent)
        return delivered


def addressed(path: Path, destination: Destination, study: str) -> Message:
    """The message with who sends it to whom, in which character set, and a link to the page.

    Raises
    ------
    OSError
        The file cannot be read.
    PermanentDeliveryError
        It is no message.
    """
    try:
        message = parse_message(path.read_bytes().decode(), find_groups=True)
        msh = message.msh
        msh.msh_3, msh.msh_4 = destination.sending_application, destination.sending_facility
        msh.msh_5, msh.msh_6 = destination.receiving_application, destination.receiving_facility
        msh.msh_11 = destination.processing_id
        if destination.character_set != "ASCII":
            msh.msh_18 = destination.character_set
        if destination.link_url is not None:
            add_link(message, f"{destination.link_url}/studies/{study}")
        return message
    except (HL7apyException, ValueError, AttributeError) as error:
        kind = type(error).__name__
        raise PermanentDeliveryError(f"the HL7 message cannot be used ({kind})") from None


def add_link(message: Message, address: str) -> None:
    """A row (OBX, RP: pointer, application, type of data, subtype) that leads to a page."""
    order = message.oru_r01_patient_result.oru_r01_order_observation
    count = len(order.children.get("oru_r01_observation"))
    row: Any = order.add_group("oru_r01_observation").obx
    row.obx_1, row.obx_2 = str(count + 1), "RP"
    row.obx_3 = f"{PAGE.value}^{PAGE.meaning}^{PAGE.scheme_designator}"
    row.obx_4, row.obx_11 = "exam", "P"
    row.obx_5 = f"{ST(address).to_er7()}^cadnode^TEXT^HTML"


_HINT: Final = "its log names what it did not take; the order may have to be entered there first"


def outcome(answer: Acknowledgement, control_id: str, name: str) -> Delivered:
    """What became of the message, by its acknowledgement.

    Raises
    ------
    DeliveryError
        It was not taken: of the class that the code of the error has.
    """
    if answer.control_id != control_id:
        raise not_taken(SOON, f"{name} acknowledged another message than the one that was sent")
    if answer.code in _TAKEN:
        return Delivered(1, 0)
    if answer.error == _DUPLICATE:  # an earlier try's, as far as can be known
        return Delivered(1, 1, n_unverified=1)
    words, again = _ERRORS.get(answer.error, ("", SLOWLY))
    how = _WORDS.get(answer.code)
    if how is None:
        raise not_taken(SLOWLY, f"{name} did not acknowledge as an HL7 listener does")
    why = f", {answer.error} {words}" if words else ""
    raise not_taken(again, f"{name} answered {how} ({answer.code}{why})", _HINT)


def acknowledgement(data: bytes) -> Acknowledgement | None:
    """The acknowledgement in an answer; None when it is none.

    Read by its delimiters (MSH-1 and MSH-2) alone: a listener may answer in a version of its own.
    """
    text = data.decode("ascii", "replace")
    segments = [one for one in text.replace("\n", "\r").split("\r") if one]
    if not segments or not segments[0].startswith("MSH") or len(segments[0]) < 8:
        return None
    field, component = segments[0][3], segments[0][4]
    rows = {one[:3]: one.split(field) for one in reversed(segments)}
    msa = rows.get("MSA", [])
    if len(msa) < 3:
        return None
    err = rows.get("ERR", [])
    error = err[3].split(component)[0] if len(err) > 3 else ""
    if not error and len(err) > 1:  # before version 2.5: the code is the last part of ERR-1
        error = next((c for c in reversed(err[1].split(component)) if c[:3].isdigit()), "")
        error = error.split(segments[0][7])[0] if len(segments[0]) > 7 else error
    return Acknowledgement(msa[1].strip(), msa[2].strip(), error.strip())


@contextmanager
def _connected(destination: Destination) -> Iterator[socket.socket]:
    """A connection with a listener, by TLS where that is wanted. Raises `DeliveryError`."""
    name, where = destination.name, (destination.host, destination.port or 0)
    try:
        files = destination.tls_files
        context = None if files is None else client_context(files)
    except SettingsError as error:
        raise not_taken(SLOWLY, f"{name}: {error}") from None
    try:
        plain = socket.create_connection(where, destination.timeout_s)
    except OSError as error:
        told = WE_CALL[of_connecting(error)]
        raise not_taken(SOON, f"{name} {told.words}", told.hint) from None
    with plain:
        if context is None:
            yield plain
            return
        server = destination.tls_name or destination.host
        try:
            secure = context.wrap_socket(plain, server_hostname=server)
        except OSError as error:
            raise of_tls(error, name) from None
        with secure:
            yield secure


def _exchange(
    connection: socket.socket, message: bytes, destination: Destination
) -> Acknowledgement:
    """Send a message and wait for its acknowledgement. Raises `DeliveryError`."""
    name, answer = destination.name, b""
    try:
        connection.sendall(BEGIN + message + END)
        ends_at = time.monotonic() + destination.timeout_s
        while not answer.rstrip(b"\r").endswith(b"\x1c"):
            # For the whole answer, however it drips: the feed waits behind it.
            connection.settimeout(max(0.001, ends_at - time.monotonic()))
            piece = connection.recv(_PIECE_BYTES)
            if not piece:
                raise not_taken(SOON, f"{name} ended the connection without an acknowledgement")
            answer += piece
            if len(answer) > _MOST_ANSWER_BYTES:
                raise not_taken(SLOWLY, f"{name} did not acknowledge as an HL7 listener does")
    except TimeoutError:
        raise not_taken(SOON, f"{name} did not acknowledge in time") from None
    except OSError:
        raise not_taken(SOON, f"{name} ended the connection before it acknowledged") from None
    found = acknowledgement(answer.partition(BEGIN)[2].rpartition(b"\x1c")[0])
    if found is None:
        raise not_taken(SLOWLY, f"{name} did not acknowledge as an HL7 listener does")
    return found

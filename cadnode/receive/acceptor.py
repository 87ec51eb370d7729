"""The listener's loop: who connects, and what becomes of connections without an association.

One thread holds them all, however many there are: it accepts, reads the first PDU as it comes,
and starts an association only for a whole A-ASSOCIATE-RQ that may have one. What asks for nothing
costs a descriptor for a while, no thread and no place. Where there are too many, the oldest is
closed, of the address that has most: a newcomer is always heard.
"""

import errno
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from cadnode.association_failures import TLS_HANDSHAKE, AssociationFailure
from cadnode.log import get_logger
from cadnode.receive import pdu, secure
from cadnode.receive.admission import (
    VERIFICATIONS,
    AllowedPeers,
    AssociationPlace,
    Places,
    plain_address,
)
from cadnode.receive.association import Association, Service
from cadnode.receive.connections import Connection, Connections, ConnectionStage, Limits, Wish
from cadnode.receive.pdu import AbortSource, AssociateRequest, MalformedPdu, PduType, Rejection
from cadnode.receive.proxied import MOST_BYTES, MalformedProxyHeader, said_by_proxy
from cadnode.receive.secure import Peer, SecurePeer

_BACKLOG = 1024
_MOST_ENDING = 16  # threads of associations that gave way and have not ended yet
_TICK_S = 0.1
_LOOK_EVERY_S = 0.02
_PLACE_WITHIN_S = 2.0  # a newcomer waits for a place for so long before it is rejected
_LINGER_S = 2.0  # for the peer to read the last answer and close (the ARTIM timer, PS3.8 9.1.5)
_MOST_ACCEPTED_AT_ONCE = 64
_READ_BYTES = 64 << 10
# A message that brings less than 64 KiB in so long gives way to a peer that needs the place.
_STALLED_S, _STALLED_ECHO_S = 5.0, 0.5
_VERIFICATION = "1.2.840.10008.1.1"
_NO_MORE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
log = get_logger("receive")


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """A bound socket, and with which TLS who comes through it is spoken to; None: in clear."""

    listening: socket.socket
    tls: Callable[[], ssl.SSLContext] | None = None


class Acceptor:
    """The listener's loop. `start` and `stop` are called once each; `beat` at each turn of it."""

    def __init__(
        self,
        doors: Sequence[Door],
        peers: AllowedPeers,
        limits: Limits,
        service: Service,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._beat = beat
        self._doors = doors
        self._peers = peers
        self._limits = limits
        self._service = service
        self._storage = Places(limits.associations)
        self._verification = Places(VERIFICATIONS)
        self._connections = Connections(limits, self._close)
        self._waiting: dict[Connection, None] = {}  # for a place, the oldest first
        self._selector = selectors.DefaultSelector()
        self._returned: deque[tuple[Peer, str]] = deque()
        self._woken, self._wake = socket.socketpair()
        self._is_stopping = self._is_retiring = False
        self._accepts_from = self._looked_at = 0.0
        self._most_threads = limits.associations.in_all + VERIFICATIONS.in_all + _MOST_ENDING
        self._running: set[tuple[threading.Thread, Association]] = set()
        self._running_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        for door in self._doors:
            door.listening.setblocking(False)
            door.listening.listen(_BACKLOG)
            self._selector.register(door.listening, selectors.EVENT_READ, door)
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()

    def retire(self) -> None:
        """Accept nobody more; who has connected, and every association, goes on to its end."""
        self._is_retiring = True
        self._tell()

    @property
    def is_done(self) -> bool:
        """Whether it was retired, and nobody is left."""
        return self._is_retiring and not self._thread.is_alive() and not self._alive()

    def stop(self, within_s: float) -> None:
        """Take nothing more, let messages on their way arrive for a while, end the rest."""
        self._is_stopping = True
        self._tell()
        self._thread.join()
        deadline = time.monotonic() + within_s
        for _, association in self._alive():
            association.stop()
        while time.monotonic() < deadline and any(a.is_receiving for _, a in self._alive()):
            time.sleep(0.02)
        for _, association in self._alive():
            association.cut()
        for thread, _ in self._alive():
            thread.join(within_s)
        for peer, _ in self._returned:
            peer.close()
        self._woken.close()
        self._wake.close()

    def _alive(self) -> list[tuple[threading.Thread, Association]]:
        with self._running_lock:
            return list(self._running)

    # The loop

    def _run(self) -> None:
        try:
            while not self._is_stopping and not self._is_empty_and_retiring():
                try:
                    self._turn()
                    self._beat()
                except Exception as error:
                    # The loop: a listener that is silent for good is worse than any turn of it.
                    with suppress(OSError):  # the log's disk may be what is full
                        log.error("listener_failed", error=error)
                    time.sleep(_TICK_S)
        finally:
            for connection in self._connections:
                self._close(connection)
            self._selector.close()
            for door in self._doors:
                door.listening.close()

    def _is_empty_and_retiring(self) -> bool:
        if not self._is_retiring:
            return False
        for door in self._doors:
            with suppress(KeyError, ValueError):  # it is closed to newcomers already
                self._selector.unregister(door.listening)
        has_connections = next(iter(self._connections), None) is not None
        return not (has_connections or self._alive() or self._returned)

    def _turn(self) -> None:
        for key, _ in self._selector.select(_LOOK_EVERY_S if self._waiting else _TICK_S):
            if isinstance(key.data, Door):
                self._accept(key.data)
            elif key.fileobj is self._woken:
                self._take_back()
            else:
                self._guarded(self._read, key.data)
        self._look_at_the_clock()

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """A step with one connection; whatever happens, it ends that connection alone."""
        if connection not in self._connections:
            return  # closed in this turn, for another's sake
        try:
            step(connection)
        except OSError:
            self._close(connection)
        except MalformedPdu:
            self._refuse(connection, "malformed")
        except Exception as error:
            # The connection handler: the listener outlives whatever a peer sends.
            log.warning("connection_failed", error=error)
            self._close(connection)

    def _accept(self, door: Door) -> None:
        if time.monotonic() < self._accepts_from:
            time.sleep(_LOOK_EVERY_S)  # who waits to be accepted would keep the loop spinning
            return
        for _ in range(_MOST_ACCEPTED_AT_ONCE):
            try:
                peer, where = door.listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_MORE:
                    self._make_room_for_descriptors(error)
                    return
                continue  # it was gone before it was accepted
            address = plain_address(where[0])
            is_proxy = any(ip_address(address) in one for one in self._limits.proxies)
            if not is_proxy and not self._is_known(peer, address):
                continue
            try:
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                peer.close()
                continue
            if is_proxy:
                within_s = self._limits.request_within_s
                self._hold(peer, address, ConnectionStage.NAMED, within_s, door.tls)
            else:
                self._begin(peer, address, door.tls)

    def _is_known(self, peer: socket.socket, address: str) -> bool:
        """Whether somebody at this address may send; else the connection is closed."""
        if self._peers.is_known(address):
            return True
        peer.close()
        self._note(AssociationFailure.UNKNOWN_ADDRESS, address)
        return False

    def _begin(
        self, peer: socket.socket, address: str, tls: Callable[[], ssl.SSLContext] | None
    ) -> None:
        """Hold a connection of which it is known who it is."""
        within_s = self._limits.request_within_s
        if tls is None:
            self._hold(peer, address, ConnectionStage.ASKING, within_s)
        else:
            self._hold(SecurePeer(peer, tls()), address, ConnectionStage.SHAKING, within_s)

    def _make_room_for_descriptors(self, error: OSError) -> None:
        if self._service.notes.due("descriptors", ""):
            log.error("connection_failed", error=error, reason="descriptors")
        self._accepts_from = time.monotonic() + _TICK_S
        self._connections.make_room()

    def _hold(
        self,
        peer: Peer,
        address: str,
        stage: ConnectionStage,
        for_s: float,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        connection = Connection(peer, address, stage, time.monotonic() + for_s, tls=tls)
        self._connections.hold(connection)
        self._selector.register(peer, selectors.EVENT_READ, connection)

    # One connection

    def _read(self, connection: Connection) -> None:
        if connection.stage is ConnectionStage.LINGERING:
            if not secure.thrown_away(connection.peer, _READ_BYTES):
                self._close(connection)
        elif connection.stage is ConnectionStage.SHAKING:
            self._shake(connection)
        elif connection.stage is ConnectionStage.NAMED:
            self._take_name(connection)
        elif connection.stage is ConnectionStage.NAMELESS:
            self._take_nothing(connection)
        else:
            self._read_on(connection)

    def _take_name(self, connection: Connection) -> None:
        """Take a balancer's word for who connects, and go on as if that one had come itself."""
        peer, before = connection.peer, connection.received
        assert isinstance(peer, socket.socket)
        try:
            head = peer.recv(MOST_BYTES, socket.MSG_PEEK)
            named = said_by_proxy(bytes(before + head))
        except BlockingIOError:
            return
        except MalformedProxyHeader:
            self._refuse_nameless(connection)
            return
        if not head:
            self._close(connection)
        elif named is None:
            before += peer.recv(len(head))  # all of it is the header's: the selector may sleep
        else:
            peer.recv(named[1] - len(before))
            self._go_on_named(connection, peer, named[0])

    def _go_on_named(self, connection: Connection, peer: socket.socket, address: str) -> None:
        """Go on with a connection of this address; "": the balancer names nobody."""
        if not address:
            connection.stage = ConnectionStage.NAMELESS
            return
        self._selector.unregister(peer)
        self._connections.let_go(connection)
        if self._is_known(peer, address := plain_address(address)):
            self._begin(peer, address, connection.tls)

    def _take_nothing(self, connection: Connection) -> None:
        """End a connection of which nobody is named; where something comes, that is noted."""
        data = secure.received(connection.peer, 1)
        if data:
            self._refuse_nameless(connection)
        elif data is not None:
            self._close(connection)

    def _refuse_nameless(self, connection: Connection) -> None:
        self._note(AssociationFailure.NOT_NAMED, connection.address)
        self._close(connection)

    def _shake(self, connection: Connection) -> None:
        """A step of the TLS handshake; it ends in time or with the connection."""
        peer = connection.peer
        assert isinstance(peer, SecurePeer)
        try:
            goes_on, is_done = peer.pump(), peer.shake()
        except OSError as error:
            self._note(secure.reason_of(error), connection.address)
            self._close(connection)
            return
        if not goes_on:
            self._close(connection)
        elif is_done:
            connection.stage = ConnectionStage.ASKING
            self._read_all(connection)

    def _read_on(self, connection: Connection) -> None:
        peer = connection.peer
        if isinstance(peer, SecurePeer) and not peer.pump():
            self._close(connection)
        elif isinstance(peer, SecurePeer):
            self._read_all(connection)
        else:
            self._read_request(connection)

    def _read_all(self, connection: Connection) -> None:
        """Read until nothing more is decrypted: no selector hears of that."""
        while connection.stage is ConnectionStage.ASKING and self._read_request(connection):
            pass

    def _read_request(self, connection: Connection) -> bool:
        """Read a part of the request; False when there was nothing, or when it has ended."""
        received = connection.received
        wanted = _bytes_wanted(received)
        data = secure.received(connection.peer, min(wanted, _READ_BYTES))
        if not data:
            if data is not None:
                self._close(connection)
            return False
        received += data
        if len(received) == pdu.HEADER.size:
            self._judge_header(connection)
        elif not _bytes_wanted(received):
            self._judge_request(connection)
        self._connections.keep_the_memory(connection)
        return connection in self._connections

    def _judge_header(self, connection: Connection) -> None:
        kind, length = pdu.HEADER.unpack(connection.received)
        if kind == TLS_HANDSHAKE:
            self._note(AssociationFailure.TLS_IN_CLEAR, connection.address)
            self._linger(connection, pdu.abort(AbortSource.SERVICE_USER))
        elif kind == PduType.P_DATA_TF:
            self._refuse(connection, "no_association")
        elif kind != PduType.ASSOCIATE_RQ or length > pdu.MOST_REQUEST_BYTES:
            self._refuse(connection)
        elif not length:
            raise MalformedPdu

    def _judge_request(self, connection: Connection) -> None:
        request = pdu.associate_request(bytes(connection.received[pdu.HEADER.size :]))
        connection.received.clear()
        certificate = secure.certificate_of(connection.peer)
        rejection = self._peers.rejection(
            connection.address, request, certificate,
            by_tls=isinstance(connection.peer, SecurePeer),
        )  # fmt: skip
        if rejection is not None:
            self._reject(connection, request, rejection)
            return
        is_echo = all(p.abstract_syntax == _VERIFICATION for p in request.proposals)
        association = Association(
            connection.peer, connection.address, request, self._service,
            stalled_s=_STALLED_ECHO_S if is_echo else _STALLED_S,
            asked_who=self._peers.asks_who(connection.address, request.calling_ae_title),
        )  # fmt: skip
        places = self._verification if is_echo else self._storage
        connection.wish = wish = Wish(association, request, places)
        connection.stage = ConnectionStage.WAITING
        connection.ends_at = time.monotonic() + _PLACE_WITHIN_S
        self._selector.unregister(connection.peer)
        is_next = not any(one.wish and one.wish.places is places for one in self._waiting)
        self._waiting[connection] = None
        if is_next:
            self._seat(connection, wish)

    def _seat(self, connection: Connection, wish: Wish) -> bool:
        """Start the association if there is a place for it; whether there is."""
        if len(self._running) >= self._most_threads:
            return False
        association, places = wish.association, wish.places
        association.touch()
        place = places.take(connection.origin, association)
        if place is None:
            return False
        self._waiting.pop(connection, None)
        self._connections.let_go(connection)
        thread = threading.Thread(
            target=self._serve, args=(association, places, place, connection),
            name="association", daemon=True,
        )  # fmt: skip
        with self._running_lock:
            self._running.add((thread, association))
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            places.give_back(place)
            with self._running_lock:
                self._running.discard((thread, association))
            connection.peer.close()
            log.error("connection_failed", reason="threads")
        return True

    def _serve(
        self,
        association: Association,
        places: Places,
        place: AssociationPlace,
        connection: Connection,
    ) -> None:
        """An association's thread."""
        lingers = False
        try:
            connection.peer.setblocking(True)
            lingers = association.run()
        except Exception as error:
            # The association handler; what comes here is a line that the log could not take.
            with suppress(OSError):
                log.error("association_failed", error=error)
        finally:
            places.give_back(place)
            if lingers and not self._is_stopping:
                self._returned.append((connection.peer, connection.address))
            else:
                connection.peer.close()
            with self._running_lock:
                self._running.discard((threading.current_thread(), association))
            self._tell()

    def _reject(
        self, connection: Connection, request: AssociateRequest, rejection: Rejection
    ) -> None:
        title = request.calling_ae_title
        if count := self._service.notes.due(rejection.name, connection.address, title):
            log.warning(
                "association_refused", calling_ae=title,
                reason=rejection.name.value, peer=connection.address, count=count,
            )  # fmt: skip
        self._linger(connection, pdu.associate_rj(rejection))

    def _note(self, failure: AssociationFailure, address: str) -> None:
        """A line of the log on a connection that came to no association, where one is due."""
        if count := self._service.notes.due(failure, address):
            log.warning("connection_refused", reason=failure.value, peer=address, count=count)

    def _refuse(self, connection: Connection, reason: str = "") -> None:
        """Answer by A-ABORT what is no request for an association (AA-1 of PS3.8 9.2.3)."""
        address = connection.address
        if reason and (count := self._service.notes.due(reason, address)):
            log.warning("message_refused", reason=reason, peer=address, count=count)
        if not reason:  # a scan, or another protocol: no line of the log is worth it
            self._service.notes.witness.refused("no_request", address)
        self._linger(connection, pdu.abort(AbortSource.SERVICE_USER))

    def _linger(self, connection: Connection, answer: bytes) -> None:
        """Say the last word and wait for the peer to close; what it still sends is thrown away."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._selector.register(connection.peer, selectors.EVENT_READ, connection)
        connection.stage = ConnectionStage.LINGERING
        connection.ends_at = time.monotonic() + _LINGER_S
        connection.received.clear()
        try:
            connection.peer.send(answer)  # the first bytes that are sent: there is room for them
            secure.say_no_more(connection.peer)
        except OSError:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._connections.let_go(connection)
        self._waiting.pop(connection, None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.peer)
        connection.peer.close()

    # What comes back, and what takes too long

    def _tell(self) -> None:
        with suppress(OSError):
            self._wake.send(b"\0")

    def _take_back(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._returned:
            peer, address = self._returned.popleft()
            try:
                peer.setblocking(False)
                self._hold(peer, address, ConnectionStage.LINGERING, _LINGER_S)
            except OSError:
                peer.close()

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self._seat_who_waits()
        for connection in self._connections:
            if connection.ends_at > now:
                continue
            if connection.wish is not None and connection in self._waiting:
                self._reject(connection, connection.wish.request, pdu.LOCAL_LIMIT)
            else:
                self._close(connection)

    def _seat_who_waits(self) -> None:
        """The longest waiting first; of an origin that gets no place no other is asked for."""
        full: set[tuple[Places, str]] = set()
        for connection in list(self._waiting):
            wish = connection.wish
            if wish is None or (wish.places, connection.origin) in full:
                continue
            if not self._seat(connection, wish):
                full.add((wish.places, connection.origin))


def _bytes_wanted(received: bytearray) -> int:
    """How many bytes the header, or then the PDU, still lacks."""
    if len(received) < pdu.HEADER.size:
        return pdu.HEADER.size - len(received)
    _, length = pdu.HEADER.unpack_from(received)
    return int(pdu.HEADER.size + length - len(received))

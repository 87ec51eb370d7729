"""Other machines for the HTTP side: how they are reached, what they got, and whether they answer.

Whether one answers is asked by the code of `cadnode check`, in a thread of its own. A peer that
hangs keeps that thread and nobody else's: whoever asked waits for `ANSWERS_WITHIN_S`, and nothing
more is asked of that peer until the thread has ended.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

from cadnode.deliver.destination import kind_of
from cadnode.deliver.dicom import DicomKind, DicomPeer, echo
from cadnode.errors import CadnodeError
from cadnode.log import get_logger
from cadnode.node import checks
from cadnode.node.check import Check, CheckVerdict
from cadnode.node.destination_profiles import profile_of
from cadnode.node.destination_tally import Tallies
from cadnode.phrases import N_
from cadnode.settings import Destination, Settings, Source
from cadnode.settings.sections import ListenerPeer
from cadnode.web.deliveries import Delivery, DeliveryFilter
from cadnode.web.destinations import (
    Echo,
    LastAnswer,
    Owed,
    Peer,
    PeerGroup,
    Peers,
    Protection,
    UnknownPeer,
)
from cadnode.web.node import Unavailable

ANSWERS_WITHIN_S: Final = 5.0

log = get_logger("web")
_Key = tuple[PeerGroup, str]


class PeerDesk:
    """Knows one node's peers. Threads may share it."""

    def __init__(
        self, settings: Settings, listed: Callable[[DeliveryFilter], list[Delivery]]
    ) -> None:
        self._settings = settings
        self._deliveries = listed
        self._tallies = Tallies(settings.storage.folder)
        self._changed = threading.Condition()
        self._echoes: dict[_Key, Echo] = {}

    def peers(self) -> Peers:
        """What may be asked, for those who pass it on."""
        return Peers(self.listed, self.ask)

    def listed(self) -> tuple[Peer, ...]:
        """All peers: destinations, sources, senders."""
        counts = self._undelivered()
        return (
            *(self._destination(one, counts) for one in self._settings.destinations),
            *(self._source(one) for one in self._settings.sources),
            *(self._sender(name, one) for name, one in self._senders()),
        )

    def ask(self, group: PeerGroup, name: str) -> Echo:
        """Whether a peer answers; still running after `ANSWERS_WITHIN_S`.

        Raises
        ------
        UnknownPeer
            There is no such peer, or no address to ask.
        """
        check, key = self._check_of(group, name), (group, name)
        with self._changed:
            running = self._echoes.get(key)
            if running is None or not running.is_running:
                self._echoes[key] = Echo(time.time())
                work = threading.Thread(
                    target=self._work, args=(key, check), name=f"echo-{name}", daemon=True
                )
                work.start()
            self._changed.wait_for(
                lambda: not self._echoes[key].is_running, timeout=ANSWERS_WITHIN_S
            )
            return self._echoes[key]

    def _work(self, key: _Key, check: Callable[[], Check]) -> None:
        """Ask, and keep the answer; whatever goes wrong is one."""
        try:
            found = check()
            echo = Echo(time.time(), found.verdict.value, found.found, found.advice)
        except Exception as error:  # the thread's end must be seen
            log.error("echo_failed", error=error)
            echo = Echo(time.time(), CheckVerdict.FAILED.value, "the check itself failed", "")
        with self._changed:
            self._echoes[key] = echo
            self._changed.notify_all()

    def _check_of(self, group: PeerGroup, name: str) -> Callable[[], Check]:
        if group is PeerGroup.DESTINATIONS:
            for destination in self._settings.destinations:
                if destination.name == name:
                    return lambda: checks.destination_check(self._settings, destination)
        elif group is PeerGroup.SOURCES:
            for source in self._settings.sources:
                if source.name == name:
                    title = self._settings.listener.ae_title
                    return lambda: checks.source_check(source, title)
        else:
            for known, sender in self._senders():
                if known == name and (peer := self._asked_of(name, sender)) is not None:
                    return lambda: _sender_check(peer)
        raise UnknownPeer(
            N_("there is no such peer, or no address to ask"),
            N_("destinations, sources and listener.peers of the configuration are asked"),
        )

    def _undelivered(self) -> Counter[tuple[str, str]] | None:
        """How many results each destination lacks, by state; None: that cannot be asked."""
        try:
            found = self._deliveries(DeliveryFilter())
        except Unavailable:
            return None
        return Counter((one.destination, one.state) for one in found)

    def _destination(self, one: Destination, counts: Counter[tuple[str, str]] | None) -> Peer:
        kind, tally = kind_of(one), self._tallies.of(one.name)
        today = datetime.now().astimezone().date()
        words = ("waiting", "awaiting_commitment", "refused", "given_up")
        owed = None
        if counts is not None:
            owed = Owed(
                **{word: counts[one.name, word] for word in words},
                today=tally.on(today).arrived,
                week=tally.since(today - timedelta(days=6)),
                failed_today=tally.on(today).not_arrived,
            )
        last = None
        if tally.last is not None:
            last = LastAnswer(tally.last.at, tally.last.status.value, tally.last.reason)
        return Peer(
            PeerGroup.DESTINATIONS, one.name, one.kind, kind.where(one), _protection(one),
            profile=profile_of(self._settings, one).value, commits=one.commit,
            owed=owed, last=last, echo=self._echo(PeerGroup.DESTINATIONS, one.name),
        )  # fmt: skip

    def _source(self, one: Source) -> Peer:
        protection = _of_url(str(one.url))
        echo = self._echo(PeerGroup.SOURCES, one.name)
        return Peer(PeerGroup.SOURCES, one.name, one.kind, str(one.url), protection, echo=echo)

    def _sender(self, name: str, one: ListenerPeer) -> Peer:
        asked = self._asked_of(name, one)
        address = one.address if one.port is None else f"{one.address}:{one.port}"
        return Peer(
            PeerGroup.SENDERS, name, "dicom", address, self._of_listener(one),
            notes=tuple(_demands(one)), echo=self._echo(PeerGroup.SENDERS, name),
            can_be_asked=asked is not None,
        )  # fmt: skip

    def _echo(self, group: PeerGroup, name: str) -> Echo | None:
        with self._changed:
            return self._echoes.get((group, name))

    def _senders(self) -> Iterator[tuple[str, ListenerPeer]]:
        """The listener's peers; they have no names of their own, and several may have one title."""
        seen: Counter[str] = Counter()
        for one in self._settings.listener.peers:
            name = (one.ae_title or "any title").replace("/", "-")
            seen[name] += 1
            yield name if seen[name] == 1 else f"{name} ({seen[name]})", one

    def _asked_of(self, name: str, one: ListenerPeer) -> DicomPeer | None:
        """Whom C-ECHO goes to; None: its port or title is not known, or it is a whole network."""
        network = ip_network(one.address, strict=False)
        if one.port is None or one.ae_title is None or network.num_addresses != 1:
            return None
        ours = self._settings.listener.ae_title
        return DicomPeer(name, str(network.network_address), one.port, one.ae_title, ours)

    def _of_listener(self, one: ListenerPeer) -> Protection:
        listener = self._settings.listener
        if listener.certificate_file is None:
            return Protection.NONE
        if one.certificate_sha256 or (listener.ca_file and not listener.in_clear):
            return Protection.MUTUAL
        return Protection.NONE if listener.in_clear and not one.username else Protection.TLS


def _demands(one: ListenerPeer) -> Iterator[str]:
    if one.ae_title is None:
        yield N_("Any AE title is taken from this address.")
    if one.certificate_sha256:
        yield N_("It has to show its certificate.")
    if one.username:
        yield N_("It has to show a user and a passcode.")


def _sender_check(peer: DicomPeer) -> Check:
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    try:
        echo(peer)
    except CadnodeError as error:
        return Check(peer.name, CheckVerdict.FAILED, f"{where}: {error}", DicomKind.advice)
    return Check(peer.name, CheckVerdict.OK, f"{where}: answered C-ECHO")


def _protection(one: Destination) -> Protection:
    if one.kind == "folder":
        return Protection.LOCAL
    if one.kind != "dicom":
        return _of_url(str(one.url))
    if not one.tls:
        return Protection.NONE
    return Protection.MUTUAL if one.certificate_file else Protection.TLS


def _of_url(url: str) -> Protection:
    return Protection.TLS if urlsplit(url).scheme == "https" else Protection.NONE

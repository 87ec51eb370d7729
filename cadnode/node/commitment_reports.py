"""Reports of storage commitment that senders did not take on the association of their request.

A thread of the listener sends them over associations of its own, to the address from which the
request came and the port that `[[listener.peers]]` names for it, all of a sender's over one. A
sender that is away is tried again as `retry.REPORT` says, and delays no other for long.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import Final

from cadnode.beside import kept_running
from cadnode.deliver import commitment as delivery
from cadnode.deliver.commitment import OutgoingReport
from cadnode.deliver.dicom import DicomPeer
from cadnode.errors import DeliveryError
from cadnode.log import get_logger
from cadnode.node import retry
from cadnode.receive.commitment import CommitmentService
from cadnode.receive.commitment_data import report_of
from cadnode.receive.commitment_requests import Sender
from cadnode.settings import Settings

_LOOK_EVERY_S: Final = 0.5
_TIMEOUT_S: Final = 10.0
_MOST_AT_ONCE: Final = 50  # over one association
_GIVEN_UP_AFTER_S: Final = retry.REPORT.give_up_after_s or 0.0
WITHOUT_PORT_S: Final = 3600.0  # for which a request is kept that nobody can be sent a report of

log = get_logger("listener")


def port_of(settings: Settings, sender: Sender) -> int | None:
    """The port on which the sender takes reports, as `[[listener.peers]]` states it."""
    where = ip_address(sender.address)
    return next(
        (
            peer.port
            for peer in settings.listener.peers
            if peer.port is not None
            and peer.has(sender.ae_title)
            and where in ip_network(peer.address, strict=False)
        ),
        None,
    )


class CommitmentReporter:
    """Sends what is owed to the senders of one node. One thread uses it."""

    def __init__(
        self,
        settings: Settings,
        service: CommitmentService,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._service = service
        self._clock = clock
        self._pauses: dict[Sender, tuple[float, float]] = {}  # (next try at, last pause)

    def run(self, stopping: threading.Event) -> None:
        """Rounds until `stopping` is set."""
        while not stopping.wait(_LOOK_EVERY_S):
            try:
                self.round()
            except Exception as error:
                # A thread's loop: whatever a sender or the disk does, the next round comes.
                log.error("commitment_failed", error=error)
                stopping.wait(retry.REPORT.first_pause_s)

    def round(self) -> None:
        """Send every sender's reports that are due. Raises `OSError`."""
        owed = self._service.requests.to_report()
        self._pauses = {sender: self._pauses[sender] for sender in owed if sender in self._pauses}
        for sender, keys in owed.items():
            port = port_of(self._settings, sender)
            self._give_up_old(sender, keys, WITHOUT_PORT_S if port is None else _GIVEN_UP_AFTER_S)
            next_at, pause_s = self._pauses.get(sender, (0.0, 0.0))
            now = self._clock()
            # A clock that was set back must not delay a report for as long.
            if now < next_at <= now + retry.REPORT.longest_pause_s:
                continue
            if port is None or self._report(sender, port, keys[:_MOST_AT_ONCE]):
                self._pauses.pop(sender, None)
            else:
                pause_s = retry.REPORT.pause_after_s(pause_s)
                self._pauses[sender] = (self._clock() + pause_s, pause_s)

    def _give_up_old(self, sender: Sender, keys: list[str], limit_s: float) -> None:
        for key in list(keys):
            if self._clock() - self._service.requests.asked_at(key) > limit_s:
                keys.remove(key)
                self._service.requests.settle(key)
                reason = "given_up" if limit_s == _GIVEN_UP_AFTER_S else "no_port"
                log.warning("commitment_not_reported", peer=sender.address, reason=reason)

    def _report(self, sender: Sender, port: int, keys: list[str]) -> bool:
        """Whether the sender took all of these."""
        if not keys:
            return True
        # One after the other: what many requests name does not lie in memory at once.
        reports = (one for key in keys if (one := self._outgoing(key)) is not None)
        taken: list[str] = []

        def on_taken(key: str) -> None:
            self._service.requests.settle(key)
            taken.append(key)

        try:
            return delivery.report(reports, self._peer(sender, port), on_taken)
        except DeliveryError as error:
            log.warning("commitment_not_reported", peer=sender.address, error=error)
            return False
        except Exception as error:
            # One sender's reports: whatever it is or answers, the others get theirs.
            log.error("commitment_not_reported", peer=sender.address, error=error)
            return False
        finally:
            for key in set(keys).difference(taken):
                self._service.requests.release(key)
            if taken:
                log.info("commitment_reported", peer=sender.address, count=len(taken))

    def _outgoing(self, key: str) -> OutgoingReport | None:
        """A report as it is at this moment; None when the request is gone, or is another's.

        Raises `OSError` when it cannot be read just now.
        """
        requested = self._service.requests.owed(key)
        if requested is None:
            return None
        found = self._service.report(requested)
        return OutgoingReport(key, found.event_type, report_of(found))

    def _peer(self, sender: Sender, port: int) -> DicomPeer:
        listener = self._settings.listener
        return DicomPeer(
            name=sender.ae_title,
            host=sender.address,
            port=port,
            ae_title=sender.ae_title,
            calling_ae_title=listener.ae_title,
            timeout_s=_TIMEOUT_S,
            tls=None if listener.in_clear else listener.tls_files,
        )


@contextmanager
def running(settings: Settings, service: CommitmentService) -> Iterator[None]:
    """Within the block reports are sent, in a thread of its own."""
    reporter = CommitmentReporter(settings, service)
    with kept_running(reporter.run, "commitment reports", within_s=_TIMEOUT_S / 2):
        yield

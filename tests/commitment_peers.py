"""Peers of storage commitment, as pynetdicom AEs of this process: a sender, an archive."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import (
    AE,
    ALL_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    build_role,
    evt,
)
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from tests.peers import wait_until

Objects = Sequence[tuple[str, str]]


def action(transaction: str, objects: Objects) -> Dataset:
    """Action Information."""
    ds = Dataset()
    ds.TransactionUID = transaction
    ds.ReferencedSOPSequence = [item(one) for one in objects]
    return ds


def item(one: tuple[str, str], reason: int | None = None) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = one
    if reason is not None:
        ds.FailureReason = reason
    return ds


@dataclass(frozen=True)
class Report:
    """A report that a sender got."""

    transaction: str
    committed: list[str]
    failed: dict[str, int]
    event_type: int
    same_association: bool

    @staticmethod
    def of(event: evt.Event, *, same_association: bool) -> "Report":
        ds = event.event_information
        return Report(
            str(ds.TransactionUID),
            [str(i.ReferencedSOPInstanceUID) for i in ds.get("ReferencedSOPSequence", [])],
            {
                str(i.ReferencedSOPInstanceUID): i.FailureReason
                for i in ds.get("FailedSOPSequence", [])
            },
            event.event_type,
            same_association,
        )


@dataclass
class Asking:
    """A sender that asks for storage commitment; `reports` are what it got, in order."""

    port: int
    ae_title: str = "MG1"
    reports: list[Report] = field(default_factory=list)

    def ask(
        self,
        objects: Objects,
        *,
        transaction: str = "",
        wait_for: int = 1,
        action_type: int = 1,
        instance: str = StorageCommitmentPushModelInstance,
        store: Sequence[Any] = (),
        max_pdu: int = 16382,
    ) -> int:
        """Status of one N-ACTION; stays until so many more reports have come on it.

        With `wait_for` 0 it is gone before it has acknowledged one.
        """
        ae = AE(self.ae_title)
        ae.maximum_pdu_size = max_pdu
        ae.add_requested_context(StorageCommitmentPushModel)
        for file in store:
            ae.add_requested_context(file.SOPClassUID, file.file_meta.TransferSyntaxUID)
        left = threading.Event()
        acknowledged: list[int] = []

        def take(event: evt.Event) -> tuple[int, None]:
            if not wait_for:
                left.wait(10)
                return 0x0110, None
            return self._take_here(event)

        def sent(event: evt.Event) -> None:
            if type(event.message).__name__ == "N_EVENT_REPORT_RSP":
                acknowledged.append(1)

        handlers = [(evt.EVT_N_EVENT_REPORT, take), (evt.EVT_DIMSE_SENT, sent)]
        assoc = ae.associate("127.0.0.1", self.port, evt_handlers=handlers, max_pdu=max_pdu)
        assert assoc.is_established
        try:
            for file in store:
                assert assoc.send_c_store(file).Status == 0
            ds = action(transaction or generate_uid(), objects)
            answer, _ = assoc.send_n_action(ds, action_type, StorageCommitmentPushModel, instance)
            if answer.Status == 0 and wait_for:
                wait_until(lambda: len(acknowledged) >= wait_for)
        finally:
            if wait_for:
                assoc.release()
            else:
                assoc.abort()
                left.set()
        return int(answer.Status)

    def _take_here(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append(Report.of(event, same_association=True))
        return 0x0000, None

    @contextmanager
    def listening(self, port: int) -> Iterator[None]:
        """Within the block it takes reports on a port of its own, as SCU by role selection."""
        ae = AE(self.ae_title)
        ae.add_supported_context(Verification)
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)

        def take(event: evt.Event) -> tuple[int, None]:
            self.reports.append(Report.of(event, same_association=False))
            return 0x0000, None

        server = ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)]
        )
        try:
            yield
        finally:
            server.shutdown()


@dataclass
class CommittingArchive:
    """A Storage SCP that is asked to commit, and answers when `answer` is called.

    `stored` counts how often it was sent each object, `asked` are the requests, the newest last.
    `at_once` makes what it answers on the association of the request; None: nothing.
    """

    ae_title: str
    offers: bool = True
    at_once: Callable[[Dataset], Dataset] | None = None
    port: int = 0
    stored: Counter[str] = field(default_factory=Counter)
    asked: list[Dataset] = field(default_factory=list)

    def of(self, n: int = -1) -> tuple[str, list[tuple[str, str]]]:
        """(transaction, objects) of a request."""
        wanted = self.asked[n].ReferencedSOPSequence
        objects = [(str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID)) for i in wanted]
        return str(self.asked[n].TransactionUID), objects

    def answer(
        self,
        node_port: int,
        *,
        n: int = -1,
        failed: int = 0,
        reason: int = 0x0112,
        transaction: str = "",
        ae_title: str = "",
        source: str = "127.0.0.1",
    ) -> int | None:
        """Status of the report of a request, over an association of its own.

        The first `failed` objects are not committed. None: it was not let in.
        """
        known, objects = self.of(n)
        ds = report(transaction or known, objects[failed:], objects[:failed], reason)
        ae = AE(ae_title or self.ae_title)
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        assoc = ae.associate("127.0.0.1", node_port, ext_neg=[role], bind_address=(source, 0))
        if not assoc.is_established:
            return None
        status, _ = assoc.send_n_event_report(
            ds, 2 if failed else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assoc.release()
        return int(status.Status)

    @contextmanager
    def listening(self) -> Iterator["CommittingArchive"]:
        """Within the block it takes objects and requests."""
        ae = AE(self.ae_title)
        ae.maximum_associations = 50
        ae.add_supported_context(Verification)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        if self.offers:
            ae.add_supported_context(StorageCommitmentPushModel)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._act)]
        server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            server.shutdown()

    def _store(self, event: evt.Event) -> int:
        self.stored[str(event.request.AffectedSOPInstanceUID)] += 1
        return 0

    def _act(self, event: evt.Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self.at_once is not None:
            ds = self.at_once(event.action_information)
            threading.Thread(target=_report_on, args=(event.assoc, ds)).start()
        return 0, None


def _report_on(assoc: Any, ds: Dataset) -> None:
    time.sleep(0.1)  # after the response to the request
    kind = 2 if "FailedSOPSequence" in ds else 1
    assoc.send_n_event_report(
        ds, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )


def report(transaction: str, committed: Objects, failed: Objects, reason: int) -> Dataset:
    """Event Information."""
    ds = Dataset()
    ds.TransactionUID = transaction
    if committed:
        ds.ReferencedSOPSequence = [item(one) for one in committed]
    if failed:
        ds.FailedSOPSequence = [item(one, reason) for one in failed]
    return ds

"""Storage commitment as senders see it: a listener process; pynetdicom and Orthanc send."""

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, generate_uid

from cadnode.log import hashed
from cadnode.node import supervise
from cadnode.receive.commitment_data import FailureReason
from tests.commitment_peers import Asking
from tests.integration.orthanc_host import OrthancHost
from tests.peers import free_port, wait_for_port, wait_until
from tests.synthetic import view_dataset, write

MG = str(DigitalMammographyXRayImageStorageForPresentation)
CT, CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
CONFIG = """\
[listener]
host = "127.0.0.1"
port = {port}

[storage]
folder = "{folder}"
min_free_gb = 0.05

[web]
enabled = false
"""
PEER = """
[[listener.peers]]
address = "127.0.0.1"
ae_title = "{title}"
port = {port}
"""


@dataclass
class ListenerProcess:
    """The node's listener alone, in a process that can be killed."""

    folder: Path
    port: int
    config: Path
    ports: dict[str, int]  # on which senders take reports
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            one for one in supervise.command("listener", self.config) if one != "--supervised"
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.port)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def requested(self) -> list[Path]:
        """What waits for its report."""
        return sorted((self.folder / "data/commitments/requested").glob("*.json"))

    def file(self, ds: Dataset) -> Path:
        study, instance = hashed(ds.StudyInstanceUID), hashed(ds.SOPInstanceUID)
        return self.folder / "data/spool/studies" / study / f"{instance}.dcm"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListenerProcess]:
    folder, port = tmp_path_factory.mktemp("listener"), free_port()
    config = folder / "node.toml"
    ports = {title: free_port() for title in ("AWAY", "ORTHANC", "KILLED")}
    peers = "".join(PEER.format(title=title, port=where) for title, where in ports.items())
    others = '[[listener.peers]]\naddress = "127.0.0.1"\n'
    config.write_text(CONFIG.format(port=port, folder=folder / "data") + peers + others)
    one = ListenerProcess(folder, port, config, ports)
    one.start()
    try:
        yield one
    finally:
        one.stop()


def image(**values: Any) -> Dataset:
    ds = view_dataset(**values)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return ds


def named(ds: Dataset) -> tuple[str, str]:
    return str(ds.SOPClassUID), str(ds.SOPInstanceUID)


def test_what_was_stored_is_committed_on_the_same_association(running: ListenerProcess) -> None:
    sender, sent = Asking(running.port), [image(), image()]

    status = sender.ask(list(map(named, sent)), transaction="1.2.3.4", store=sent)

    [report] = sender.reports
    assert status == 0
    assert (report.transaction, report.event_type, report.same_association) == ("1.2.3.4", 1, True)
    assert report.committed == [ds.SOPInstanceUID for ds in sent]
    assert report.failed == {}
    wait_until(lambda: not running.requested)  # the first test: nothing else waits


def test_each_failure_has_its_reason(running: ListenerProcess) -> None:
    sender, held, removed = Asking(running.port), image(), image()
    sender.ask([named(held), named(removed)], store=[held, removed])
    running.file(removed).unlink()
    asked = {
        named(removed): FailureReason.NO_SUCH_OBJECT_INSTANCE,
        (MG, generate_uid()): FailureReason.NO_SUCH_OBJECT_INSTANCE,
        (CT, generate_uid()): FailureReason.SOP_CLASS_NOT_SUPPORTED,
        (
            CAPTURE,
            str(held.SOPInstanceUID),
        ): FailureReason.CLASS_INSTANCE_CONFLICT,
    }

    sender.ask(list(asked))

    report = sender.reports[-1]
    assert report.event_type == 2
    assert report.committed == []
    assert report.failed == {uid: reason for (_, uid), reason in asked.items()}


def test_what_is_not_a_request_for_commitment_is_refused(running: ListenerProcess) -> None:
    sender, one = Asking(running.port), [(MG, "1.2.3")]

    assert sender.ask(one, action_type=2, wait_for=0) == 0x0123
    assert sender.ask(one, instance="1.2.3", wait_for=0) == 0x0112
    assert sender.ask([], wait_for=0) == 0x0115
    assert sender.ask([(MG, f"1.2.{n}") for n in range(10_001)], wait_for=0) == 0x0213
    assert running.requested == []  # nothing waits for a report yet


def test_a_transaction_uid_in_use_for_other_objects_fails(running: ListenerProcess) -> None:
    sender, sent = Asking(running.port, "TWICE"), image()
    sender.ask([named(sent)], transaction="1.2.3", wait_for=0)  # leaves without its report
    sender.ask([named(sent)], transaction="1.2.3", store=[sent])  # the same request: answered
    sender.ask([(MG, "1.2.9")], transaction="1.2.4", wait_for=0)
    sender.ask([named(sent)], transaction="1.2.4")

    assert sender.reports[0].committed == [sent.SOPInstanceUID]
    assert sender.reports[-1].failed == {
        str(sent.SOPInstanceUID): FailureReason.DUPLICATE_TRANSACTION_UID
    }


def test_a_sender_that_is_away_gets_its_report_later(running: ListenerProcess) -> None:
    sender, sent = Asking(running.port, "AWAY"), [image(), image()]
    for ds in sent:
        sender.ask([named(ds)], store=[ds], wait_for=0)
    wait_until(lambda: "commitment_not_reported" in running.log)
    assert sender.reports == []

    with sender.listening(running.ports["AWAY"]):
        wait_until(lambda: len(sender.reports) == len(sent))
    assert {uid for one in sender.reports for uid in one.committed} == {
        ds.SOPInstanceUID for ds in sent
    }


def test_orthanc_asks_and_hears_which_of_its_images_are_committed(
    running: ListenerProcess, tmp_path: Path
) -> None:
    orthanc = OrthancHost(tmp_path, {"Plugins": []}, dicom_port=running.ports["ORTHANC"])
    where = ["CADNODE", "127.0.0.1", running.port]
    orthanc.configure(DicomAet="ORTHANC", DicomModalities={"cadnode": where})
    orthanc.start()
    try:
        held, unknown = image(), image()
        path = write(held, tmp_path / "held.dcm")
        instance = orthanc.request("POST", "/instances", path.read_bytes()).json()["ID"]
        orthanc.request("POST", "/modalities/cadnode/store", instance).raise_for_status()
        wait_until(lambda: running.file(held).exists())
        body = {"DicomInstances": [list(named(held)), list(named(unknown))]}
        asked = orthanc.request(
            "POST", "/modalities/cadnode/storage-commitment", json.dumps(body)
        ).json()

        def answered() -> Any:
            found = orthanc.get(asked["Path"])
            return found if found["Status"] != "Pending" else None

        found = wait_until(answered)
        assert found["Status"] == "Failure"
        assert [one["SOPInstanceUID"] for one in found["Success"]] == [held.SOPInstanceUID]
        [failed] = found["Failures"]
        assert failed["SOPInstanceUID"] == unknown.SOPInstanceUID
        assert failed["FailureReason"] == FailureReason.NO_SUCH_OBJECT_INSTANCE
    finally:
        orthanc.stop()


def test_a_request_survives_kill_9_and_is_reported_over_a_new_association(
    running: ListenerProcess,
) -> None:
    sender, sent = Asking(running.port, "KILLED"), image()
    before = set(running.requested)
    sender.ask([named(sent)], transaction="1.2.3", store=[sent], wait_for=0)
    running.kill()
    assert len(set(running.requested) - before) == 1
    assert sender.reports == []

    with sender.listening(running.ports["KILLED"]):
        running.start()
        wait_until(lambda: sender.reports)
    [report] = sender.reports
    assert (report.transaction, report.same_association) == ("1.2.3", False)
    assert report.committed == [sent.SOPInstanceUID]
    wait_until(lambda: not set(running.requested) - before)


def test_no_identifier_is_in_the_log(running: ListenerProcess) -> None:
    sent = image()
    Asking(running.port).ask([named(sent)], store=[sent], transaction="1.2.826.9999")

    assert "commitment_requested" in running.log
    assert str(sent.SOPInstanceUID) not in running.log
    assert "1.2.826.9999" not in running.log

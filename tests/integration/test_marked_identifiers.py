"""No identifier of a patient leaves a node by its audit trail, syslog, or logs at DEBUG.

Two patients whose every identifier is marked go the whole way: received, read or refused by the
reading, delivered, removed; and what goes wrong on it: rubbish, objects that are refused, a disk
that does not take the trail, a kill.
"""

import base64
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from cadnode.audit.entry import Remark, RemarkKind
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.files import entries
from cadnode.audit.verify import verify
from cadnode.demo.archive import embedded
from tests.certificates import Authority
from tests.integration.node import Node, running_node, wait_until
from tests.synthetic import IDENTIFIERS, MARK, encode, view_dataset, write, write_exam
from tests.syslog_server import running as repository_running

_MORE = """
[audit]
syslog_host = "127.0.0.1"
syslog_port = {port}
syslog_ca_file = "{ca}"
certificate_file = "{certificate}"
key_file = "{key}"

[retention]
images_days = 0.0001
results_days = 0.0001
keep_h = 0
every_s = 1

[log]
level = "DEBUG"
"""


def marked_uids(*paths: Path) -> set[str]:
    found = set()
    for path in paths:
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        found |= {str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)}
    return found


def broken(path: Path) -> Path:
    """A marked view that the reading refuses."""
    ds = encode(view_dataset("L", "CC", seed=70), "1.2.840.10008.1.2.5")
    frame = bytearray(ds.PixelData)
    frame[80:] = bytes(len(frame) - 80)
    ds.PixelData = bytes(frame)
    return write(ds, path)


def send_rubbish(port: int) -> None:
    """Marked bytes that are no PDU, and those of a request that is cut off within its names."""
    name = IDENTIFIERS[0].encode()
    for data in (name * 20, b"\x01\x00\x00\x00\x00\x40" + name * 8, b"\x16\x03\x01" + name):
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.settimeout(5)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1000)


def refused_object(node: Node, folder: Path) -> Path:
    """A marked object of a class that is not taken."""
    ds = view_dataset("R", "CC", seed=90)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    path = write(ds, folder / "ct.dcm")
    with pytest.raises(subprocess.CalledProcessError):
        node.send(path)
    return path


def actions(node: Node) -> list[Event]:
    found = entries(node.folder / "data" / "audit")
    return [entry.said for entry, _ in found if isinstance(entry.said, Event)]


def done(node: Node, action: Action, n: int = 1) -> bool:
    return sum(event.action is action for event in actions(node)) >= n


def test_no_marked_identifier_is_in_trail_syslog_or_logs(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    ours = authority.sign("node")
    exam = write_exam(tmp_path / "exam")
    unreadable = broken(tmp_path / "broken.dcm")
    with (
        repository_running(authority.files(authority.sign("repository"))) as repository,
        embedded(tmp_path / "archive") as archive,
        running_node(
            tmp_path,
            archive,
            more=_MORE.format(
                port=repository.port, ca=authority.path, certificate=ours.certificate, key=ours.key
            ),
        ) as node,
    ):
        audit = tmp_path / "data" / "audit"
        send_rubbish(node.port)
        other = refused_object(node, tmp_path)
        node.send(unreadable, options=("-xr",))
        node.send(*exam)
        wait_until(lambda: done(node, Action.DELIVERED, 2), "both studies are delivered")
        wait_until(lambda: done(node, Action.REMOVED, 4), "images and results are removed")
        wait_until(lambda: done(node, Action.PEER_REFUSED), "the rubbish is told")

        (audit / "lock").rename(audit / "lock.away")
        (audit / "lock").mkdir()  # the trail cannot be written
        later = write_exam(tmp_path / "later", seed=30)
        node.send(*later)
        wait_until(lambda: node.events("audit_event_lost") > 1, "events are lost and logged")
        node.kill()
        (audit / "lock").rmdir()
        (audit / "lock.away").rename(audit / "lock")
        node.start()
        wait_until(lambda: done(node, Action.STARTED, 2), "the start is told")
        last = [entry for entry, _ in entries(audit)][-1].sequence
        wait_until(lambda: f"audit:{last}" in repository.text, "it is sent on")
        log = node.log
    said = [entry.said for entry, _ in entries(audit)]
    assert verify(audit).is_whole
    assert [one.kind for one in said if isinstance(one, Remark)][:1] == [RemarkKind.LOST]
    found = {(one.action, one.outcome) for one in said if isinstance(one, Event)}
    assert found >= {
        (Action.STARTED, EventOutcome.SUCCESS), (Action.RECEIVED, EventOutcome.SUCCESS),
        (Action.PEER_REFUSED, EventOutcome.FAILURE), (Action.READ, EventOutcome.SUCCESS),
        (Action.READ, EventOutcome.FAILURE), (Action.DELIVERED, EventOutcome.SUCCESS),
        (Action.REMOVED, EventOutcome.SUCCESS), (Action.STOPPED, EventOutcome.SUCCESS),
    }  # fmt: skip
    details = re.findall(r'ParticipantObjectDetail type="\w+" value="([^"]+)"', repository.text)
    places = {
        "trail": b"\n".join(path.read_bytes() for path in audit.iterdir()).decode(),
        "syslog": repository.text,
        "details": " ".join(base64.b64decode(one).decode() for one in details),
        "log": log,
        "shown": shown(node),
    }
    identifiers = {*IDENTIFIERS, MARK, *marked_uids(*exam, *later, unreadable, other)}
    leaked = {
        (place, identifier)
        for place, text in places.items()
        for identifier in identifiers
        if identifier in text
    }
    assert all(len(text) > 500 for text in places.values())  # there is something to look through
    assert leaked == set()


def shown(node: Node) -> str:
    command = [sys.executable, "-m", "cadnode", "audit", "show", "--json"]
    run = subprocess.run(
        [*command, "--config", str(node.config)], capture_output=True, text=True, check=True
    )
    assert all(json.loads(line)["hash"] for line in run.stdout.splitlines())
    return run.stdout

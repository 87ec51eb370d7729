"""Who sent which study, and who was refused, reaches the audit trail; a scan does not fill it."""

import socket
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from cadnode.audit.event import Action, ActorKind, Event, EventOutcome
from cadnode.audit.files import entries
from cadnode.audit.trail import Trail
from cadnode.audit.verify import verify
from cadnode.deliver import dicom
from cadnode.receive import scp
from cadnode.receive.spool import Spool
from cadnode.receive.witness import MOST_PEERS, AuditWitness
from tests.peers import wait_until
from tests.synthetic import write_exam


class Kept:
    """A recorder."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)


class Now:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


def details(kept: Kept) -> list[str | None]:
    return [event.detail for event in kept.events]


def test_the_first_refusal_is_told_at_once_and_those_of_the_minute_together() -> None:
    kept, now = Kept(), Now()
    witness = AuditWitness(kept, now)
    for _ in range(50):
        witness.refused("calling_ae_title", "10.0.0.1", "ROGUE")
        witness.tell()
        now.at += 1.0
    assert details(kept) == ["calling_ae_title"]
    now.at += 11.0
    witness.tell()
    assert details(kept) == ["calling_ae_title", "calling_ae_title, 49 times"]
    assert {event.actor.name for event in kept.events} == {"ROGUE"}
    assert {event.actor.address for event in kept.events} == {"10.0.0.1"}
    assert {event.outcome for event in kept.events} == {EventOutcome.FAILURE}


def test_what_is_not_told_yet_is_told_at_the_end() -> None:
    kept, now = Kept(), Now()
    witness = AuditWitness(kept, now)
    for _ in range(3):
        witness.refused("malformed", "10.0.0.1")
        witness.tell()
    witness.tell(everything=True)
    assert details(kept) == ["malformed", "malformed, 2 times"]
    assert kept.events[0].actor.name == "10.0.0.1"  # it said no AE title


def test_many_addresses_fill_no_trail_and_are_all_counted() -> None:
    kept, now = Kept(), Now()
    witness = AuditWitness(kept, now)
    for number in range(5000):
        witness.refused("unknown_address", f"10.0.{number // 250}.{number % 250}")
    witness.tell(everything=True)
    assert len(kept.events) == MOST_PEERS + 1
    assert kept.events[-1].detail == f"unknown_address, {5000 - MOST_PEERS} times"
    assert kept.events[-1].actor.name == "others"


def test_an_ae_title_is_told_as_far_as_it_is_one() -> None:
    kept = Kept()
    AuditWitness(kept, Now()).received("GANTRY\n\x00ö" + "X" * 50, "10.0.0.1", "k")
    assert kept.events[0].actor.name == "GANTRYXXXXXXXXXX"


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail(tmp_path / "audit")


def events(trail: Trail) -> list[Event]:
    return [entry.said for entry, _ in entries(trail.folder) if isinstance(entry.said, Event)]


def test_a_study_is_recorded_once_an_association_with_its_sender_before_it_is_answered(
    tmp_path: Path, trail: Trail
) -> None:
    exams = [*write_exam(tmp_path / "a"), *write_exam(tmp_path / "b", seed=50)]
    witness = AuditWitness(trail)
    spool = Spool(tmp_path / "spool")
    with scp.serve(scp.ScpConfig(port=0), spool, lambda stored: None, witness=witness) as listening:
        peer = dicom.DicomPeer("node", "127.0.0.1", listening.port, "CADNODE", "GANTRY")
        dicom.send(exams, peer)
        found = events(trail)  # the answers are there: so are the events
        dicom.send(exams[:1], peer)
    keys = spool.studies()
    assert {event.study for event in found} == set(keys)
    assert len(found) == len(keys) == 2
    assert len(events(trail)) == 3
    for event in events(trail):
        assert (event.action, event.outcome) == (Action.RECEIVED, EventOutcome.SUCCESS)
        assert event.actor.kind is ActorKind.PEER
        assert (event.actor.name, event.actor.address) == ("GANTRY", "127.0.0.1")


def test_refused_titles_and_rubbish_are_recorded(tmp_path: Path, trail: Trail) -> None:
    witness = AuditWitness(trail)
    config = scp.ScpConfig(port=0, calling_ae_titles=("GANTRY",))
    spool = Spool(tmp_path / "spool")
    with scp.serve(config, spool, lambda stored: None, witness=witness) as listening:
        ae = AE("ROGUE")
        ae.add_requested_context(Verification)
        assert not ae.associate("127.0.0.1", listening.port).is_established
        with socket.create_connection(("127.0.0.1", listening.port)) as rubbish:
            rubbish.sendall(b"\x01\x00\x00\x00\x00\x20" + b"Roe^Jane rubbish of 32 bytes ...")
            rubbish.settimeout(5)
            rubbish.recv(100)
        with socket.create_connection(("127.0.0.1", listening.port)) as scan:
            scan.sendall(b"GET / HTTP/1.1\r\n\r\n")
            scan.settimeout(5)
            scan.recv(100)

        def told() -> bool:
            witness.tell()
            return trail.folder.is_dir() and len(events(trail)) >= 3

        wait_until(told)
    found = {(event.detail, event.actor.name) for event in events(trail)}
    assert found == {
        ("calling_ae_title", "ROGUE"), ("malformed", "127.0.0.1"), ("no_request", "127.0.0.1"),
    }  # fmt: skip
    assert verify(trail.folder).is_whole
    assert b"Roe" not in b"".join(path.read_bytes() for path in trail.folder.iterdir())

"""Every line of a trail is a valid DICOM audit message that says what the line says."""

import base64
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from pydicom.sr._concepts_dict import concepts

from cadnode.audit.atna import audit_message
from cadnode.audit.entry import Remark, RemarkKind, TrailEntry
from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome
from tests.unit.audit.cases import PERSON, STUDY

SCHEMA = Path(__file__).with_name("audit_message.rng")
AT = "2026-03-04T04:53:20.000001Z"


def entry(said: Event | Remark) -> TrailEntry:
    return TrailEntry(7, AT, "NODE", "1.2.3", said, "ab" * 32)


def every() -> list[TrailEntry]:
    """Each action by each kind of actor with everything known, and with nothing; each remark."""
    actors = [Actor(kind, "x", "admin", "10.0.0.7") for kind in ActorKind]
    actors += [Actor(kind, "<a&\x00\ud800\"'>") for kind in ActorKind]
    events = [
        event
        for action in Action
        for actor in actors
        for outcome in EventOutcome
        for event in (
            Event(action, outcome, actor, STUDY, "pacs", "code"),
            Event(action, outcome, actor),
        )
    ]
    remarks = [Remark(kind, 3, "2026-02", (5, "cd" * 32)) for kind in RemarkKind]
    return [entry(one) for one in (*events, *remarks)]


def test_every_message_is_valid_by_the_schema_of_ps3_15(tmp_path: Path) -> None:
    xmllint = shutil.which("xmllint")
    assert xmllint, "xmllint is missing: deploy/system-packages.sh test"
    paths = []
    for number, one in enumerate(every()):
        paths.append(tmp_path / f"{number}.xml")
        paths[-1].write_bytes(audit_message(one))
    found = subprocess.run(
        [xmllint, "--noout", "--relaxng", str(SCHEMA), *map(str, paths)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stderr.count(" validates") == len(paths)


def test_the_schema_refuses_what_is_no_message(tmp_path: Path) -> None:
    xmllint = shutil.which("xmllint")
    assert xmllint
    message = audit_message(entry(Event(Action.VIEWED, EventOutcome.SUCCESS, PERSON, STUDY)))
    for wrong in (b'EventActionCode="R"', b"originalText=", b"ParticipantObjectName>"):
        path = tmp_path / "wrong.xml"
        path.write_bytes(message.replace(wrong, wrong.replace(b"R", b"X").replace(b"T", b"X")
                                         .replace(b"N", b"X")))  # fmt: skip
        run = [xmllint, "--noout", "--relaxng", str(SCHEMA), str(path)]
        assert subprocess.run(run, capture_output=True, check=False).returncode != 0, wrong


def test_codes_have_the_meanings_of_ps3_16() -> None:
    meanings = {
        value: meaning for rows in concepts["DCM"].values() for value, (meaning, *_) in rows.items()
    }
    used = {
        (one.get("csd-code"), one.get("originalText"))
        for message in every()
        for one in Xml.fromstring(audit_message(message)).iter()
        if one.get("codeSystemName") == "DCM"
    }
    assert len(used) > 15
    for value, meaning in used:
        assert meanings[str(value)] == meaning


@pytest.mark.parametrize(
    ("action", "code", "kind", "do"),
    [
        (Action.LOGGED_IN, "110114", "110122", "E"),
        (Action.LOG_IN_REFUSED, "110114", "110122", "E"),
        (Action.LOGGED_OUT, "110114", "110123", "E"),
        (Action.REFUSED, "110113", "110132", "E"),
        (Action.VIEWED, "110103", "study-viewed", "R"),
        (Action.EXPORTED, "110106", "study-exported", "R"),
        (Action.JUDGED, "110103", "finding-judged", "U"),
        (Action.QUERIED, "110112", "studies-listed", "E"),
        (Action.RECEIVED, "110104", "study-received", "C"),
        (Action.PEER_REFUSED, "110113", "110126", "E"),
        (Action.PEER_ASKED, "110100", "peer-asked", "E"),
        (Action.DELIVERED, "110104", "result-delivered", "R"),
        (Action.MODELS_CHANGED, "110113", "110131", "E"),
        (Action.USERS_CHANGED, "110113", "110137", "E"),
        (Action.ERASED, "110105", "patient-erased", "D"),
        (Action.REMOVED, "110105", "study-removed", "D"),
        (Action.STARTED, "110100", "110120", "E"),
        (Action.STOPPED, "110100", "110121", "E"),
    ],
)
def test_each_action_is_the_message_that_ps3_15_has_for_it(
    action: Action, code: str, kind: str, do: str
) -> None:
    root = Xml.fromstring(audit_message(entry(Event(action, EventOutcome.FAILURE, PERSON, STUDY))))
    event = root.find("EventIdentification")
    assert event is not None
    assert [one.get("csd-code") for one in event.findall("EventID")] == [code]
    kinds = [one.get("csd-code") for one in event.findall("EventTypeCode")]
    assert kinds[0] == kind
    assert kinds[-1] == action.value.replace(" ", "-")  # our own word is always there
    assert event.get("EventActionCode") == do
    assert event.get("EventOutcomeIndicator") == "4"
    assert event.get("EventDateTime") == AT


def test_who_sent_and_who_received_is_told_by_roles() -> None:
    sender = Actor(ActorKind.PEER, "GANTRY", address="10.1.2.3")
    root = Xml.fromstring(
        audit_message(entry(Event(Action.RECEIVED, EventOutcome.SUCCESS, sender, STUDY)))
    )
    peer, node = root.findall("ActiveParticipant")
    assert peer.attrib == {
        "UserID": "GANTRY", "AlternativeUserID": "AETITLE=GANTRY", "UserIsRequestor": "true",
        "NetworkAccessPointID": "10.1.2.3", "NetworkAccessPointTypeCode": "2",
    }  # fmt: skip
    assert peer[0].get("csd-code") == "110153"
    assert node.get("UserID") == "NODE"
    assert node[0].get("csd-code") == "110152"


def test_the_study_is_named_by_its_key_and_the_line_by_sequence_and_hash() -> None:
    root = Xml.fromstring(
        audit_message(entry(Event(Action.REMOVED, EventOutcome.SUCCESS, PERSON, STUDY)))
    )
    study, line = root.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == STUDY
    assert study.get("ParticipantObjectDataLifeCycle") == "15"
    assert study[0].get("codeSystemName") == "99CADNODE"
    details = {
        one.get("type"): base64.b64decode(str(one.get("value"))).decode()
        for one in line.findall("ParticipantObjectDetail")
    }
    assert details == {"sequence": "7", "hash": "ab" * 32}


def test_two_nodes_are_told_apart_by_the_audit_source() -> None:
    message = audit_message(replace(entry(Remark(RemarkKind.LOST, 4)), node="OTHER"))
    root = Xml.fromstring(message)
    source = root.find("AuditSourceIdentification")
    assert source is not None
    assert source.get("AuditSourceID") == "OTHER"
    event = root.find("EventIdentification")
    assert event is not None
    assert event.get("EventOutcomeIndicator") == "8"
    assert event.findtext("EventOutcomeDescription") == "events lost 4"

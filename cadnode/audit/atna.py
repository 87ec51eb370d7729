"""A line of the trail as a DICOM audit message (PS3.15 A.5, the XML that grew out of RFC 3881).

Table A.5.1 is the schema, A.5.3 the messages; codes are those of PS3.16 CID 400, 401 and 402.

Deviation: a study is named by this node's key, under a type code of its own, and no patient is
named, because neither trail nor repository is to hold identifiers of patients. The key is the same
for each copy of a study: `cadnode.log.hashed` of its Study Instance UID.
"""

import base64
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from xml.etree import ElementTree as Xml

from cadnode.audit.entry import Remark, RemarkKind, TrailEntry
from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome

OWN_CODES: Final = "99CADNODE"  # private coding schemes begin with 99 (PS3.16 8.2)
STUDY_KEY: Final = ("study-key", OWN_CODES, "Study key (hash of the Study Instance UID)")
_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Code = tuple[str, str, str]  # value, scheme, meaning


def _dcm(value: str, meaning: str) -> Code:
    return value, "DCM", meaning


_APPLICATION_ACTIVITY: Final = _dcm("110100", "Application Activity")
_ACCESSED: Final = _dcm("110103", "DICOM Instances Accessed")
_TRANSFERRED: Final = _dcm("110104", "DICOM Instances Transferred")
_DELETED: Final = _dcm("110105", "DICOM Study Deleted")
_EXPORT: Final = _dcm("110106", "Export")
_IMPORT: Final = _dcm("110107", "Import")
_QUERY: Final = _dcm("110112", "Query")
_ALERT: Final = _dcm("110113", "Security Alert")
_AUTHENTICATION: Final = _dcm("110114", "User Authentication")
_APPLICATION: Final = _dcm("110150", "Application")
_DESTINATION: Final = _dcm("110152", "Destination Role ID")
_SOURCE: Final = _dcm("110153", "Source Role ID")


@dataclass(frozen=True, slots=True)
class _Message:
    """Which message an action is: its code and type, C, R, U, D or E, and who is what in it."""

    event: Code
    do: str
    type: Code | None = None
    actor_is: Code | None = None
    node_is: Code | None = None


_LOGIN: Final = _dcm("110122", "Login")
_CHANGED: Final = _Message(_ACCESSED, "U")
_TO_PEER: Final = _Message(_TRANSFERRED, "R", node_is=_SOURCE)
_MESSAGES: Final[dict[Action, _Message]] = {
    Action.LOGGED_IN: _Message(_AUTHENTICATION, "E", _LOGIN),
    Action.LOG_IN_REFUSED: _Message(_AUTHENTICATION, "E", _LOGIN),
    Action.LOGGED_OUT: _Message(_AUTHENTICATION, "E", _dcm("110123", "Logout")),
    Action.REFUSED: _Message(_ALERT, "E", _dcm("110132", "Use of Restricted Function")),
    Action.VIEWED: _Message(_ACCESSED, "R"),
    Action.EXPORTED: _Message(_EXPORT, "R", actor_is=_DESTINATION, node_is=_SOURCE),
    Action.QUERIED: _Message(_QUERY, "E", actor_is=_SOURCE, node_is=_DESTINATION),
    Action.JUDGED: _CHANGED,
    Action.ORDERED: _CHANGED,
    Action.REGION_ASKED: _CHANGED,
    Action.RETRIED: _CHANGED,
    Action.REDELIVERED: _CHANGED,
    Action.DROPPED: _CHANGED,
    Action.PINNED: _CHANGED,
    Action.UNPINNED: _CHANGED,
    Action.REREAD: _CHANGED,
    Action.RECEIVED: _Message(_TRANSFERRED, "C", actor_is=_SOURCE, node_is=_DESTINATION),
    Action.PEER_REFUSED: _Message(_ALERT, "E", _dcm("110126", "Node Authentication")),
    Action.PEER_ASKED: _Message(_APPLICATION_ACTIVITY, "E"),
    Action.READ: _Message(_ACCESSED, "R"),
    Action.DELIVERED: _TO_PEER,
    Action.NOT_DELIVERED: _TO_PEER,
    Action.OUTCOMES_IMPORTED: _Message(_APPLICATION_ACTIVITY, "E"),
    Action.MODELS_CHANGED: _Message(_ALERT, "E", _dcm("110131", "Software Configuration")),
    Action.SCORES_ACCEPTED: _Message(_ALERT, "E", _dcm("110131", "Software Configuration")),
    Action.USERS_CHANGED: _Message(_ALERT, "E", _dcm("110137", "User Security Attributes Changed")),
    Action.ERASED: _Message(_DELETED, "D"),
    Action.REMOVED: _Message(_DELETED, "D"),
    Action.BACKED_UP: _Message(_EXPORT, "R", actor_is=_DESTINATION, node_is=_SOURCE),
    Action.RESTORED: _Message(_IMPORT, "C", actor_is=_SOURCE, node_is=_DESTINATION),
    Action.SETTINGS_RELOADED: _Message(_ALERT, "E", _dcm("110131", "Software Configuration")),
    Action.STARTED: _Message(
        _APPLICATION_ACTIVITY, "E", _dcm("110120", "Application Start"), node_is=_APPLICATION
    ),
    Action.STOPPED: _Message(
        _APPLICATION_ACTIVITY, "E", _dcm("110121", "Application Stop"), node_is=_APPLICATION
    ),
}
_OF_THE_TRAIL: Final = _Message(_ALERT, "E", _dcm("110133", "Audit Recording Stopped"))
_INDICATORS: Final = {
    EventOutcome.SUCCESS: "0",
    EventOutcome.FAILURE: "4",
    EventOutcome.SERIOUS: "8",
}
_GOOD_REMARKS: Final = (RemarkKind.REMOVED, RemarkKind.CLOCK)


def audit_message(entry: TrailEntry) -> bytes:
    """The message, XML in UTF-8."""
    said = entry.said
    root = Xml.Element("AuditMessage")
    if isinstance(said, Remark):
        message, event = _OF_THE_TRAIL, Event(
            Action.STARTED,
            EventOutcome.SUCCESS if said.kind in _GOOD_REMARKS else EventOutcome.SERIOUS,
            Actor(ActorKind.NODE, "audit trail"),
            detail=" ".join(filter(None, (said.kind.value, str(said.count), said.detail))),
        )  # fmt: skip
        word = said.kind.value
    else:
        message, event, word = _MESSAGES[said.action], said, said.action.value
    _identification(root, entry, event, message, word)
    _participants(root, entry, event, message)
    source = Xml.SubElement(root, "AuditSourceIdentification", AuditSourceID=_text(entry.node))
    Xml.SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})  # application server
    _objects(root, entry, event)
    head = b'<?xml version="1.0" encoding="UTF-8"?>'
    return head + Xml.tostring(root, encoding="unicode").encode("utf-8")


def _identification(
    root: Xml.Element, entry: TrailEntry, event: Event, message: _Message, word: str
) -> None:
    made = Xml.SubElement(
        root, "EventIdentification", EventActionCode=message.do, EventDateTime=entry.at,
        EventOutcomeIndicator=_INDICATORS[event.outcome],
    )  # fmt: skip
    _code(made, "EventID", message.event)
    if message.type is not None and (message is not _OF_THE_TRAIL or word == RemarkKind.LOST):
        _code(made, "EventTypeCode", message.type)
    _code(made, "EventTypeCode", (word.replace(" ", "-"), OWN_CODES, word))
    if event.detail:
        Xml.SubElement(made, "EventOutcomeDescription").text = _text(event.detail)


def _participants(root: Xml.Element, entry: TrailEntry, event: Event, message: _Message) -> None:
    actor = event.actor
    if actor.kind is not ActorKind.NODE:
        made = _participant(root, actor.name, actor.address, is_ae=actor.kind is ActorKind.PEER,
                            is_requestor=True, role=message.actor_is)  # fmt: skip
        if actor.role:
            _code(made, "RoleIDCode", (actor.role, OWN_CODES, actor.role))
        _code(made, "RoleIDCode", (actor.kind.value, OWN_CODES, actor.kind.value))
    _participant(root, entry.node, None, is_ae=True, is_requestor=actor.kind is ActorKind.NODE,
                 role=message.node_is)  # fmt: skip
    if event.peer is not None:
        is_goal = message is _TO_PEER
        role = _DESTINATION if is_goal else _SOURCE if event.action is Action.RECEIVED else None
        _participant(root, event.peer, None, is_ae=False, is_requestor=False, role=role)


def _participant(
    root: Xml.Element,
    name: str,
    address: str | None,
    *,
    is_ae: bool,
    is_requestor: bool,
    role: Code | None,
) -> Xml.Element:
    made = Xml.SubElement(
        root, "ActiveParticipant", UserID=_text(name),
        UserIsRequestor="true" if is_requestor else "false",
    )  # fmt: skip
    if is_ae:
        made.set("AlternativeUserID", _text(f"AETITLE={name}"))
    if address:
        made.set("NetworkAccessPointID", _text(address))
        made.set("NetworkAccessPointTypeCode", "2" if _is_ip(address) else "1")
    if role is not None:
        _code(made, "RoleIDCode", role)
    return made


def _objects(root: Xml.Element, entry: TrailEntry, event: Event) -> None:
    """The study; and the line of the trail, so that the copy elsewhere proves the one here."""
    if event.study is not None:
        made = Xml.SubElement(
            root, "ParticipantObjectIdentification", ParticipantObjectID=_text(event.study),
            ParticipantObjectTypeCode="2", ParticipantObjectTypeCodeRole="3",
        )  # fmt: skip
        if event.action in (Action.REMOVED, Action.ERASED):
            made.set("ParticipantObjectDataLifeCycle", "15")
        _code(made, "ParticipantObjectIDTypeCode", STUDY_KEY)
        Xml.SubElement(made, "ParticipantObjectName").text = "study"
    line = Xml.SubElement(
        root, "ParticipantObjectIdentification",
        ParticipantObjectID=f"urn:cadnode:audit:{entry.sequence}",
        ParticipantObjectTypeCode="2", ParticipantObjectTypeCodeRole="13",
    )  # fmt: skip
    _code(line, "ParticipantObjectIDTypeCode", ("12", "RFC-3881", "URI"))
    Xml.SubElement(line, "ParticipantObjectName").text = "Security Audit Log"
    for kind, value in (("sequence", str(entry.sequence)), ("hash", entry.hash)):
        coded = base64.b64encode(value.encode()).decode()
        Xml.SubElement(line, "ParticipantObjectDetail", type=kind, value=coded)


def _code(above: Xml.Element, name: str, code: Code) -> None:
    value, scheme, meaning = map(_text, code)
    fields = {"csd-code": value, "codeSystemName": scheme, "originalText": meaning}
    Xml.SubElement(above, name, fields)


def _text(text: str) -> str:
    """Without what XML cannot hold (XML 1.0, 2.2)."""
    return _NOT_IN_XML.sub("?", text)


def _is_ip(address: str) -> bool:
    try:
        ip_address(address)
    except ValueError:
        return False
    return True

"""How soon a study is read: what was said of it, and the rule that decides.

    STORAGE/priorities/<study>.json     what each of `Origin` has said; nothing of the patient

The rule: a study has the most urgent priority that anybody has stated.

| priority     | meant for                                     | who states it              |
|--------------|-----------------------------------------------|----------------------------|
| `urgent`     | somebody waits for it                         | who asks for it at once    |
| `diagnostic` | a symptom, or a call back: she is still there | peer, description, request |
| `screening`  | batches within days; all that nothing is said of | nobody has to           |

Within a priority the first that is ready is read first, and a reading is never broken off for
another. Nothing but the order depends on it: scores and reports are the same.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from cadnode.domain import Priority
from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file, tolerant
from cadnode.exam.patient import UNREADABLE
from cadnode.files import locked, make_folder, write_whole
from cadnode.settings import Settings
from cadnode.settings.sections import ListenerPeer

FOLDER: Final = "priorities"
_RANKS: Final = {Priority.URGENT: 1, Priority.DIAGNOSTIC: 2, Priority.SCREENING: 3}
_DESCRIPTIONS: Final = (
    "StudyDescription", "RequestedProcedureDescription", "PerformedProcedureStepDescription",
    "ReasonForTheRequestedProcedure",
)  # fmt: skip


class Origin(StrEnum):
    """Who has stated a priority."""

    REQUEST = "request"
    PEER = "peer"
    DESCRIPTION = "description"


def rank(priority: Priority) -> int:
    """Its place in a queue: the lowest is first, and none is 0, which jobs without one have."""
    return _RANKS[priority]


def most_urgent(stated: Iterable[Priority]) -> Priority:
    """The priority that counts of those that were stated; screening where there is none."""
    return min((Priority.SCREENING, *stated), key=rank)


def state(storage: Path, study: str, origin: Origin, priority: Priority) -> None:
    """Note what somebody has stated; of the same origin, the most urgent word stays.

    Raises
    ------
    OSError
        The disk is full.
    """
    if _is_said(_said(storage, study), origin, priority):
        return
    make_folder(storage / FOLDER)
    with locked(storage / FOLDER / ".lock", mode=0o640):
        said = _said(storage, study)
        if not _is_said(said, origin, priority):
            said[origin] = priority
            document = {one.value: word.value for one, word in said.items()}
            write_whole(_path(storage, study), json.dumps(document).encode())


def _is_said(said: dict[Origin, Priority], origin: Origin, priority: Priority) -> bool:
    known = said.get(origin)
    return known is not None and rank(known) <= rank(priority)


def priority_of(storage: Path, study: str) -> Priority:
    """The priority of a study, as far as it has been stated."""
    return most_urgent(_said(storage, study).values())


def of_sender(peers: Sequence[ListenerPeer], ae_title: str, address: str) -> Priority | None:
    """What the settings say of whoever sends; None: nothing."""
    where = ip_address(address)
    found = [
        peer.priority
        for peer in peers
        if peer.priority is not None
        and peer.has(ae_title)
        and where in ip_network(peer.address, strict=False)
    ]
    return most_urgent(found) if found else None


def of_files(settings: Settings, paths: Sequence[Path]) -> Priority | None:
    """What the first header that can be read says of its study, by the settings' words."""
    words = [word.casefold() for word in settings.study.diagnostic_words]
    if not words:
        return None
    for path in paths:
        try:
            header = open_file(path).header
        except (NotProcessable, OSError):
            continue
        said = []
        for keyword in _DESCRIPTIONS:
            with tolerant(), suppress(*UNREADABLE):
                said.append(str(header.get(keyword) or "").casefold())
        return Priority.DIAGNOSTIC if any(w in text for w in words for text in said) else None
    return None


def decided(settings: Settings, study: str, paths: Sequence[Path]) -> Priority:
    """The priority that a study is queued with, what its description says noted with the rest."""
    storage = settings.storage.folder
    found = of_files(settings, paths)
    if found is not None:
        with suppress(OSError):  # a full disk: it is read all the same
            state(storage, study, Origin.DESCRIPTION, found)
    return most_urgent([priority_of(storage, study), *([found] if found else [])])


def forget_old(storage: Path, before: float, spooled: Iterable[str]) -> int:
    """Number of studies of which the priority is forgotten: stated before then, and not here."""
    here, count = {*spooled}, 0
    for path in (storage / FOLDER).glob("*.json"):
        if path.stem not in here and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
            count += 1
    return count


def _path(storage: Path, study: str) -> Path:
    return storage / FOLDER / f"{study}.json"


def _said(storage: Path, study: str) -> dict[Origin, Priority]:
    """What was stated; nothing where the file is missing, or nobody knows what it says."""
    try:
        document = json.loads(_path(storage, study).read_bytes())
        return {Origin(one): Priority(word) for one, word in document.items()}
    except (OSError, ValueError, AttributeError):
        return {}

"""Objects stored in an Orthanc by its REST interface: `POST /instances`, one file at a time.

Orthanc answers {"Status": "Success"} or {"Status": "AlreadyStored"}; with `OverwriteInstances` it
replaces what it had and answers "Success". It distinguishes instances by patient, study, series
and SOP Instance UID together: another patient's object of our UID would stand beside ours. So it
is asked before each file what it holds under the UID; for another object nothing is sent.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset

from cadnode.deliver.answers import of_http
from cadnode.deliver.held import ANOTHER, PeerCopy, compared, from_file, judged, sent, worst
from cadnode.deliver.outcome import Delivered, RefusedObject, all_taken
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.deliver.over_http import OverHttp, delivering
from cadnode.errors import Again, PassingRefusal, PermanentDeliveryError
from cadnode.http import HttpPeerValues, PeerSession
from cadnode.limits import OWN_OBJECT_BYTES
from cadnode.log import get_logger
from cadnode.settings import Destination

log = get_logger("deliver")

_HAD_IT: Final = "AlreadyStored"
_TAKEN: Final = ("Success", _HAD_IT)
_NO_ANSWER: Final = (403, 404, 405, 410, 500, 501)  # reading is refused, or the file is gone
_NAME: Final = re.compile(r"[0-9a-f-]{1,64}")
_REFUSED: Final = (400, 409, 413, 415)  # this file; the next one may be taken


class OrthancKind(OverHttp):
    """Destinations of kind `orthanc`: Orthancs by their REST interface."""

    takes = Takes.OBJECTS
    serial = False

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        """The Orthanc's version."""
        return check(destination.http_values())

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        """The exam's objects, one after the other."""
        return send(outgoing.files, destination.http_values())


def send(files: Sequence[Path], destination: HttpPeerValues) -> Delivered:
    """What the Orthanc took: every file, as it is stored.

    Files that it refuses do not keep it from the others; the error comes after the last.

    Raises
    ------
    TransientDeliveryError
        It cannot be reached, is busy, out of storage or refuses our credentials: all of it may
        be sent again.
    PermanentDeliveryError
        It refuses some of the files, or holds another object under a file's UID, or it is no
        Orthanc.
    """
    refusals: list[RefusedObject] = []
    unseen: list[PeerCopy] = []
    with delivering(destination) as peer:
        version(peer)  # wrong credentials are noticed before megabytes are on their way
        for file in files:
            copy = _held(peer, file)
            if copy is PeerCopy.ANOTHER:
                refusals.append(RefusedObject(ANOTHER))
                continue
            status, refusal = _send_one(file, peer)
            if refusal is not None:
                refusals.append(refusal)
            elif status == _HAD_IT and copy is not PeerCopy.OURS:
                unseen.append(
                    PeerCopy.UNKNOWN if copy is PeerCopy.UNKNOWN else _arrived(peer, file)
                )
    others, n_unverified = judged(unseen, destination.name)
    refusals += others
    n_sent = len(files) - len(refusals)
    log.info("files_sent", destination=destination.name, count=n_sent)
    return all_taken(n_sent, 0, refusals, destination.name, n_unverified)


def version(peer: PeerSession) -> str:
    """Version that the Orthanc states.

    Raises
    ------
    HttpFailure
        It does not answer, or refuses us.
    PassingRefusal
        What answers is no Orthanc.
    """
    system = peer.get_json("/system")
    if not isinstance(system, dict) or "ApiVersion" not in system:
        raise PassingRefusal(f"{peer.name} is no Orthanc: is the url right?")
    return str(system.get("Version", "unknown"))


def check(destination: HttpPeerValues) -> str:
    """What was found: the Orthanc's version. Raises `DeliveryError` as `send` does."""
    with delivering(destination) as peer:
        return f"Orthanc {version(peer)}"


def _arrived(peer: PeerSession, file: Path) -> PeerCopy:
    """What the Orthanc holds of a file that it did not have when it was asked before."""
    return _held(peer, file) or PeerCopy.UNKNOWN


def _held(peer: PeerSession, file: Path) -> PeerCopy | None:
    """What the Orthanc holds under a file's SOP Instance UID; None when nothing.

    Version 1.12 and earlier: `POST /tools/lookup`, then the stored file itself.
    """
    try:
        ours = sent(file)
    except PermanentDeliveryError:
        return None  # the Orthanc will report what is wrong with it
    uid = str(ours.get("SOPInstanceUID") or "")
    with peer.request("POST", "/tools/lookup", data=uid, also=_NO_ANSWER) as response:
        if response.status_code in _NO_ANSWER:
            return PeerCopy.UNKNOWN
        found = peer.json_of(response)
    names = [_instance(one) for one in found] if isinstance(found, list) else []
    copies = [_compared(peer, name, ours) for name in names if name]
    return worst(copies) if copies else None


def _instance(found: Any) -> str:
    """Orthanc's identifier of an instance that was looked up; "" of anything else."""
    is_instance = isinstance(found, dict) and found.get("Type") == "Instance"
    name = str(found.get("ID")) if is_instance else ""
    return name if _NAME.fullmatch(name) else ""


def _compared(peer: PeerSession, name: str, ours: Dataset) -> PeerCopy:
    """Whether a stored instance is ours; unknown when it is not given out."""
    with peer.request("GET", f"/instances/{name}/file", also=_NO_ANSWER) as response:
        if response.status_code in _NO_ANSWER:
            return PeerCopy.UNKNOWN
        theirs = from_file(io.BytesIO(peer.body_of(response, at_most=OWN_OBJECT_BYTES)))
    return PeerCopy.UNKNOWN if theirs is None else compared(ours, theirs)


def _send_one(file: Path, peer: PeerSession) -> tuple[str, RefusedObject | None]:
    """The Orthanc's status of a file, and why it refuses it; None when it took it."""
    headers = {"Content-Type": "application/dicom", "Accept": "application/json"}
    with (
        file.open("rb") as data,
        peer.request("POST", "/instances", data=data, headers=headers, also=_REFUSED) as response,
    ):
        if response.status_code in _REFUSED:
            refused = response.status_code
            return "", RefusedObject(f"answered {refused}", of_http(refused))
        answer = peer.json_of(response)
    status = answer.get("Status") if isinstance(answer, dict) else None
    if status in _TAKEN:
        return str(status), None
    # Orthanc's own words only: what else an answer holds may be anything.
    words = "FilteredOut" if status == "FilteredOut" else "Failure"
    return "", RefusedObject(f"answered {words}", Again.SLOWLY)

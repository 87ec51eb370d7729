"""Objects stored in an Orthanc by its REST interface: `POST /instances`, one file at a time.

Orthanc answers {"Status": "Success"} or {"Status": "AlreadyStored"}; with `OverwriteInstances` it
answers "Success" to an object that it had. Either way it holds each object once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cadnode.deliver.http import HttpPeerValues, Peer, delivering, json_of
from cadnode.deliver.outcome import Delivered, all_taken
from cadnode.errors import PermanentDeliveryError
from cadnode.log import get_logger

log = get_logger("deliver")

_TAKEN: Final = ("Success", "AlreadyStored")
_REFUSED: Final = (400, 409, 413, 415)  # this file; the next one may be taken


def send(files: Sequence[Path], destination: HttpPeerValues) -> Delivered:
    """What the Orthanc took: every file, as it is stored.

    Files that it refuses do not keep it from the others; the error comes after the last.

    Raises
    ------
    TransientDeliveryError
        It cannot be reached, is busy, out of storage or refuses our credentials: all of it may
        be sent again.
    PermanentDeliveryError
        It refuses some of the files, or it is no Orthanc.
    """
    refusals = []
    with delivering(destination) as peer:
        version(peer)  # wrong credentials are told before megabytes are on their way
        for file in files:
            refusal = _send_one(file, peer)
            if refusal:
                refusals.append(refusal)
    n_sent = len(files) - len(refusals)
    log.info("files_sent", destination=destination.name, count=n_sent)
    return all_taken(n_sent, 0, refusals, destination.name)


def version(peer: Peer) -> str:
    """Version that the Orthanc states.

    Raises
    ------
    HttpFailure
        It does not answer, or refuses us.
    PermanentDeliveryError
        What answers is no Orthanc.
    """
    system = peer.get_json("/system")
    if not isinstance(system, dict) or "ApiVersion" not in system:
        raise PermanentDeliveryError(f"{peer.name} is no Orthanc: is the url right?")
    return str(system.get("Version", "unknown"))


def check(destination: HttpPeerValues) -> str:
    """What was found: the Orthanc's version. Raises `DeliveryError` as `send` does."""
    with delivering(destination) as peer:
        return f"Orthanc {version(peer)}"


def _send_one(file: Path, peer: Peer) -> str:
    """Why the Orthanc refuses a file; "" when it took it."""
    headers = {"Content-Type": "application/dicom", "Accept": "application/json"}
    with (
        file.open("rb") as data,
        peer.request("POST", "/instances", data=data, headers=headers, also=_REFUSED) as response,
    ):
        if response.status_code in _REFUSED:
            return f"answered {response.status_code}"
        answer = json_of(response, peer.name)
    status = answer.get("Status") if isinstance(answer, dict) else None
    if status in _TAKEN:
        return ""
    # Orthanc's own words only: what else an answer holds may be anything.
    return "answered FilteredOut" if status == "FilteredOut" else "answered Failure"

"""A bundle of FHIR resources posted to a server: one transaction, all of it or nothing.

FHIR R5 3.2.0.13 (transaction), 3.2.0.9.1 (conditional create).
"""

import re
from pathlib import Path
from typing import Any, Final

from cadnode.deliver.answers import of_http
from cadnode.deliver.outcome import Delivered, RefusedObject, all_taken
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.deliver.over_http import OverHttp, delivering
from cadnode.errors import PassingRefusal, TransientDeliveryError
from cadnode.http import HttpPeerValues
from cadnode.log import get_logger
from cadnode.settings import Destination

log = get_logger("deliver")

FHIR_JSON: Final = "application/fhir+json"
_TAKEN: Final = re.compile(r"20[01]\b")  # 201: made; 200: the server had it
# Two bundles at once meet in the device that both name (R5 3.2.0.9.1; 423: a server's own lock).
_COLLIDED: Final = (409, 412, 423)
_SAFE: Final = re.compile(r"[A-Za-z0-9.-]{1,40}")


class FhirKind(OverHttp):
    """Destinations of kind `fhir`: FHIR R5 servers."""

    takes = Takes.BUNDLE
    serial = True  # bundles of studies share resources: the patient, the device

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        """The FHIR version that the server states."""
        return check(destination.http_values())

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        """The exam's bundle, as one transaction."""
        (bundle,) = outgoing.files
        return send(bundle, destination.http_values())


def send(bundle: Path, destination: HttpPeerValues) -> Delivered:
    """What the server holds now: each resource of the bundle, made or there before.

    The file is read piecewise while it is sent. Sending it again makes nothing twice.

    Raises
    ------
    TransientDeliveryError
        The server cannot be reached, is busy, fails, refuses our credentials, or holds what
        another bundle changes at this moment: the bundle may be sent again.
    PermanentDeliveryError
        It refuses the bundle, or its answer is no transaction's.
    """
    headers = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON}
    with (
        delivering(destination) as peer,
        bundle.open("rb") as data,
        peer.request("POST", "", data=data, headers=headers, also=_COLLIDED) as response,
    ):
        if response.status_code in _COLLIDED:
            text = f"{peer.name} is changing the same resources ({response.status_code})"
            raise TransientDeliveryError(text)
        answer = peer.json_of(response)
    delivered = outcome(answer, destination.name)
    log.info("files_sent", destination=destination.name, count=delivered.n_sent)
    return delivered


def outcome(answer: Any, name: str) -> Delivered:
    """What became of each resource, by a `transaction-response`.

    Raises
    ------
    DeliveryError
        The answer is none, or a resource was refused.
    """
    is_bundle = isinstance(answer, dict) and answer.get("type") == "transaction-response"
    entries = answer.get("entry") if is_bundle else None
    if not isinstance(entries, list):
        raise PassingRefusal(f"{name} did not answer as a FHIR server does: is the url right?")
    states = [_status(entry) for entry in entries]
    refusals = [_refused(state) for state in states if not _TAKEN.match(state)]
    return all_taken(len(states) - len(refusals), 0, refusals, name)


def check(destination: HttpPeerValues) -> str:
    """What was found: the FHIR version that the server states. Raises `DeliveryError` as `send`."""
    with (
        delivering(destination) as peer,
        peer.request("GET", "/metadata", headers={"Accept": FHIR_JSON}) as response,
    ):
        stated = peer.json_of(response)
    version = stated.get("fhirVersion") if isinstance(stated, dict) else None
    if not isinstance(version, str) or not _SAFE.fullmatch(version):
        raise PassingRefusal(f"{destination.name} is no FHIR server: is the url right?")
    warning = "" if version.startswith("5.") else "; our bundles are R5"
    return f"FHIR {version}{warning}"


def _refused(state: str) -> RefusedObject:
    status = int(state) if state.isdigit() else None
    return RefusedObject(f"answered {state}", of_http(status))


def _status(entry: Any) -> str:
    """An entry's HTTP status; the server's other words stay out of our messages."""
    response = entry.get("response") if isinstance(entry, dict) else None
    status = response.get("status") if isinstance(response, dict) else None
    return status[:3] if isinstance(status, str) and status[:3].isdigit() else "nothing"

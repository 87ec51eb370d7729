"""What `cadnode orthanc check` checks.

Does Orthanc notify the node of mammograms, does it get them, and do results come back?
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cadnode.errors import SettingsError
from cadnode.http import HttpFailure, HttpPeerValues, PeerSession, connected
from cadnode.node.checks import Check, CheckVerdict, destination_check, source_check
from cadnode.orthanc_setup.plan import Reached
from cadnode.settings import Settings
from cadnode.terminal import counted

OLDEST: Final = (1, 10)
OLDEST_PYTHON: Final = (4, 0)
_WITHIN_S: Final = 10.0
_ANY_STATUS: Final = tuple(range(300, 600))


@dataclass(frozen=True)
class OrthancAddress:
    """Where the Orthanc to be checked is, and the user for it."""

    url: str
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None

    def values(self) -> HttpPeerValues:
        """As an HTTP peer. Raises `SettingsError` when the user has no password."""
        if self.username and self.password_file is None:
            raise SettingsError("--username needs --password-file")
        return HttpPeerValues(
            "orthanc", self.url.rstrip("/"), self.username, self.password_file,
            ca_file=self.ca_file, timeout_s=_WITHIN_S,
        )  # fmt: skip


@dataclass(frozen=True)
class _Answer:
    """Of Orthanc: any status, the body as text."""

    status_code: int
    text: str

    def json(self) -> Any:
        """Parsed; raises `ValueError` when it is no JSON."""
        try:
            return json.loads(self.text)
        except RecursionError:
            raise ValueError from None


class _Orthanc:
    """Its REST interface."""

    def __init__(self, address: OrthancAddress, peer: PeerSession) -> None:
        self.address = address
        self._peer = peer

    def ask(self, method: str, path: str, body: str | None = None) -> _Answer:
        """The response, whatever its status. Raises `HttpFailure` when there is none."""
        with self._peer.request(method, path, also=_ANY_STATUS, data=body) as response:
            text = self._peer.body_of(response).decode("utf-8", "replace")
            return _Answer(response.status_code, text)

    def get(self, path: str) -> Any:
        """Parsed JSON, or None for any other answer than 200."""
        answer = self.ask("GET", path)
        return answer.json() if answer.status_code == 200 else None


def run(address: OrthancAddress, node: Settings | None) -> Iterator[Check]:
    """Checks in the order of their dependencies; stops where no further one can pass.

    `node` are the settings of the node on this machine, when they are known.
    """
    try:
        with connected(address.values()) as peer:
            yield from _run(_Orthanc(address, peer), node)
    except HttpFailure as failure:
        yield Check(
            "orthanc", CheckVerdict.FAILED, f"{address.url}: {failure}",
            "is Orthanc running, are --url, --password-file and --ca-file right, and (from another "
            'machine) is "RemoteAccessAllowed" true?',
        )  # fmt: skip
    except ValueError:
        yield Check(
            "orthanc", CheckVerdict.FAILED, f"{address.url} does not answer in JSON",
            "is an Orthanc really running at this address?",
        )  # fmt: skip


def _run(orthanc: _Orthanc, node: Settings | None) -> Iterator[Check]:
    answer = orthanc.ask("GET", "/system")
    if answer.status_code in (401, 403):
        yield Check(
            "orthanc", CheckVerdict.FAILED, f"{orthanc.address.url} asks for a user",
            'give --username and --password-file, as in "RegisteredUsers"',
        )  # fmt: skip
        return
    system = answer.json()
    yield _version(system)
    yield _clock(orthanc)
    yield from _python(orthanc)
    health = orthanc.ask("GET", "/cadnode/health")
    if health.status_code == 404:
        yield Check(
            "cadnode plugin", CheckVerdict.FAILED, "not loaded",
            "`cadnode orthanc install`, restart Orthanc; its log says which script it runs",
        )  # fmt: skip
        return
    body = health.json()
    yield from _health(body)
    yield from _modality(orthanc, body)
    yield from _rights(orthanc)
    if node is not None:
        yield from _way_back(node, _reached(orthanc.address, system))


def _version(system: dict[str, Any]) -> Check:
    version = str(system.get("Version", "?"))
    if version == "mainline" or numbers(version) >= OLDEST:
        return Check("orthanc", CheckVerdict.OK, f"{version} ({system.get('Name')})")
    return Check(
        "orthanc", CheckVerdict.WARNING, f"{version} is older than what was tried (1.10)",
        "update Orthanc",
    )  # fmt: skip


def numbers(version: str) -> tuple[int, ...]:
    """`(1, 12, 4)` of "1.12.4"."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _clock(orthanc: _Orthanc) -> Check:
    answer = orthanc.ask("GET", "/tools/now")
    now = datetime.now(UTC)
    try:
        theirs = datetime.strptime(answer.text.strip(), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return Check("clock", CheckVerdict.WARNING, "Orthanc does not report its time")
    apart = abs((theirs - now).total_seconds())
    if apart < 60:
        return Check("clock", CheckVerdict.OK, f"{apart:.0f} s apart")
    return Check(
        "clock", CheckVerdict.WARNING, f"Orthanc's and this clock are {apart:.0f} s apart",
        "let both machines keep time by NTP",
    )  # fmt: skip


def _python(orthanc: _Orthanc) -> Iterator[Check]:
    if "python" not in (orthanc.get("/plugins") or ()):
        yield Check(
            "python plugin", CheckVerdict.FAILED, "not loaded",
            "apt-get install orthanc-python, and libOrthancPython.so in \"Plugins\"",
        )  # fmt: skip
        return
    version = str((orthanc.get("/plugins/python") or {}).get("Version", "?"))
    is_new = version == "mainline" or numbers(version) >= OLDEST_PYTHON
    yield Check(
        "python plugin", CheckVerdict.OK if is_new else CheckVerdict.WARNING, version,
        "" if is_new else "older than what was tried (4.0): update it",
    )  # fmt: skip


def _health(body: dict[str, Any]) -> Iterator[Check]:
    queue = body.get("queue") or {}
    queued = counted(queue.get("length", 0), "study", "studies")
    found = f"mode {body.get('mode', '?')}, {queued} in its queue"
    problems = [p for p in body.get("problems", []) if isinstance(p, dict)]
    if body.get("mode") is None:
        wrong = problems[0] if problems else {}
        yield Check(
            "cadnode plugin", CheckVerdict.FAILED, str(wrong.get("error", "degraded")),
            str(wrong.get("hint", "Orthanc's log says more")),
        )  # fmt: skip
        return
    yield Check("cadnode plugin", CheckVerdict.OK, found)
    node = body.get("node")
    if isinstance(node, dict):
        verdict = CheckVerdict.OK if node.get("status") == "ok" else CheckVerdict.WARNING
        yield Check("node, from Orthanc", verdict, f"{node.get('status')}, {node.get('version')}")
    for problem in problems:
        failing = node is None or problem.get("severity") != "warning"
        yield Check(
            "node, from Orthanc", CheckVerdict.FAILED if failing else CheckVerdict.WARNING,
            str(problem.get("error") or problem.get("meaning")), str(problem.get("hint", "")),
        )  # fmt: skip


def _modality(orthanc: _Orthanc, body: dict[str, Any]) -> Iterator[Check]:
    """Mode "store" only: whether Orthanc reaches the node's listener."""
    if body.get("mode") != "store":
        return
    name = str(body.get("modality", "cadnode"))
    if name not in (orthanc.get("/modalities") or ()):
        yield Check(
            "C-STORE to the node", CheckVerdict.FAILED, f'Orthanc knows no modality "{name}"',
            f'"DicomModalities": {{"{name}": ["CADNODE", "127.0.0.1", 11112]}}, or '
            "`cadnode orthanc install --mode store`",
        )  # fmt: skip
        return
    answer = orthanc.ask("POST", f"/modalities/{name}/echo", "{}")
    is_ok = answer.status_code == 200
    yield Check(
        "C-STORE to the node", CheckVerdict.OK if is_ok else CheckVerdict.FAILED,
        f"{name} answered C-ECHO" if is_ok else f"{name} did not answer C-ECHO",
        "" if is_ok else "does `cadnode serve` run, and are AE title, host and port the node's?",
    )  # fmt: skip


def _rights(orthanc: _Orthanc) -> Iterator[Check]:
    """Whether results may be uploaded; nothing is: an empty body is refused either way."""
    answer = orthanc.ask("POST", "/instances", "")
    is_allowed = answer.status_code not in (401, 403, 405)
    yield Check(
        "rights", CheckVerdict.OK if is_allowed else CheckVerdict.FAILED,
        "may read and upload" if is_allowed else f"upload: HTTP {answer.status_code}",
        "" if is_allowed else "the user that the node is needs the right to POST /instances",
    )  # fmt: skip


def _reached(address: OrthancAddress, system: dict[str, Any]) -> Reached:
    """The Orthanc in question, as it identifies itself."""
    unset = Reached(address.url)
    return Reached(
        address.url,
        str(system.get("DicomAet", unset.ae_title)),
        int(system.get("DicomPort", unset.port)),
    )


def _way_back(node: Settings, orthanc: Reached) -> Iterator[Check]:
    """Whether results come back to this Orthanc, and what the node itself reaches."""
    if not node.destinations:
        yield Check(
            "results", CheckVerdict.FAILED, "the node has no [[destinations]]",
            'add one of kind "orthanc" (or "dicom"): `cadnode orthanc install --config FILE`',
        )  # fmt: skip
    elif not any(map(orthanc.gets, node.destinations)):
        yield Check(
            "results", CheckVerdict.WARNING,
            f"by their addresses, none of the node's [[destinations]] is {orthanc.url} or "
            f"{orthanc.ae_title} on port {orthanc.port}: results go elsewhere",
            "right if that forwards them, or is this Orthanc by another name; else "
            "`cadnode orthanc install --config FILE` adds it",
        )  # fmt: skip
    for source in node.sources:
        yield source_check(source, node.listener.ae_title)
    advice = {"dicom": 'Orthanc needs "DicomAlwaysAllowStore" or an entry for this node'}
    for destination in node.destinations:
        yield destination_check(node, destination, advice)

"""What `cadnode orthanc check` looks at.

Does Orthanc tell the node of mammograms, does it get them, and do results come back?
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import requests

from cadnode.app.checks import Check, Verdict
from cadnode.errors import SettingsError
from cadnode.settings import Destination, HttpPeer, Settings, Source

OLDEST: Final = (1, 10)
OLDEST_PYTHON: Final = (4, 0)
_WITHIN_S: Final = 10.0


@dataclass(frozen=True)
class OrthancAddress:
    """Where the Orthanc to be checked is, and as whom it is asked."""

    url: str
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def of(cls, peer: HttpPeer) -> "OrthancAddress":
        """Of a source or destination in the node's settings."""
        return cls(str(peer.url), peer.username, peer.password_file, peer.ca_file)


class _Orthanc:
    """Its REST interface; `problem` is a failed request in words."""

    def __init__(self, address: OrthancAddress) -> None:
        self.address = address
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(address.ca_file) if address.ca_file else True
        if address.username:
            self._session.auth = (address.username, _password(address.password_file))

    def ask(self, method: str, path: str, body: str | None = None) -> requests.Response:
        """The answer. Raises `requests.RequestException` when there is none."""
        url = self.address.url.rstrip("/") + path
        return self._session.request(
            method, url, data=body, timeout=_WITHIN_S, allow_redirects=False
        )

    def get(self, path: str) -> Any:
        """Parsed JSON, or None for any other answer than 200."""
        answer = self.ask("GET", path)
        return answer.json() if answer.status_code == 200 else None

    def close(self) -> None:
        """End the session."""
        self._session.close()


def _password(file: Path | None) -> str:
    if file is None:
        raise SettingsError("--username needs --password-file")
    try:
        return (file.read_text(encoding="utf-8").splitlines() or [""])[0]
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error


def run(address: OrthancAddress, node: Settings | None) -> Iterator[Check]:
    """Checks in the order in which one thing needs the other; stops where nothing more can be said.

    `node` are the settings of the node on this machine, when they are known.
    """
    orthanc = _Orthanc(address)
    try:
        yield from _run(orthanc, node)
    except requests.RequestException as error:
        yield Check(
            "orthanc", Verdict.FAILED, f"{address.url} is not reached ({type(error).__name__})",
            "is Orthanc running, is --url right, and (from another machine) is "
            '"RemoteAccessAllowed" true?',
        )  # fmt: skip
    except ValueError:
        yield Check(
            "orthanc", Verdict.FAILED, f"{address.url} does not answer in JSON",
            "is there really an Orthanc at this address?",
        )  # fmt: skip
    finally:
        orthanc.close()


def _run(orthanc: _Orthanc, node: Settings | None) -> Iterator[Check]:
    answer = orthanc.ask("GET", "/system")
    if answer.status_code in (401, 403):
        yield Check(
            "orthanc", Verdict.FAILED, f"{orthanc.address.url} asks for a user",
            'give --username and --password-file, as in "RegisteredUsers"',
        )  # fmt: skip
        return
    yield _version(answer.json())
    yield _clock(orthanc)
    yield from _python(orthanc)
    health = orthanc.ask("GET", "/cadnode/health")
    if health.status_code == 404:
        yield Check(
            "cadnode plugin", Verdict.FAILED, "not loaded",
            "`cadnode orthanc install`, restart Orthanc; its log says which script it runs",
        )  # fmt: skip
        return
    body = health.json()
    yield from _health(body)
    yield from _modality(orthanc, body)
    yield from _rights(orthanc)
    if node is not None:
        yield from _way_back(node)


def _version(system: dict[str, Any]) -> Check:
    version = str(system.get("Version", "?"))
    if version == "mainline" or numbers(version) >= OLDEST:
        return Check("orthanc", Verdict.OK, f"{version} ({system.get('Name')})")
    return Check(
        "orthanc", Verdict.WARNING, f"{version} is older than what was tried (1.10)",
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
        return Check("clock", Verdict.WARNING, "Orthanc does not tell its time")
    apart = abs((theirs - now).total_seconds())
    if apart < 60:
        return Check("clock", Verdict.OK, f"{apart:.0f} s apart")
    return Check(
        "clock", Verdict.WARNING, f"Orthanc's and this clock are {apart:.0f} s apart",
        "let both machines keep time by NTP",
    )  # fmt: skip


def _python(orthanc: _Orthanc) -> Iterator[Check]:
    if "python" not in (orthanc.get("/plugins") or ()):
        yield Check(
            "python plugin", Verdict.FAILED, "not loaded",
            "apt-get install orthanc-python, and libOrthancPython.so in \"Plugins\"",
        )  # fmt: skip
        return
    version = str((orthanc.get("/plugins/python") or {}).get("Version", "?"))
    is_new = version == "mainline" or numbers(version) >= OLDEST_PYTHON
    yield Check(
        "python plugin", Verdict.OK if is_new else Verdict.WARNING, version,
        "" if is_new else "older than what was tried (4.0): update it",
    )  # fmt: skip


def _health(body: dict[str, Any]) -> Iterator[Check]:
    queue = body.get("queue") or {}
    found = f"mode {body.get('mode', '?')}, {queue.get('length', 0)} studies in its queue"
    problems = [p for p in body.get("problems", []) if isinstance(p, dict)]
    if body.get("mode") is None:
        wrong = problems[0] if problems else {}
        yield Check(
            "cadnode plugin", Verdict.FAILED, str(wrong.get("error", "degraded")),
            str(wrong.get("hint", "Orthanc's log says more")),
        )  # fmt: skip
        return
    yield Check("cadnode plugin", Verdict.OK, found)
    node = body.get("node")
    if isinstance(node, dict):
        verdict = Verdict.OK if node.get("status") == "ok" else Verdict.WARNING
        yield Check("node, from Orthanc", verdict, f"{node.get('status')}, {node.get('version')}")
    for problem in problems:
        failing = node is None or problem.get("severity") != "warning"
        yield Check(
            "node, from Orthanc", Verdict.FAILED if failing else Verdict.WARNING,
            str(problem.get("error") or problem.get("meaning")), str(problem.get("hint", "")),
        )  # fmt: skip


def _modality(orthanc: _Orthanc, body: dict[str, Any]) -> Iterator[Check]:
    """Mode "store" only: whether Orthanc reaches the node's listener."""
    if body.get("mode") != "store":
        return
    name = str(body.get("modality", "cadnode"))
    if name not in (orthanc.get("/modalities") or ()):
        yield Check(
            "C-STORE to the node", Verdict.FAILED, f'Orthanc knows no modality "{name}"',
            f'"DicomModalities": {{"{name}": ["CADNODE", "127.0.0.1", 11112]}}, or '
            "`cadnode orthanc install --mode store`",
        )  # fmt: skip
        return
    answer = orthanc.ask("POST", f"/modalities/{name}/echo", "{}")
    is_ok = answer.status_code == 200
    yield Check(
        "C-STORE to the node", Verdict.OK if is_ok else Verdict.FAILED,
        f"{name} answered C-ECHO" if is_ok else f"{name} did not answer C-ECHO",
        "" if is_ok else "does `cadnode serve` run, and are AE title, host and port the node's?",
    )  # fmt: skip


def _rights(orthanc: _Orthanc) -> Iterator[Check]:
    """Whether results may be uploaded; nothing is: an empty body is refused either way."""
    answer = orthanc.ask("POST", "/instances", "")
    is_allowed = answer.status_code not in (401, 403, 405)
    yield Check(
        "rights", Verdict.OK if is_allowed else Verdict.FAILED,
        "may read and upload" if is_allowed else f"upload: HTTP {answer.status_code}",
        "" if is_allowed else "the user that the node is needs the right to POST /instances",
    )  # fmt: skip


def _way_back(node: Settings) -> Iterator[Check]:
    """What the node itself reaches: its sources and destinations."""
    if not node.destinations:
        yield Check(
            "results", Verdict.FAILED, "the node has no [[destinations]]",
            'add one of kind "orthanc" (or "dicom"): `cadnode orthanc install --config FILE`',
        )  # fmt: skip
    for source in node.sources:
        yield _peer(f"source {source.name}", source)
    for destination in node.destinations:
        if destination.kind == "orthanc":
            yield _peer(f"destination {destination.name}", destination)
        elif destination.kind == "dicom":
            yield _echo(node, destination)


def _peer(name: str, peer: Source | Destination) -> Check:
    if peer.kind != "orthanc":
        return Check(name, Verdict.OK, f"kind {peer.kind}: not looked at here")
    orthanc = _Orthanc(OrthancAddress.of(peer))
    try:
        status = orthanc.ask("GET", "/system").status_code
    except requests.RequestException as error:
        return Check(
            name, Verdict.FAILED, f"{peer.url} is not reached ({type(error).__name__})",
            "is its url the Orthanc that this machine reaches?",
        )  # fmt: skip
    finally:
        orthanc.close()
    if status == 200:
        return Check(name, Verdict.OK, f"{peer.url} answers")
    return Check(
        name, Verdict.FAILED, f"{peer.url} answers HTTP {status}",
        "username and password_file must be of a user in Orthanc's \"RegisteredUsers\"",
    )  # fmt: skip


def _echo(node: Settings, destination: Destination) -> Check:
    from cadnode.app.sending import echo
    from cadnode.errors import CadnodeError

    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    try:
        echo(node, destination)
    except CadnodeError as error:
        return Check(
            f"destination {destination.name}", Verdict.FAILED, f"{where}: {error}",
            'Orthanc needs "DicomAlwaysAllowStore" or an entry for this node',
        )  # fmt: skip
    return Check(f"destination {destination.name}", Verdict.OK, f"{where} answered C-ECHO")

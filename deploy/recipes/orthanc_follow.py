"""Announce to cadnode the mammograms in an Orthanc into which nothing can be installed.

Runs beside Orthanc or on the node, with Python 3.8 or later and nothing else:

    ORTHANC_USER=cadnode ORTHANC_PASSWORD_FILE=/etc/cadnode/orthanc \\
    CADNODE_TOKEN_FILE=/etc/cadnode/cadnode.token \\
    python3 orthanc_follow.py http://127.0.0.1:8042 http://127.0.0.1:8114 /var/lib/cadnode/follow

It follows Orthanc's log of changes and, for every study with mammograms that became stable, calls
`POST /api/studies` of the node, which fetches it ([[sources]] name = "orthanc"). The third argument
is the file that records how far it has come. Announcing a study twice has no effect, so that it can
be stopped at any time; it continues where it stopped. Studies that were still arriving when Orthanc
itself was stopped are not found (the plugin finds them).
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

EVERY_S = 5.0
LOG = logging.getLogger("cadnode")


class Server:
    """An HTTP server with JSON bodies; `headers` hold the credentials."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url, self._headers = url.rstrip("/"), headers
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path: str, body: Any = None) -> Any:
        """Answer of a GET, or of a POST when there is a body. Raises `OSError`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data, headers)
        with self._opener.open(request, timeout=30) as answer:
            return json.load(answer)


def has_mammograms(orthanc: Server, study: str) -> bool:
    """Whether there is a series of mammograms that is not the node's own."""
    tags = [series["MainDicomTags"] for series in orthanc.ask(f"/studies/{study}/series")]
    return any(t.get("Modality") == "MG" and t.get("Manufacturer") != "cadnode" for t in tags)


def announce(orthanc: Server, node: Server, study: str, source: str = "orthanc") -> None:
    """Let the node fetch a study, unless it is gone or has no mammograms. Raises `OSError`."""
    try:
        if not has_mammograms(orthanc, study):
            return
        uid = orthanc.ask(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return
        raise
    node.ask("/api/studies", {"study_instance_uid": uid, "source": source, "orthanc_id": study})
    LOG.info("announced study %s to the node", study[:8])


def follow(orthanc: Server, node: Server, place: Path) -> None:
    """Work through everything new in the log of changes. Raises `OSError`."""
    if not place.exists():  # the first time: from here on, not the whole archive
        place.write_text(str(orthanc.ask("/changes?last")["Last"]))
    since, done = int(place.read_text()), False
    while not done:
        page = orthanc.ask(f"/changes?since={since}&limit=1000")
        for change in page["Changes"]:
            if change["ChangeType"] == "StableStudy":
                announce(orthanc, node, change["ID"])
        since, done = page["Last"], page["Done"]
        part = place.with_suffix(".part")
        part.write_text(str(since))
        part.replace(place)


def first_line(variable: str) -> str:
    """First line of the file that an environment variable names, or ""."""
    file = os.environ.get(variable)
    return Path(file).read_text().split("\n")[0].strip() if file else ""


def main(orthanc_url: str, node_url: str, place: str) -> None:
    """Follow for ever; what fails is retried."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    login = f"{os.environ.get('ORTHANC_USER', '')}:{first_line('ORTHANC_PASSWORD_FILE')}"
    basic = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    orthanc = Server(orthanc_url, basic if login != ":" else {})
    token = first_line("CADNODE_TOKEN_FILE")
    node = Server(node_url, {"Authorization": f"Bearer {token}"} if token else {})
    while True:
        try:
            follow(orthanc, node, Path(place))
        except (OSError, ValueError, KeyError) as error:
            LOG.warning("not yet: %s", error)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(*sys.argv[1:4])

"""An Orthanc of one's own on loopback, for the demo and for tests."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from cadnode.demo.ports import free_port, is_listening
from cadnode.errors import DeliveryError

START_WITHIN_S = 60.0


def find_orthanc() -> str | None:
    """Path of Orthanc's executable (`Orthanc` on Debian), or None."""
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc and its REST interface."""

    aet: str
    dicom_port: int
    http_port: int
    pid: int
    session: requests.Session

    def get(self, path: str) -> Any:
        """Parsed JSON of a GET, such as `get("/instances")`."""
        response = self.session.get(f"http://127.0.0.1:{self.http_port}{path}", timeout=20)
        response.raise_for_status()
        return response.json()

    def get_bytes(self, path: str) -> bytes:
        """Body of a GET, such as `get_bytes(f"/instances/{i}/file")`."""
        response = self.session.get(f"http://127.0.0.1:{self.http_port}{path}", timeout=20)
        response.raise_for_status()
        return response.content

    def post(self, path: str, data: bytes | dict[str, Any]) -> Any:
        """Parsed JSON of a POST; a dict is sent as JSON."""
        body = json.dumps(data).encode() if isinstance(data, dict) else data
        url = f"http://127.0.0.1:{self.http_port}{path}"
        response = self.session.post(url, data=body, timeout=60)
        response.raise_for_status()
        return response.json()


@contextmanager
def orthanc(
    folder: Path,
    *,
    executable: str | None = None,
    aet: str = "ORTHANC",
    modalities: Mapping[str, tuple[str, int]] | None = None,
    env: Mapping[str, str] | None = None,
    user: tuple[str, str] | None = None,
    **settings: Any,
) -> Iterator[Orthanc]:
    """An Orthanc that stores under `folder` and knows `modalities` (AE title, port).

    With a `user` (name, password) its REST interface is for that user alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = free_port(), free_port()
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "Name": "cadnode",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "DicomAet": aet,
                "DicomPort": dicom_port,
                "HttpPort": http_port,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": user is not None,
                "RegisteredUsers": dict([user] if user else []),
                "DicomAlwaysAllowEcho": True,
                "DicomAlwaysAllowStore": True,
                "DicomCheckCalledAet": False,
                "Plugins": [],
                "DicomModalities": {
                    name: [title, "127.0.0.1", port]
                    for name, (title, port) in (modalities or {}).items()
                },
                **settings,
            }
        )
    )
    with (folder / "orthanc.log").open("wb") as output:
        process = subprocess.Popen(
            [executable or find_orthanc() or "Orthanc", str(configuration)],
            stdout=output,
            stderr=output,
            env=env,
        )
    session = requests.Session()
    session.trust_env = False  # a proxy of the environment has no business on loopback
    if user is not None:
        session.auth = HTTPBasicAuth(user[0].encode(), user[1].encode())
    peer = Orthanc(aet, dicom_port, http_port, process.pid, session)
    try:
        _wait_for(peer, process)
        yield peer
    finally:
        session.close()
        process.terminate()
        process.wait(timeout=30)


def _wait_for(peer: Orthanc, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not (_answers(peer) and is_listening(peer.dicom_port)):
        if time.monotonic() > deadline or process.poll() is not None:
            raise DeliveryError("Orthanc did not start; its log is beside its storage folder")
        time.sleep(0.05)


def _answers(peer: Orthanc) -> bool:
    try:
        return bool(peer.get("/system"))
    except requests.RequestException:
        return False

"""Real peers on loopback: Orthanc and DCMTK's tools, each on a port free at the moment."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
    """The first true value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come true in time")
        time.sleep(0.02)
    return value


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_port(port: int, within_s: float = 30.0) -> None:
    """Return once somebody listens on `port`."""
    wait_until(lambda: is_listening(port), within_s)


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
    aet: str = "ORTHANC",
    modalities: Mapping[str, tuple[str, int]] | None = None,
    env: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Orthanc]:
    """A fresh Orthanc that stores under `folder` and knows `modalities` (AE title, port)."""
    folder.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = free_port(), free_port()
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "Name": "test",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "DicomAet": aet,
                "DicomPort": dicom_port,
                "HttpPort": http_port,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
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
            [ORTHANC, str(configuration)], stdout=output, stderr=output, env=env
        )
    session = requests.Session()
    peer = Orthanc(aet, dicom_port, http_port, process.pid, session)
    try:
        wait_until(lambda: process.poll() is not None or _answers(peer), within_s=60)
        wait_for_port(dicom_port)
        yield peer
    finally:
        session.close()
        process.terminate()
        process.wait(timeout=30)


def _answers(peer: Orthanc) -> bool:
    try:
        return bool(peer.get("/system"))
    except requests.RequestException:
        return False


@dataclass(frozen=True)
class StoreScp:
    """A running DCMTK `storescp`."""

    aet: str
    port: int
    pid: int


@contextmanager
def storescp(
    folder: Path, *options: str, aet: str = "DCMTK", env: Mapping[str, str] | None = None
) -> Iterator[StoreScp]:
    """DCMTK's `storescp`, storing into `folder`, with further command line options."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    process = subprocess.Popen(
        ["storescp", "+xa", "-aet", aet, "-od", str(folder), *options, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
    )  # fmt: skip
    try:
        wait_for_port(port)
        yield StoreScp(aet, port, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)

"""An archive for the demo: Orthanc when it is installed, else the node's own listener and spool."""

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadnode.errors import DeliveryError
from cadnode.http import Credentials, HttpFailure, HttpPeerValues, PeerSession, connected
from cadnode.receive import scp
from cadnode.receive.spool import Spool

START_WITHIN_S = 60.0
ANSWER_WITHIN_S = 60.0


def find_orthanc() -> str | None:
    """Path of Orthanc's executable (`Orthanc` on Debian), or None."""
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc and its REST interface; a request that fails raises `HttpFailure`."""

    aet: str
    dicom_port: int
    http_port: int
    pid: int
    peer: PeerSession

    def get(self, path: str) -> Any:
        """Parsed JSON of a GET, such as `get("/instances")`."""
        return self.peer.get_json(path)

    def get_bytes(self, path: str) -> bytes:
        """Body of a GET, such as `get_bytes(f"/instances/{i}/file")`."""
        with self.peer.request("GET", path) as response:
            return response.content

    def post(self, path: str, data: bytes | dict[str, Any]) -> Any:
        """Parsed JSON of a POST; a dict is sent as JSON."""
        body = json.dumps(data).encode() if isinstance(data, dict) else data
        with self.peer.request("POST", path, data=body) as response:
            return self.peer.json_of(response)


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
    values = HttpPeerValues("Orthanc", f"http://127.0.0.1:{http_port}", timeout_s=ANSWER_WITHIN_S)
    try:
        with connected(values, Credentials(*user) if user else None) as peer:
            running = Orthanc(aet, dicom_port, http_port, process.pid, peer)
            _wait_for(running, process)
            yield running
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(orthanc: Orthanc, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not (_answers(orthanc) and is_listening(orthanc.dicom_port)):
        if time.monotonic() > deadline or process.poll() is not None:
            raise DeliveryError("Orthanc did not start; its log is beside its storage folder")
        time.sleep(0.05)


def _answers(orthanc: Orthanc) -> bool:
    try:
        return bool(orthanc.get("/system"))
    except HttpFailure:
        return False


def free_port() -> int:
    """A port that was free a moment ago, and that no outgoing connection takes by chance.

    Linux gives outgoing connections ports from 32768 on (`ip_local_port_range`, ip(7)).

    Raises
    ------
    DeliveryError
        None of 200 ports is free.
    """
    for port in random.SystemRandom().sample(range(15000, 32000), 200):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise DeliveryError("no port is free on 127.0.0.1")


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


AE_TITLE = "ARCHIVE"


@dataclass(frozen=True, slots=True)
class DemoArchive:
    """A running archive. `instances()` gives the bytes of every object it holds, Part 10 files."""

    name: str
    ae_title: str
    port: int
    count: Callable[[], int]
    instances: Callable[[], Iterator[bytes]]


@contextmanager
def start(executable: str | None, folder: Path) -> Iterator[DemoArchive]:
    """Orthanc if `executable` names it, else the embedded archive, storing under `folder`."""
    with with_orthanc(executable, folder) if executable else embedded(folder) as archive:
        yield archive


@contextmanager
def with_orthanc(executable: str, folder: Path) -> Iterator[DemoArchive]:
    """A fresh Orthanc."""
    with orthanc(folder, executable=executable, aet=AE_TITLE) as peer:
        yield DemoArchive(
            "Orthanc",
            peer.aet,
            peer.dicom_port,
            count=lambda: len(peer.get("/instances")),
            instances=lambda: (
                peer.get_bytes(f"/instances/{i}/file") for i in peer.get("/instances")
            ),
        )


@contextmanager
def embedded(folder: Path) -> Iterator[DemoArchive]:
    """The node's own listener and spool as an archive: stores what it gets, shows nothing."""
    spool = Spool(folder / "spool")
    config = scp.ScpConfig(ae_title=AE_TITLE, host="127.0.0.1", port=0)

    def paths() -> list[Path]:
        return [path for study in spool.studies() for path in spool.instances(study)]

    with scp.serve(config, spool, lambda stored: None) as server:
        yield DemoArchive(
            "the embedded archive",
            AE_TITLE,
            server.port,
            count=lambda: len(paths()),
            instances=lambda: (path.read_bytes() for path in paths()),
        )

"""An archive for the demo: Orthanc when it is installed, else the node's own listener and spool."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from cadnode.demo.ports import free_port
from cadnode.errors import DeliveryError
from cadnode.receive import scp
from cadnode.receive.spool import Spool

START_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Archive:
    """A running archive. `instances()` gives the bytes of every object it holds, Part 10 files."""

    name: str
    ae_title: str
    port: int
    count: Callable[[], int]
    instances: Callable[[], Iterator[bytes]]


@contextmanager
def start(executable: str | None, folder: Path, node: tuple[str, int]) -> Iterator[Archive]:
    """Orthanc if `executable` names it, else the embedded archive; `node` may retrieve from it."""
    chosen = orthanc(executable, folder, {"cadnode": node}) if executable else embedded(folder)
    with chosen as archive:
        yield archive


@contextmanager
def embedded(folder: Path) -> Iterator[Archive]:
    """The node's own listener and spool as an archive: stores what it gets, shows nothing."""
    spool = Spool(folder / "spool")
    config = scp.ScpConfig(ae_title="ARCHIVE", host="127.0.0.1", port=0)

    def paths() -> list[Path]:
        return [path for study in spool.studies() for path in spool.instances(study)]

    with scp.serve(config, spool, lambda stored: None) as server:
        yield Archive(
            "the embedded archive", "ARCHIVE", server.port,
            count=lambda: len(paths()),
            instances=lambda: (path.read_bytes() for path in paths()),
        )  # fmt: skip


def find_orthanc() -> str | None:
    """Path of Orthanc's executable (`Orthanc` on Debian), or None."""
    return shutil.which("Orthanc") or shutil.which("orthanc")


@contextmanager
def orthanc(executable: str, folder: Path, peers: dict[str, tuple[str, int]]) -> Iterator[Archive]:
    """A fresh Orthanc on loopback that stores into `folder` and knows `peers` (AE title, port)."""
    folder.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = free_port(), free_port()
    configuration = {
        "Name": "cadnode demo archive",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ARCHIVE",
        "Plugins": [],
        "DicomModalities": {k: [aet, "127.0.0.1", port] for k, (aet, port) in peers.items()},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as output:
        process = subprocess.Popen(
            [executable, str(folder / "orthanc.json")], stdout=output, stderr=output
        )
    base = f"http://127.0.0.1:{http_port}"
    session = requests.Session()
    session.trust_env = False  # a proxy of the environment has no business on loopback
    try:
        _wait_for(session, f"{base}/system", process)
        yield Archive(
            "Orthanc", "ARCHIVE", dicom_port,
            count=lambda: len(session.get(f"{base}/instances", timeout=10).json()),
            instances=lambda: (
                session.get(f"{base}/instances/{i}/file", timeout=30).content
                for i in session.get(f"{base}/instances", timeout=10).json()
            ),
        )  # fmt: skip
    finally:
        session.close()
        process.terminate()
        process.wait(timeout=20)


def _wait_for(session: requests.Session, url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if session.get(url, timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise DeliveryError("Orthanc did not start; its log is beside its storage folder")

"""A real Orthanc with the plugin loaded, which can be stopped, killed and started again."""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from cadnode.demo.archive import find_orthanc, free_port, is_listening
from tests.integration.node import wait_until

PLUGINS = Path("/usr/share/orthanc/plugins")
PLUGIN = Path(__file__).parents[2] / "orthanc" / "cadnode_plugin.py"


@dataclass
class OrthancHost:
    """Folder and ports of an Orthanc; `settings` are its configuration's."""

    folder: Path
    settings: dict[str, Any]
    dicom_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> str:
        return (self.folder / "orthanc.log").read_text(errors="replace")

    def configure(self, **changes: Any) -> None:
        """Write the configuration, with these settings changed."""
        self.settings.update(changes)
        base = {
            "StorageDirectory": "storage",  # relative to the configuration, as people write it
            "IndexDirectory": "storage",
            "DicomAet": "ARCHIVE",
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "StableAge": 1,
            "Plugins": [str(PLUGINS / "libOrthancPython.so")],
            "PythonScript": str(PLUGIN),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**base, **self.settings}, indent=1)
        (self.folder / "orthanc.json").write_text(text)

    def start(self) -> None:
        executable = find_orthanc()
        assert executable, "Orthanc is missing: deploy/system-packages.sh test"
        self.configure()
        with (self.folder / "orthanc.log").open("ab") as output:
            self.process = subprocess.Popen(
                [executable, str(self.folder / "orthanc.json")],
                stdout=output, stderr=output, cwd=self.folder,
            )  # fmt: skip
        wait_until(self.answers, "Orthanc listens")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log[-3000:]
        try:
            is_up = self.get("/system")
        except requests.RequestException:
            return False
        return bool(is_up) and is_listening(self.dicom_port)

    def stop(self) -> float:
        """Stop as an admin does; the seconds that it took."""
        started = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(timeout=40) == 0, self.log[-3000:]
        return time.monotonic() - started

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def request(self, method: str, path: str, data: str | None = None) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, data=data, timeout=30)

    def get(self, path: str) -> Any:
        answer = self.request("GET", path)
        answer.raise_for_status()
        return answer.json()

    def send(self, *files: Path) -> None:
        """By DCMTK's storescu."""
        subprocess.run(
            ["storescu", "-R", "-aec", "ARCHIVE", "127.0.0.1", str(self.dicom_port),
             *map(str, files)],
            check=True, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"},
        )  # fmt: skip

    def study_id(self, study_uid: str) -> str:
        """Orthanc's identifier of a study, or "" while it is not there."""
        found = self.request("POST", "/tools/lookup", study_uid).json()
        return str(found[0]["ID"]) if found else ""

    def modalities(self, study_uid: str) -> list[str]:
        """The modality of each instance of a study, sorted."""
        study = self.study_id(study_uid)
        series = self.get(f"/studies/{study}/series") if study else []
        return sorted(s["MainDicomTags"]["Modality"] for s in series for _ in s["Instances"])

    def status(self, study_uid: str) -> dict[str, Any]:
        """What the plugin says of a study."""
        return dict(self.get(f"/cadnode/studies/{self.study_id(study_uid)}/status"))

    def health(self) -> dict[str, Any]:
        return dict(self.request("GET", "/cadnode/health").json())

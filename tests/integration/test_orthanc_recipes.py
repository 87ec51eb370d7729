"""Routing without the plugin: the Lua script in a real Orthanc, the Python one beside it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from tests.integration.node import wait_until
from tests.integration.orthanc_host import OrthancHost
from tests.peers import storescp
from tests.synthetic import uid, view_dataset, write, write_exam

RECIPES = Path(__file__).parents[2] / "deploy" / "recipes"
SMALL = {"rows": 64, "columns": 64}


@contextmanager
def orthanc(folder: Path, **settings: object) -> Iterator[OrthancHost]:
    host = OrthancHost(folder, {"Plugins": [], "PythonScript": "", **settings})
    host.start()
    try:
        yield host
    finally:
        host.stop()


def other(folder: Path, modality: str, sop_class: str) -> Path:
    """A file of the exam's study, but of another modality."""
    ds = view_dataset("L", "CC", **SMALL)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.Modality = modality
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid("other", modality)
    ds.SeriesInstanceUID = uid("other series", modality)
    return write(ds, folder / f"{modality}.dcm")


def test_the_lua_script_sends_mammograms_once_and_results_and_ct_never(tmp_path: Path) -> None:
    exam = write_exam(tmp_path / "exam", **SMALL)
    with storescp(tmp_path / "received", aet="CADNODE") as node:
        settings = {
            "LuaScripts": [str(RECIPES / "orthanc_mammograms.lua")],
            "DicomModalities": {"cadnode": ["CADNODE", "127.0.0.1", node.port]},
        }

        def received() -> int:
            return sum(1 for path in (tmp_path / "received").iterdir() if path.is_file())

        def stable() -> int:
            changes = host.get("/changes?limit=1000")["Changes"]
            return sum(change["ChangeType"] == "StableStudy" for change in changes)

        def jobs() -> int:
            return len(host.get("/jobs"))

        with orthanc(tmp_path / "orthanc", **settings) as host:
            host.send(*exam[:3])
            wait_until(lambda: received() == 3, "three views arrive")
            result = other(tmp_path, "OT", SecondaryCaptureImageStorage)
            host.send(result, other(tmp_path, "CT", CTImageStorage))
            wait_until(lambda: stable() == 2, "the study is stable again")
            host.send(exam[3])  # a new one: all are sent again, the node knows three of them
            wait_until(lambda: received() == 4, "the fourth view arrives")
            wait_until(lambda: jobs() == 2, "two jobs, none for the result")
            assert not [line for line in host.log.splitlines() if line.startswith("E")]


class _Node(BaseHTTPRequestHandler):
    """A stand-in for the node: keeps what it is told."""

    told: list[dict[str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.told.append({**json.loads(body), "token": self.headers.get("Authorization", "")})
        self.send_response(202)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


def test_the_python_script_tells_the_node_of_mammograms_that_are_new(tmp_path: Path) -> None:
    _Node.told = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Node)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text("secret\n")
    place = tmp_path / "place"
    with orthanc(tmp_path / "orthanc") as host:
        command = [sys.executable, str(RECIPES / "orthanc_follow.py"), host.url,
                   f"http://127.0.0.1:{server.server_port}", str(place)]  # fmt: skip
        process = subprocess.Popen(command, env={"CADNODE_TOKEN_FILE": str(tmp_path / "token")})
        try:
            wait_until(place.exists, "it knows where to begin")
            ct = view_dataset("R", "CC", seed=3, **SMALL)
            ct.Modality = "CT"
            ct.SOPClassUID = ct.file_meta.MediaStorageSOPClassUID = CTImageStorage
            host.send(write(ct, tmp_path / "ct.dcm"))
            host.send(*write_exam(tmp_path / "exam", **SMALL))
            wait_until(lambda: _Node.told, "the node is told")
        finally:
            process.terminate()
            process.wait(timeout=10)
            server.shutdown()
            server.server_close()
        (told,) = _Node.told
        study = host.study_id(told["study_instance_uid"])
    assert told["orthanc_id"] == study
    assert told["source"] == "orthanc"
    assert told["token"] == "Bearer secret"

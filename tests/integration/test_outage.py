"""Fifty results that an archive was away for: one act in a browser, and DCMTK's archive has all."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import requests
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid

from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.golden.code import free_port
from tests.integration.node import Node, views_alone, wait_until
from tests.viewers.webdriver import chromium

N = 50
CONFIG = """\
[listener]
host = "127.0.0.1"
port = {port}

[storage]
folder = "{folder}"
min_free_gb = 0.05

[study]
wanted_views = ["R CC"]
settle_s = 0.2
quiet_s = 5.0
sweep_s = 2.0

[reading]
device = "cpu"
threads = 1

[web]
port = {web_port}

[[destinations]]
name = "archive"
port = {archive_port}
ae_title = "ARCHIVE"
timeout_s = 3.0
give_up_after_h = 0.0003
profile = "tid1500"
"""


def views(folder: Path) -> list[Path]:
    """One view each of `N` studies."""
    paths = write_dicom(exam(7, PhantomSpec(0.9, rows=120, columns=100)), folder, compressed=False)
    ds = pydicom.dcmread(next(path for path in paths if path.stem == "RCC"))
    made = []
    for n in range(N):
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.PatientID, ds.PatientName, ds.AccessionNumber = f"P{n:03d}", f"Outage^{n:03d}", f"A{n}"
        made.append(folder / f"study-{n:03d}.dcm")
        ds.save_as(made[-1])
    return made


@contextmanager
def storescp(port: int, folder: Path) -> Iterator[Path]:
    """DCMTK's archive, which keeps what it gets in a folder."""
    folder.mkdir()
    command = ["storescp", "-aet", "ARCHIVE", "-od", folder, "--fork", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield folder
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Node, int]]:
    port, web_port, archive_port = free_port(), free_port(), free_port()
    config = tmp_path / "node.toml"
    config.write_text(
        CONFIG.format(
            port=port, web_port=web_port, archive_port=archive_port, folder=tmp_path / "data"
        )
    )
    node = Node(tmp_path, port, config, web_port)
    views_alone(tmp_path / "data")
    try:
        node.start()
        yield node, archive_port
    finally:
        node.stop()


def test_an_outage_of_fifty_studies_is_cleared_by_one_act(
    node: tuple[Node, int], tmp_path: Path
) -> None:
    running, archive_port = node
    url = f"http://127.0.0.1:{running.web_port}"
    session = requests.Session()
    session.trust_env = False
    running.send(*views(tmp_path / "views"))

    def n_needing() -> int:
        body = {"filter": {"destination": "archive"}, "dry_run": True}
        return int(session.post(f"{url}/api/studies/retry", json=body, timeout=20).json()["count"])

    wait_until(lambda: n_needing() == N, "every result is given up", 240, every_s=0.5)
    key = session.get(f"{url}/api/studies?limit=1", timeout=20).json()["studies"][0]["key"]
    way = session.get(f"{url}/api/studies/{key}", timeout=20).json()["way"]
    assert way["received"][0]["images"] == 1
    assert way["delivered"][0]["state"] == "given_up"
    assert any("refuses the connection" in one["cause"] for one in way["tries"])

    with (
        storescp(archive_port, tmp_path / "archive") as archive,
        chromium(tmp_path / "chromium", (1300, 1000)) as browser,
    ):
        browser.open(f"{url}/needs-you?destination=archive")
        click = "[...document.querySelectorAll('button')].find(b => b.innerText === arguments[0])"
        browser.run(f"{click}.click()", "Try all again …")
        wait_until(
            lambda: f"Try {N} studies again?" in browser.run("return document.body.innerText"),
            "it asks",
        )
        browser.run(f"{click}.click()", "Yes, try again")
        told = time.monotonic()
        wait_until(lambda: len(list(archive.iterdir())) == N, "the archive has all", 120)
        seconds = time.monotonic() - told
        wait_until(
            lambda: (
                "No study that needs you is like that"
                in browser.run("return document.body.innerText")
            ),
            "the page is empty by itself",
            60,
        )
        before = {file.name: pydicom.dcmread(file) for file in archive.iterdir()}
        assert {str(ds.PatientID) for ds in before.values()} == {f"P{n:03d}" for n in range(N)}
        again = session.post(f"{url}/api/studies/{key}/reread", timeout=20)
        assert again.status_code == 202
        wait_until(lambda: len(list(archive.iterdir())) == N + 1, "it is read once more", 120)
        (new,) = (f for f in archive.iterdir() if f.name not in before)
        wait_until(lambda: _is_whole(new), "its file is whole")
        report = pydicom.dcmread(new)
    (replaced,) = report.PredecessorDocumentsSequence
    (series,) = replaced.ReferencedSeriesSequence
    old = series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert old in {ds.SOPInstanceUID for ds in before.values()}
    assert old != report.SOPInstanceUID
    assert n_needing() == 0
    assert seconds < 60
    trail = "".join(p.read_text() for p in (tmp_path / "data" / "audit").glob("*.jsonl"))
    assert trail.count('"delivery retried"') >= N
    told = session.get(f"{url}/api/studies/{key}", timeout=20).json()["way"]
    assert len(told["read"]) == 2
    assert "reread" in [one["what"] for one in told["tries"]]
    session.close()


def _is_whole(file: Path) -> bool:
    """Whether the archive has written all of it."""
    try:
        return "PatientID" in pydicom.dcmread(file)
    except (InvalidDicomError, EOFError, OSError):
        return False

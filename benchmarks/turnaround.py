"""How long a result takes: from the last image's receipt to the report in the archive.

    python -m benchmarks.turnaround [--exams 5] [--out benchmarks/turnaround.md]

A whole node (listener, worker, web), warm, is sent phantom exams by DCMTK's storescu, one after the
other, and delivers to DCMTK's storescp. *Report*: the archive has the study's first structured
report; *all*: as many objects as the profile `standard` has of it. The clock starts when storescu
ends. The first exam after the worker says that it is ready is a row of its own.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pydicom

from benchmarks.ingest import machine
from cadnode.demo.exam import write_exam
from cadnode.node import role_status
from tests.integration.node import running_node, wait_until
from tests.peers import storescp
from tests.synthetic import uid

SETTLE_S = 0.5  # of `running_node`
OBJECTS = 5  # a report and four heat maps


def renamed(source: Path, target: Path, number: int) -> list[Path]:
    """The exam's files as another study's."""
    target.mkdir()
    files = []
    for path in sorted(source.glob("*.dcm")):
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID = uid("turnaround", number)
        ds.SOPInstanceUID = uid("turnaround", number, path.name)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.PatientID = f"T{number}"
        ds.save_as(target / path.name, enforce_file_format=True)
        files.append(target / path.name)
    return files


def run(exams: int) -> list[tuple[float, float]]:
    """(seconds until the report, until all objects) of each exam, in turn."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_exam(folder / "exam", "phantom")
        sent = [renamed(folder / "exam", folder / f"exam-{n}", n) for n in range(exams)]
        with (
            storescp(folder / "archive", aet="ARCHIVE") as archive,
            running_node(folder, archive) as node,
        ):
            storage = folder / "data"
            wait_until(lambda: role_status.look(storage, "worker").works, "it is ready", 120)
            for files in sent:
                there = len(list((folder / "archive").iterdir()))

                def arrived(more: int, before: int = there) -> bool:
                    return len(list((folder / "archive").iterdir())) >= before + more

                node.send(*files)
                began = time.perf_counter()
                wait_until(lambda: arrived(1), "the report arrives", 300, every_s=0.01)
                first = time.perf_counter() - began
                wait_until(lambda: arrived(OBJECTS), "all arrive", 300, every_s=0.01)
                found.append((first, time.perf_counter() - began))
                wait_until(node.is_idle, "nothing is left to do", 300)
    return found


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exams", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    before = machine()
    (first, *others) = run(options.exams)
    report, everything = (median(one[n] for one in others) for n in (0, 1))
    lines = [
        f"| last image → report in the archive | ≤ settle_s + 3 s | {report:.1f} s | – | – | "
        f"settle_s {SETTLE_S} s; all {OBJECTS} objects {everything:.1f} s; "
        f"median of {len(others)} |",
        f"| first exam after the worker is ready | as the second | {first[0]:.1f} s | "
        f"{others[0][0]:.1f} s | {first[0] / others[0][0]:.2f} | the second is the peer |",
    ]
    text = "\n".join(
        [
            "# From the last image to the report", "",
            f"{datetime.now(UTC):%Y-%m-%d}, {before}; `python -m benchmarks.turnaround`.", "",
            "| what | goal | ours | peer | ratio | note |", "|---|---|---|---|---|---|", *lines, "",
        ]
    )  # fmt: skip
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()

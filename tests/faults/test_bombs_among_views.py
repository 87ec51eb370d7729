"""Bombs beside a good exam, read by the real command: each has its reason, and costs no more.

A deflated element of 500 MB, a JPEG-LS stream that CharLS never comes back from, a JPEG 2000
stream that claims 81 million pixels, run-length runs that fill 64 MB, and two transfer syntaxes.
"""

import contextlib
import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from tests.fuzz.corpus import FOLDER as CORPUS
from tests.synthetic import uid, view_dataset, write, write_exam
from tests.unit.exam.test_bombs import deflated

SMALL = {"rows": 256, "columns": 200}
CLAIMED = 9000  # rows and columns
MORE_BYTES = 160 << 20  # that the reading process may take beside what the good views alone take
CHILD_BYTES = 2600 << 20  # of a decoding process, which 81 million pixels of JPEG 2000 may take
BOMBS = {
    uid("bomb", "L", "CC"): "pixels_corrupt",
    uid("bomb", "L", "MLO"): "pixels_corrupt",
    uid("bomb", "R", "CC"): "no_breast_found",  # what is beyond the matrix is passed over
    view_dataset(rows=64, columns=48).SOPInstanceUID: "too_small",  # the deflated one, passed over
}
WITHIN_S = 600.0  # on a very busy machine; 10 s of processor time are the stream's that hangs


def hanging() -> tuple[bytes, dict[str, int]]:
    """What fuzzing found: CharLS computes for ever; the matrix is the stream's own."""
    stream = (CORPUS / "jpeg-ls" / "c36bf349cf31").read_bytes()[1:]
    at = stream.index(b"\xff\xf7") + 5
    return resized(stream, at), {}


def resized(stream: bytes, at: int) -> bytes:
    """The JPEG-LS stream with the matrix of a view that may be read."""
    return stream[:at] + struct.pack(">HH", *SMALL.values()) + stream[at + 4 :]


def claiming() -> tuple[bytes, dict[str, int]]:
    stream = bytearray(imagecodecs.jpeg2k_encode(np.zeros((8, 8), np.uint16), codecformat="j2k"))
    for at in (8, 24):  # of the image, of its tile (ISO 15444-1 A.5.1)
        struct.pack_into(">II", stream, at, CLAIMED, CLAIMED)
    return bytes(stream), {"Rows": CLAIMED, "Columns": CLAIMED}


def running() -> tuple[bytes, dict[str, int]]:
    runs = b"\x81\0" * (512 << 10)  # 128 zeros each
    return struct.pack("<16I", 2, 64, 64 + len(runs) // 2, *[0] * 13) + runs, {}


def bomb(side: str, view: str, syntax: str, stream: bytes, **attributes: Any) -> Dataset:
    ds = view_dataset(side, view, **SMALL)
    ds.StudyInstanceUID = uid("bombs")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid("bomb", side, view)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def converted() -> None:
    """Networks are converted once on a machine, which takes memory of its own."""
    load = "from cadnode.node.readers import *; load_readers(settings.Settings(), 'cpu')"
    subprocess.run([sys.executable, "-c", load], check=True, capture_output=True, timeout=280)


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("converted")
def test_four_good_views_are_read_beside_bombs_that_have_their_reasons(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    (first, *_) = write_exam(folder / "good", **SMALL, seed=5)
    code, said, alone = watched(folder, tmp_path / "alone")
    assert code == 0, said
    for side, view, syntax, (stream, attributes) in (
        ("L", "CC", JPEGLSLossless, hanging()), ("L", "MLO", JPEG2000Lossless, claiming()),
        ("R", "CC", RLELossless, running()),
    ):  # fmt: skip
        write(bomb(side, view, syntax, stream, **attributes), folder / f"{side}{view}.dcm")
    deflated(folder, 500).rename(folder / "good" / "deflated.dcm")
    two = first.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1\\2.1\0", 1)
    assert two != first.read_bytes()
    (folder / "good" / "two.dcm").write_bytes(two)
    code, said, peaks = watched(folder, out)
    assert code == 0, said
    results = [result(path) for path in out.rglob("result.json")]
    (good,) = (r for r in results if len(r["views"]) == 4)
    assert [s["reason"] for s in good["skipped"]] == ["duplicate"]  # of two transfer syntaxes
    others = {s["sop_instance_uid"]: s["reason"] for r in results for s in r["skipped"]}
    assert {key: reason for key, reason in others.items() if key in BOMBS} == BOMBS
    assert "Traceback" not in said
    assert "panicked" not in said
    assert peaks["own"] < alone["own"] + MORE_BYTES
    assert peaks["children"] < CHILD_BYTES


def result(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def watched(folder: Path, out: Path) -> tuple[int, str, dict[str, int]]:
    """Exit code, what was said on standard error, and peaks of memory of `cadnode read`."""
    peaks = {"own": 0, "children": 0}
    with out.with_suffix(".said").open("w+b") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cadnode", "read", str(folder), "--out", str(out)],
            stdout=subprocess.DEVNULL, stderr=file,
        )  # fmt: skip
        try:
            until = time.monotonic() + WITHIN_S
            while process.poll() is None and time.monotonic() < until:
                for pid in (process.pid, *children(process.pid)):
                    kind = "own" if pid == process.pid else "children"
                    peaks[kind] = max(peaks[kind], peak_bytes(pid))
                time.sleep(0.05)
        finally:
            process.kill()
        file.seek(0)
        return process.wait(), file.read().decode(), peaks


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def peak_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) << 10
    return 0

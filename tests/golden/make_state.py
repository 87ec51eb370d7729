"""Make the state that a node of today leaves: `python -m tests.golden.make_state STATE BUNDLE`.

A real node runs on generated phantoms (one view each, 240×200 pixels) until it holds three studies:
one that was read and delivered, one that was read and whose destination is away, one that was
received and not yet read. It is then killed. STATE gets its storage folder; the job database is
written as SQL text, and `studies.json` says which study is which. BUNDLE gets an exported bundle,
without its weights and licence.

`tests/golden/state-VERSION` and `bundle-VERSION` were made so, by the version in their names, and
are never made again: a later version that changes what it keeps makes folders of its own beside
them.
"""

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

import pydicom

from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.golden.code import free_port, hashed, write_exported
from tests.integration.node import Node, wait_until

SPEC: Final = PhantomSpec(0.9, rows=240, columns=200)
DATABASE, DUMP, STUDIES, TIMES = "jobs.sqlite", "jobs.sql", "studies.json", "times.json"
MODEL: Final = "wang2016-calcifications"
DESTINATION: Final = "archive-folder"
SEEDS: Final = {"delivered": 11, "undelivered": 12, "received": 13}
CONFIG: Final = """\
[listener]
host = "127.0.0.1"
port = {port}

[storage]
folder = "{storage}"
min_free_gb = 0.05

[study]
wanted_views = {wanted_views}
settle_s = 0.2
quiet_s = {quiet_s}
sweep_s = 1.0

[reading]
device = "cpu"
threads = 1

[web]
port = {web_port}

[[destinations]]
name = "{destination}"
kind = "folder"
folder = "{archive}"
"""


def node_in(folder: Path, archive: Path, quiet_s: float, wanted_views: str = "[]") -> Node:
    """A node that stores in `folder`/data and delivers to the folder `archive`; not started."""
    port, web_port = free_port(), free_port()
    file = folder / "node.toml"
    text = CONFIG.format(
        port=port, web_port=web_port, storage=folder / "data", archive=archive,
        destination=DESTINATION, quiet_s=quiet_s, wanted_views=wanted_views,
    )  # fmt: skip
    file.write_text(text)
    return Node(folder, port, file, web_port)


def make(out: Path) -> None:
    """Run the node and keep its state in `out`, which must not be there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sent = {which: _view(folder / which, seed) for which, seed in SEEDS.items()}
        studies = {w: str(pydicom.dcmread(file).StudyInstanceUID) for w, file in sent.items()}
        received = folder / "data/spool/studies" / hashed(studies["received"])
        archive = folder / "archive"
        try:
            node = node_in(folder, archive, quiet_s=86400.0, wanted_views='["R CC"]')
            node.start()
            node.send(sent["delivered"], options=("-xt",))
            wait_until(lambda: node.jobs("deliver") == 1 and node.is_idle(), "delivered")
            shutil.rmtree(archive)
            archive.symlink_to("nowhere/archive")  # as when a disk is not mounted
            node.send(sent["undelivered"], options=("-xt",))
            wait_until(lambda: node.events("delivery_failed") >= 1, "a delivery failed")
            node.stop()
            node = node_in(folder, archive, quiet_s=86400.0)
            node.start()
            node.send(sent["received"], options=("-xt",))
            wait_until(lambda: list(received.glob("*.dcm")), "received")
        finally:
            node.kill()
        _keep(folder / "data", out)
    (out / STUDIES).write_text(json.dumps(studies, indent=1) + "\n")


def _view(folder: Path, seed: int) -> Path:
    """The right CC view of a phantom."""
    paths = write_dicom(exam(seed, SPEC), folder, compressed=True)
    return next(path for path in paths if path.stem == "RCC")


def _keep(data: Path, out: Path) -> None:
    """The storage folder, without what only a running node has."""
    left_out = shutil.ignore_patterns(f"{DATABASE}*", "*.part", "incoming", "roles", "worker.json")
    shutil.copytree(data, out, ignore=left_out)
    times = {str(p.relative_to(out)): p.stat().st_mtime_ns for p in sorted(out.rglob("*.*"))}
    (out / TIMES).write_text(json.dumps(times, indent=1) + "\n")
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        (out / DUMP).write_text("\n".join(connection.iterdump()) + "\n")


def make_bundle(out: Path) -> None:
    """Export the smallest packaged model, and keep what is text."""
    with tempfile.TemporaryDirectory() as name:
        write_exported(MODEL, Path(name) / "bundle")
        left_out = shutil.ignore_patterns("*.safetensors", "LICENSE")
        shutil.copytree(Path(name) / "bundle", out, ignore=left_out)


def restored(state: Path, data: Path) -> None:
    """The storage folder as it was, from what `make` has kept.

    Times of last write count: of them the spool makes a content's fingerprint, and a checkout or
    a copy does not keep them.
    """
    shutil.copytree(state, data)
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        connection.executescript((data / DUMP).read_text())
    for name, time_ns in json.loads((state / TIMES).read_text()).items():
        os.utime(data / name, ns=(time_ns, time_ns))
    for name in (DUMP, STUDIES, TIMES):
        (data / name).unlink()


def study_key(state: Path, which: str) -> str:
    """The folder name of one of the kept studies."""
    return hashed(json.loads((state / STUDIES).read_text())[which])


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    make_bundle(Path(sys.argv[2]))

"""Make the state that a node of today leaves: `python -m tests.golden.make_state FOLDER`.

A real node runs on generated phantoms (two views, 240×200 pixels) until it holds three studies:
one that was read and delivered, one that was read and whose destination is away, one that was
received and not yet read. It is then killed. FOLDER gets its storage folder; the job database is
written as SQL text, and `studies.json` says which study is which.

`tests/golden/state-VERSION` were made so, by the version in their names, and are never made again:
a later version makes a folder of its own beside them, when it changes what it keeps on disk.
"""

import json
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

import pydicom

from tests.golden.code import free_port, hashed
from tests.integration.node import Node, wait_until
from training.phantom import PhantomSpec, exam
from training.phantom.dicom import write_dicom

SPEC: Final = PhantomSpec(0.9, rows=240, columns=200)
DATABASE, DUMP, STUDIES = "jobs.sqlite", "jobs.sql", "studies.json"
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
wanted_views = ["R CC", "L CC"]
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


def node_in(folder: Path, archive: Path, quiet_s: float) -> Node:
    """A node that stores in `folder`/data and delivers to the folder `archive`; not started."""
    port, web_port = free_port(), free_port()
    file = folder / "node.toml"
    text = CONFIG.format(
        port=port, web_port=web_port, storage=folder / "data", archive=archive,
        destination=DESTINATION, quiet_s=quiet_s,
    )  # fmt: skip
    file.write_text(text)
    return Node(folder, port, file, web_port)


def make(out: Path) -> None:
    """Run the node and keep its state in `out`, which must not be there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sent = {which: _views(folder / which, seed) for which, seed in SEEDS.items()}
        archive = folder / "archive"
        node = node_in(folder, archive, quiet_s=86400.0)
        try:
            node.start()
            node.send(*sent["delivered"], options=("-xt",))
            wait_until(lambda: node.jobs("deliver") == 1 and node.is_idle(), "delivered")
            shutil.rmtree(archive)
            archive.symlink_to("nowhere/archive")  # as when a disk is not mounted
            node.send(*sent["undelivered"], options=("-xt",))
            wait_until(lambda: node.events("delivery_failed") >= 1, "a delivery failed")
            node.send(sent["received"][0], options=("-xt",))
            wait_until(lambda: len(list((folder / "data").rglob("*.dcm"))) > 0, "received")
        finally:
            node.kill()
        _keep(folder / "data", out)
    names = {
        which: str(pydicom.dcmread(paths[0]).StudyInstanceUID) for which, paths in sent.items()
    }
    (out / STUDIES).write_text(json.dumps(names, indent=1) + "\n")


def _views(folder: Path, seed: int) -> list[Path]:
    """The CC views of a phantom."""
    paths = write_dicom(exam(seed, SPEC), folder, compressed=True)
    return [path for path in paths if path.stem in ("RCC", "LCC")]


def _keep(data: Path, out: Path) -> None:
    """The storage folder, without what only a running node has."""
    left_out = shutil.ignore_patterns(f"{DATABASE}*", "*.part", "*.lock", "*.pid", "present*")
    shutil.copytree(data, out, ignore=left_out)
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        (out / DUMP).write_text("\n".join(connection.iterdump()) + "\n")


def restored(state: Path, data: Path) -> None:
    """The storage folder as it was, from what `make` has kept."""
    shutil.copytree(state, data)
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        connection.executescript((data / DUMP).read_text())
    (data / DUMP).unlink()
    (data / STUDIES).unlink()


def study_key(state: Path, which: str) -> str:
    """The folder name of one of the kept studies."""
    return hashed(json.loads((state / STUDIES).read_text())[which])


if __name__ == "__main__":
    make(Path(sys.argv[1]))

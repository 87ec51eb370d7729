"""An upgrade and the way back, tried: `deploy/try-upgrade.sh`, which calls this.

    python -m tests.upgrade OLDER WORK     OLDER: the older version's sources; WORK: an empty folder

Each version runs in processes of its own over one storage folder, job database and archive. What
counts is in the log: `study_read` and `delivery_ended` of each study, by who wrote the line.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pydicom

from tests.golden.code import hashed
from tests.golden.make_state import _view, node_in
from tests.integration.node import Node, wait_until

OLDER, THIS = "older", "this"
EXAMS = {"delivered": 21, "held": 22, "waiting": 23, "of this": 24, "after the way back": 25}
WANTED = {
    "delivered": [(OLDER, "read"), (OLDER, "delivered")],
    "held": [(OLDER, "read"), (THIS, "delivered")],
    "waiting": [(THIS, "read"), (THIS, "delivered")],
    "of this": [(THIS, "read"), (THIS, "delivered")],
    "after the way back": [(OLDER, "read"), (OLDER, "delivered")],
}
_WITHIN_S = 600.0  # a machine may have other work
_EVENTS = {"study_read": "read", "delivery_ended": "delivered"}


class Upgrade:
    """One node's folders, run by either version."""

    def __init__(self, older: Path, work: Path) -> None:
        self.folder, self.archive = work / "node", work / "archive"
        self.folder.mkdir()
        self.paths = {OLDER: f"{older}:{work / 'names'}", THIS: os.environ["PYTHONPATH"]}
        self.sent = {exam: _view(work / exam, seed) for exam, seed in EXAMS.items()}
        self.keys = {
            exam: hashed(str(pydicom.dcmread(file).StudyInstanceUID))
            for exam, file in self.sent.items()
        }
        self.done: dict[str, list[tuple[str, str]]] = {exam: [] for exam in EXAMS}

    def run(self, version: str, *exams: str, ends: tuple[str, ...], settles: bool = True) -> None:
        """Run a version until those exams have ended that are to end, and nothing is left to do.

        Where it does not settle, a delivery is held, or an exam is received alone.
        """
        os.environ["PYTHONPATH"] = self.paths[version]
        (self.folder / "node.log").unlink(missing_ok=True)
        node = node_in(self.folder, self.archive, quiet_s=1.0 if ends else 86400.0)
        node.start()
        try:
            for exam in exams:
                node.send(self.sent[exam], options=("-xt",))
            what = f"{version}: {ends}"
            wait_until(lambda: self._have_ended(node, version, ends), what, _WITHIN_S)
            for exam in exams:
                there = node.folder / "data/spool/studies" / self.keys[exam]
                wait_until(lambda there=there: list(there.glob("*.dcm")), exam)  # type: ignore[misc]
            wait_until(lambda: not settles or node.is_idle(), "idle")
        finally:
            node.stop()
            print(version, self._told(node), flush=True)
        for exam, what in self._told(node):
            self.done[exam].append((version, what))

    def _have_ended(self, node: Node, version: str, ends: tuple[str, ...]) -> bool:
        told = self._told(node)
        return all(
            (exam, what) in told for exam in ends for v, what in WANTED[exam] if v == version
        )

    def _told(self, node: Node) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in node.log.splitlines() if line.startswith("{")]
        exams = {key: exam for exam, key in self.keys.items()}
        return [
            (exams[line["study"]], _EVENTS[line["event"]])
            for line in lines
            if line["event"] in _EVENTS and line.get("study") in exams
        ]


def main(older: Path, work: Path) -> int:
    """Exit code."""
    one = Upgrade(older, work)
    one.run(OLDER, "delivered", ends=("delivered",))
    shutil.move(one.archive, work / "before")
    one.archive.symlink_to("nowhere/archive")  # as when a disk is not mounted
    one.run(OLDER, "held", ends=("held",), settles=False)
    one.run(OLDER, "waiting", ends=(), settles=False)
    one.archive.unlink()
    one.run(THIS, "of this", ends=("held", "waiting", "of this"), settles=False)
    one.run(OLDER, "after the way back", ends=("after the way back",), settles=False)
    names = {exam: len(list(one.archive.glob(key))) for exam, key in one.keys.items()}
    for exam, wanted in WANTED.items():
        sign = "as wanted" if one.done[exam] == wanted else f"WRONG, wanted {wanted}"
        print(f"{exam:20} {one.done[exam]} {sign}")
    print(f"folders in the archive since the upgrade: {names}")
    return 0 if one.done == WANTED else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""The audit trail on a disk that is full, and under processes that are killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from cadnode.audit.entry import Remark, RemarkKind
from cadnode.audit.event import Event
from cadnode.audit.files import entries, lost_of
from cadnode.audit.trail import Trail
from cadnode.audit.verify import verify
from tests.faults.harness.disk import Disk
from tests.unit.audit.cases import viewed

_ADDS = """\
import sys
from pathlib import Path
from tests.unit.audit.cases import viewed
from cadnode.audit.trail import Trail
made = Trail(Path(sys.argv[1]))
print("ready", flush=True)
for n in range(1_000_000):
    made.record(viewed(f"{sys.argv[2]}-{n}"))
    print(n, flush=True)
"""


def fill_up(folder: Path) -> None:
    """Leave not a block."""
    with (folder / "filler").open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def test_a_full_disk_costs_events_and_never_the_chain(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk", tmp_path, size_mb=4)
    assert disk.is_mounted, disk.missing
    try:
        trail = Trail(disk.folder / "audit")
        trail.record(viewed())
        disk.fill()
        fill_up(disk.folder)
        for number in range(200):  # the last block of the file has room for some
            trail.record(viewed(f"{number:016x}"))
        n_lost = lost_of(trail.folder).waiting
        assert 0 < n_lost < 200
        assert verify(trail.folder).is_whole
        assert verify(trail.folder).n_lines == 201 - n_lost
        (disk.folder / "filler").unlink()
        disk.restore()
        trail.record(viewed())
        said = [entry.said for entry, _ in entries(trail.folder)]
        assert [one for one in said if isinstance(one, Remark)] == [Remark(RemarkKind.LOST, n_lost)]
        assert verify(trail.folder).is_whole
    finally:
        disk.unmount()


def test_processes_that_are_killed_while_they_write_leave_a_whole_chain(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    answered: set[str] = set()
    for round_ in range(6):
        running = []
        for number in range(2):
            name = f"{round_}.{number}"
            command = [sys.executable, "-c", _ADDS, str(folder), name]
            running.append((name, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
        for _, process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        time.sleep(0.05 * round_)
        for name, process in running:
            process.send_signal(signal.SIGKILL)
            out, _ = process.communicate(timeout=30)
            answered |= {f"{name}-{n}" for n in out.split()}
    found = verify(folder)
    assert found.is_whole, found
    studies = {entry.said.study for entry, _ in entries(folder) if isinstance(entry.said, Event)}
    assert len(answered) > 20
    assert answered <= studies  # what was recorded before the act went on is there
    assert json.loads((folder / "head.json").read_bytes())["sequence"] <= found.last

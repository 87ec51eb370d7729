"""What power cuts, bad disks and jumping clocks of the soak rest on: the preloaded library."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness.disk import Disk

WRITES = """\
import os, sys
folder = sys.argv[1]
for name in ("synced", "unsynced", "grown"):
    fd = os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"a" * 1000)
    if name != "unsynced":
        os.fsync(fd)
    if name == "grown":
        os.write(fd, b"b" * 1000)
    os.close(fd)
os.rename(f"{folder}/synced", f"{folder}/named")
if sys.argv[2] == "folder":
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "storage").mkdir()
    disk = Disk(tmp_path / "storage", tmp_path, 16)
    if disk.library is None:
        pytest.skip("gcc is not here")
    yield disk
    disk.unmount()


def run(disk: Disk, script: str, *arguments: str, **more: str) -> str:
    environment = {**os.environ, **disk.environment(), **more, "LD_PRELOAD": str(disk.library)}
    command = [sys.executable, "-S", "-c", script, *arguments]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_a_power_cut_takes_what_was_not_synced_and_nothing_else(disk: Disk) -> None:
    run(disk, WRITES, str(disk.folder), "folder")
    lost = disk.lose_unsynced(random.Random(1))
    assert lost == {"data": 2, "names": 0}
    assert (disk.folder / "named").read_bytes() == b"a" * 1000
    assert (disk.folder / "unsynced").read_bytes() != b"a" * 1000
    grown = (disk.folder / "grown").read_bytes()
    assert grown[:1000] == b"a" * 1000
    assert grown != b"a" * 1000 + b"b" * 1000


def test_a_power_cut_may_take_a_name_whose_folder_was_not_synced(disk: Disk) -> None:
    found = set()
    for seed in range(8):
        for place in disk.folder.iterdir():
            place.unlink()
        run(disk, WRITES, str(disk.folder), "")
        disk.lose_unsynced(random.Random(seed))
        found.add((disk.folder / "named").exists())
    assert found == {True, False}


def test_a_disk_fails_and_is_slow_as_it_is_bid(disk: Disk) -> None:
    sync = "import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDONLY))"
    disk.fail()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(disk, sync, str(disk.folder))
    assert "Input/output error" in str(failed.value.stderr)
    disk.slow(300)
    began = time.monotonic()
    run(disk, sync, str(disk.folder))
    assert time.monotonic() - began > 0.3
    disk.restore()
    run(disk, sync, str(disk.folder))


def test_a_full_disk_has_room_again_when_it_is_restored(disk: Disk) -> None:
    if not disk.is_mounted:
        pytest.skip("mounting a tmpfs needs root")
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        (disk.folder / "one").write_bytes(bytes(1 << 20))
    disk.restore()
    (disk.folder / "one").write_bytes(bytes(1 << 20))


@pytest.mark.parametrize("ahead_s", [-3600, 0, 3600])
def test_the_clock_on_the_wall_jumps_and_timers_go_on(
    disk: Disk, tmp_path: Path, ahead_s: int
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(f"{ahead_s:+d}\n")
    script = "import time; time.sleep(0.01); print(time.time(), time.monotonic())"
    before = time.time(), time.monotonic()
    wall, timer = map(float, run(disk, script, FAULTS_CLOCK=str(clock)).split())
    after = time.time(), time.monotonic()
    assert before[0] <= wall - ahead_s <= after[0]
    assert before[1] <= timer <= after[1]

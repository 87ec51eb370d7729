"""A disk that can be full, slow, failing, or lose what was not synced.

It is a small tmpfs of its own (root only) and a library that is preloaded into the node's
processes (`preload.c`, compiled here, which knows clocks, too). Where either cannot be had,
`missing` says so.
"""

import os
import random
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

MARGIN: Final = 64 << 10  # bytes that a full disk has left


class Disk:
    """The node's storage folder, and what is wrong with it."""

    def __init__(self, folder: Path, work: Path, size_mb: int) -> None:
        self.folder = folder
        self._control, self.sync_log = work / "disk.control", work / "disk.syncs"
        self._ballast = folder / "ballast"
        folder.mkdir(parents=True, exist_ok=True)
        self.is_mounted = os.path.ismount(folder) or _mount(folder, size_mb)
        self.library = _compiled(work / "preload.so")
        self.restore()

    @property
    def missing(self) -> dict[str, str]:
        """Which faults cannot be had here, and why."""
        found = {}
        if not self.is_mounted:
            found["disk_full"] = "mounting a tmpfs needs root"
        if self.library is None:
            reason = "gcc is not here: no library to preload"
            names = ("disk_slow", "disk_failing", "power_loss", "clock_forwards", "clock_backwards")
            found |= dict.fromkeys(names, reason)
        return found

    def environment(self) -> dict[str, str]:
        """What the node's processes need."""
        return {"FAULTS_DISK_CONTROL": str(self._control), "FAULTS_SYNC_LOG": str(self.sync_log)}

    def fill(self) -> None:
        """Leave no room, but `MARGIN`."""
        with suppress(OSError), self._ballast.open("ab") as file:
            while (left := self._free() - MARGIN) > 0:
                file.write(bytes(min(left, 1 << 20)))
                file.flush()

    def slow(self, milliseconds: int) -> None:
        """Each sync takes so long."""
        self._control.write_text(f"slow {milliseconds}")

    def fail(self) -> None:
        """Each sync ends in an input/output error."""
        self._control.write_text("failing")

    def restore(self) -> None:
        """Good again."""
        self._control.write_text("ok")
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", str(self.folder)], check=False, capture_output=True)
            self.is_mounted = False

    def lose_unsynced(self, rng: random.Random) -> dict[str, int]:
        """What a power cut does, once no process is left; returns how much was lost, by kind.

        Of a file that was never synced the data is lost, in part or whole, or zeros stand there;
        of one that grew since, what came after. A new name in a folder that was not synced since
        may be gone. (Names that another file had before are kept: what it was is not known here;
        `tests.faults.crash_states` tries those, too.)
        """
        log = _SyncLog.read(self.sync_log)
        lost = {"data": 0, "names": 0}
        for new, old in log.unsynced_names():
            if new.exists() and rng.random() < 0.5:
                with suppress(OSError):
                    new.rename(old)
                    lost["names"] += 1
        for path in self.folder.rglob("*"):
            if path.name.endswith("-shm"):
                path.unlink()  # shared memory of SQLite's: gone with the processes
            elif path.is_file() and not path.is_symlink():
                lost["data"] += _lose_data(path, log, rng)
        self.sync_log.unlink(missing_ok=True)
        return lost

    def _free(self) -> int:
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize


@dataclass(frozen=True, slots=True)
class _SyncLog:
    """What was synced since the node's last start: file → (size, time of last write) then."""

    files: dict[int, tuple[int, int]]
    names: tuple[tuple[int, Path, Path], ...]  # folder's inode, new name, old name; not synced

    @staticmethod
    def read(path: Path) -> "_SyncLog":
        files: dict[int, tuple[int, int]] = {}
        names: list[tuple[int, Path, Path]] = []
        for line in path.read_text().splitlines() if path.exists() else []:
            head, *paths = line.split("\t")
            what, *numbers = head.split(" ")
            if what == "S":
                files[int(numbers[0])] = (int(numbers[1]), int(numbers[2]))
            elif what == "D":
                names = [one for one in names if one[0] != int(numbers[0])]
            elif what == "R" and numbers[1] == "0" and len(paths) == 2:
                names.append((int(numbers[0]), Path(paths[1]), Path(paths[0])))
        return _SyncLog(files, tuple(names))

    def unsynced_names(self) -> list[tuple[Path, Path]]:
        return [(new, old) for _, new, old in reversed(self.names) if new.is_absolute()]


def _lose_data(path: Path, log: _SyncLog, rng: random.Random) -> int:
    stat = path.stat()
    size, written = log.files.get(stat.st_ino, (0, 0))
    if stat.st_mtime_ns == written or stat.st_size <= size:
        return 0
    if stat.st_ino not in log.files and _was_there_before(path, log):
        return 0
    kept = rng.choice([size, rng.randint(size, stat.st_size)])
    os.truncate(path, kept)
    if rng.random() < 0.3:
        os.truncate(path, stat.st_size)  # zeros
    return 1


def _was_there_before(path: Path, log: _SyncLog) -> bool:
    """Whether the file is as the node's last start found it: older than anything it synced."""
    first = min((at for _, at in log.files.values()), default=0)
    return path.stat().st_mtime_ns < first


def _mount(folder: Path, size_mb: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


def _compiled(library: Path) -> Path | None:
    compiler = which("gcc") or which("cc")
    if compiler is None:
        return None
    source = Path(__file__).with_name("preload.c")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    return library if subprocess.run(command, capture_output=True).returncode == 0 else None

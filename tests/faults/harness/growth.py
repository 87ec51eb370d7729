"""Whether memory, descriptors, threads and files grow: sampled over time, and by least squares."""

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from tests.faults.harness.node import NodeUnderTest


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process, or at the storage (`pid` 0)."""

    at: float
    name: str
    pid: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth per hour with its 95 % confidence interval, and the values at begin and end."""

    per_hour: float
    low: float
    high: float
    first: float
    last: float
    n: int
    n_lives: int

    def as_dict(self) -> dict[str, float]:
        return {k: round(getattr(self, k), 3) for k in self.__slots__}


Series = tuple[Sequence[float], Sequence[float]]


def common_slope(lives: Sequence[Series]) -> Slope | None:
    """The slope that several series of (seconds, values) have in common, by least squares.

    Each series keeps a level of its own: both of its coordinates are taken from their means. None
    where fewer than five samples, or only one time, are there.
    """
    if not lives:
        return None
    hours = np.concatenate([(np.asarray(t) - np.mean(t)) / 3600 for t, _ in lives])
    values = np.concatenate([np.asarray(v) - np.mean(v) for _, v in lives])
    freedom = len(hours) - len(lives) - 1
    spread = float(hours @ hours)
    if freedom < 3 or spread == 0:
        return None
    per_hour = float(hours @ values) / spread
    rest = values - per_hour * hours
    error = float(np.sqrt((rest @ rest) / freedom / spread))
    half = float(stats.t.ppf(0.975, freedom)) * error
    first, last = lives[0][1][0], lives[-1][1][-1]
    return Slope(per_hour, per_hour - half, per_hour + half, first, last, len(hours), len(lives))


class Sampler:
    """Looks at the node's processes and storage every `every_s`, in a thread of its own."""

    def __init__(self, node: "NodeUnderTest", every_s: float = 2.0) -> None:
        self._node, self._every_s = node, every_s
        self.samples: list[Sample] = []
        self.health: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def growth(self, *, settle_s: float = 0.0) -> dict[str, Any]:
        """The slopes of each role and of the storage.

        A role's is common to all its processes, each with a level of its own; the first `settle_s`
        seconds of a process, while it loads what it needs, are left out.
        """
        lives: dict[str, dict[int, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for sample in self.samples:
            lives[sample.name][sample.pid].append(sample)
        found: dict[str, Any] = {}
        for name, of_pid in sorted(lives.items()):
            begins_s = 0.0 if name == "storage" else settle_s
            settled = [
                [s for s in life if s.at - life[0].at >= begins_s] for life in of_pid.values()
            ]
            for key in next(iter(of_pid.values()))[0].values:
                series = [
                    ([s.at for s in life], [s.values[key] for s in life])
                    for life in settled
                    if len(life) >= 3
                ]
                if slope := common_slope(series):
                    found[f"{name}_{key}"] = slope.as_dict()
        return found

    def healths(self) -> dict[str, int]:
        """How often `/health` was seen in which status."""
        return dict(Counter(status for _, status in self.health))

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            with suppress(OSError):
                self._look()

    def _look(self) -> None:
        at = time.monotonic()
        for pid, name in self._node.processes().items():
            if name != "child":
                with suppress(OSError, ValueError, IndexError):
                    self.samples.append(Sample(at, name, pid, look_at(pid)))
        health = self._node.health()
        self.health.append((at, str(health["status"]) if health else "no answer"))
        self.samples.append(Sample(at, "storage", 0, self._storage()))

    def _storage(self) -> dict[str, float]:
        """The log, the job database, and the whole of a disk of its own."""
        storage = self._node.storage
        sizes = {"log_mb": _size(self._node.log), "jobs_mb": _size(storage / "jobs.sqlite")}
        if os.path.ismount(storage):
            disk = os.statvfs(storage)
            sizes["disk_mb"] = (disk.f_blocks - disk.f_bfree) * disk.f_frsize / 1e6
        return sizes


def look_at(pid: int) -> dict[str, float]:
    """Resident memory, open descriptors and threads of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return {
        "rss_mb": int(status["VmRSS"].split()[0]) / 1024,
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
    }


def _size(path: Path) -> float:
    try:
        return path.stat().st_size / 1e6
    except OSError:
        return 0.0

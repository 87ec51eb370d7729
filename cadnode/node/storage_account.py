"""How much disk each study takes, and the disk as a whole: cheap to ask for again and again.

Sizes are what the files take on the disk. A study's folder is looked into again only when it has
changed, or was still young when it was looked at: a round over 100,000 studies is one look at each
folder's entry.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.node import results, study_table
from cadnode.node.results import Results
from cadnode.receive import prior_store
from cadnode.web.study import KEY

_SETTLED_S: Final = 3600.0  # files of results are still written to for a while after the folder is
_BLOCK: Final = 512  # st_blocks counts these, whatever the file system's are (POSIX)


@dataclass(frozen=True, slots=True)
class FolderSize:
    """What one folder of a study takes: bytes on disk, and when it last changed (epoch, s).

    `changed_at` is that of the folder itself, `newest_at` of it and the folders in it.
    `is_settled`: it had been as it is for a while when it was looked into.
    """

    n_bytes: int = 0
    changed_at: float = 0.0
    newest_at: float = 0.0
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The storage folder's file system, in bytes; `held` is what the node's own files take."""

    total: int
    free: int
    held: int
    min_free: int

    @property
    def percent(self) -> float:
        """The node's files as a share of what it may fill: them and what is free above the minimum.

        100 and more: the listener refuses images. Other programs' files are no part of it.
        """
        room = self.held + self.free - self.min_free
        return 100.0 * self.held / room if room > 0 else 100.0

    @property
    def has_room(self) -> bool:
        """Whether the listener receives."""
        return self.free >= self.min_free

    def above(self, percent: float) -> int:
        """Bytes that must go until the use is no more than `percent`; 0 when it is not above."""
        room = self.held + self.free - self.min_free
        return max(0, self.held - int(max(0, room) * percent / 100.0))


def disk_use(storage: Path, held: int, min_free: int) -> DiskUse:
    """The disk now. Raises `OSError`."""
    disk = os.statvfs(storage)
    return DiskUse(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize, held, min_free)


class StorageAccount:
    """What the studies of a storage folder take, as of the last `refresh`; one thread uses it."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._images_folder = storage / "spool" / "studies"
        self._results_folder = Results.in_storage(storage).folder
        self._priors_folder = storage / prior_store.FOLDER
        self.images: dict[str, FolderSize] = {}
        self.results: dict[str, FolderSize] = {}
        self.priors: dict[str, FolderSize] = {}
        self.leftovers: list[Path] = []  # hidden files that were being written when last looked at

    def refresh(self) -> None:
        """Look at every study's folder, and into those that changed."""
        self.leftovers = []
        self.images = self._looked(self._images_folder, self.images)
        self.results = self._looked(self._results_folder, self.results)
        self.priors = self._looked(self._priors_folder, self.priors)

    @property
    def images_bytes(self) -> int:
        """What all images take."""
        return sum(held.n_bytes for held in self.images.values())

    @property
    def priors_bytes(self) -> int:
        """What all prior exams take that were fetched beside a study."""
        return sum(held.n_bytes for held in self.priors.values())

    @property
    def results_bytes(self) -> int:
        """What all results take."""
        return sum(held.n_bytes for held in self.results.values())

    @property
    def jobs_bytes(self) -> int:
        """What the job database takes, where it is a file here."""
        return sum(_on_disk(path) for path in self._storage.glob("jobs.sqlite*"))

    @property
    def list_bytes(self) -> int:
        """What the list of studies takes."""
        return sum(_on_disk(path) for path in self._storage.glob(f"{study_table.FILE}*"))

    @property
    def held(self) -> int:
        """What all of it takes."""
        return (
            self.images_bytes + self.results_bytes + self.priors_bytes + self.jobs_bytes
            + self.list_bytes
        )  # fmt: skip

    def _looked(self, folder: Path, before: dict[str, FolderSize]) -> dict[str, FolderSize]:
        found: dict[str, FolderSize] = {}
        now = time.time()
        for name, changed_at in _folders(folder):
            known = before.get(name)
            if known and known.is_settled and known.changed_at == changed_at:
                found[name] = known
            else:
                found[name] = self._measured(folder / name, changed_at, now)
        return found

    def _measured(self, folder: Path, changed_at: float, now: float) -> FolderSize:
        n_bytes, newest_at = 0, changed_at
        for place, _, names in os.walk(folder):
            newest_at = max(newest_at, results.changed_at(Path(place)))
            n_bytes += sum(_on_disk(Path(place, name)) for name in names)
            self.leftovers += [Path(place, n) for n in names if n.endswith(".part")]
        return FolderSize(n_bytes, changed_at, newest_at, now - newest_at > _SETTLED_S)


def _folders(folder: Path) -> Iterator[tuple[str, float]]:
    """Names of the studies' folders, and when each changed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if KEY.fullmatch(entry.name):
                    try:
                        yield entry.name, entry.stat().st_mtime
                    except FileNotFoundError:  # removed in this moment
                        continue
    except FileNotFoundError:
        return


def _on_disk(path: Path) -> int:
    try:
        return path.stat().st_blocks * _BLOCK
    except FileNotFoundError:
        return 0

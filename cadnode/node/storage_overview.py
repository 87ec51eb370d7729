"""What the storage folder holds, as the last look at it found: `storage.json`, for other processes.

The worker looks; health and checks ask for the free disk now and take the rest from here.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from cadnode.files import write_whole
from cadnode.node.retention_rules import KeptBecause
from cadnode.node.storage_account import DiskUse, disk_use
from cadnode.settings import Settings

FILE: Final = "storage.json"


@dataclass(frozen=True, slots=True)
class Amount:
    """Studies, or parts of them, and the bytes that they take on the disk."""

    count: int = 0
    n_bytes: int = 0

    def plus(self, n_bytes: int) -> "Amount":
        """One more."""
        return Amount(self.count + 1, self.n_bytes + n_bytes)


@dataclass(frozen=True, slots=True)
class StorageOverview:
    """Content of the file. `at` is when it was looked, in seconds since the epoch.

    `kept` is what is due to go and stays, by reason. `jobs_away`: nothing could be removed, because
    the job database did not answer.
    """

    at: float
    images: Amount = Amount()
    results: Amount = Amount()
    jobs_bytes: int = 0
    kept: dict[KeptBecause, Amount] = field(default_factory=dict)
    jobs_away: bool = False
    list_bytes: int = 0
    priors_bytes: int = 0

    @property
    def held(self) -> int:
        """Bytes that images, results, prior exams, jobs and the list of studies take."""
        studies = self.images.n_bytes + self.results.n_bytes + self.priors_bytes
        return studies + self.jobs_bytes + self.list_bytes

    @property
    def blocked(self) -> str:
        """Why what is due is not removed, in words; "" when nothing is in the way."""
        if self.jobs_away:
            return "nothing is removed: the job database does not answer"
        ranked = sorted(self.kept.items(), key=lambda item: -item[1].n_bytes)
        parts = [
            f"{amount.count} ({amount.n_bytes / 1e9:.1f} GB) {reason.meaning}"
            for reason, amount in ranked
            if reason is not KeptBecause.NOT_DUE
        ]
        return f"not removed: {'; '.join(parts)}" if parts else ""


def write(storage: Path, overview: StorageOverview) -> None:
    """Raises `OSError`."""
    write_whole(storage / FILE, json.dumps(asdict(overview)).encode())


def read(storage: Path) -> StorageOverview | None:
    """What was written last; None when nothing was, or it cannot be read."""
    try:
        document = json.loads((storage / FILE).read_bytes())
        return StorageOverview(
            float(document["at"]),
            Amount(**document["images"]),
            Amount(**document["results"]),
            int(document["jobs_bytes"]),
            {KeptBecause(reason): Amount(**amount) for reason, amount in document["kept"].items()},
            bool(document["jobs_away"]),
            int(document.get("list_bytes", 0)),
            int(document.get("priors_bytes", 0)),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def disk_now(settings: Settings) -> tuple[DiskUse, StorageOverview]:
    """The disk at this moment, and the last look at what is on it. Raises `OSError`."""
    storage = settings.storage.folder
    overview = read(storage) or StorageOverview(0.0)
    return disk_use(storage, overview.held, int(settings.storage.min_free_gb * 1e9)), overview

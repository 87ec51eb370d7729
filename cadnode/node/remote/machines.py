"""The remote workers that a node knows, as files that its worker and web role share.

    STORAGE/remote/seen/<machine>.json     who it is; its time: when it last asked, or read
    STORAGE/remote/failing/<machine>.json  how many exams it failed with, one after the other

A machine that failed gets no exam for a while, longer each time: one with a broken GPU is done with
each exam sooner than all others, and would have all of them.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cadnode.files import make_folder, write_whole

FOLDER: Final = "remote"
AROUND_S: Final = 15.0  # who asked within that time is there
PAUSE_S: Final = 30.0  # after the first exam that failed, then twice as long each time
LONGEST_PAUSE_S: Final = 600.0
_FORGOTTEN_S: Final = 86_400.0
_NOTED_EVERY_S: Final = 5.0


class RemoteFileContent(BaseModel):
    """What stands in one of the files."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SeenWorker(RemoteFileContent):
    """A remote worker: its machine, version and digest; `at`: when it last asked, or read."""

    machine: str
    version: str
    digest: str
    at: float = 0.0


class FailingWorker(RemoteFileContent):
    """A remote worker that failed with its last `n` exams."""

    n: int


ContentT = TypeVar("ContentT", bound=RemoteFileContent)


class RemoteMachines:
    """The remote workers of one storage folder. Threads and processes may share them."""

    def __init__(self, storage: Path) -> None:
        self._seen = storage / FOLDER / "seen"
        self._failing = storage / FOLDER / "failing"

    def note_seen(self, worker: SeenWorker) -> None:
        """Note that a remote worker has asked; a full disk costs the note alone."""
        file = self._seen / f"{worker.machine}.json"
        with suppress(OSError):
            if parsed(SeenWorker, file) == worker and _age_s(file) < _NOTED_EVERY_S:
                return
        with suppress(OSError):
            make_folder(self._seen)
            write_whole(file, worker.model_dump_json().encode())

    def note_reads(self, machine: str) -> None:
        """Note that it is there: who reads does not ask."""
        with suppress(OSError):
            os.utime(self._seen / f"{machine}.json")

    def seen(self) -> list[SeenWorker]:
        """Those that asked, or read, during the last day, by name."""
        found = []
        for path in sorted(self._seen.glob("*.json")):
            one = parsed(SeenWorker, path)
            with suppress(OSError):
                at = path.stat().st_mtime
                if one is not None and time.time() - at < _FORGOTTEN_S:
                    found.append(one.model_copy(update={"at": at}))
        return found

    def around(self, digest: str) -> set[str]:
        """Those with these models that have asked a moment ago, and may have an exam now."""
        now = time.time()
        there = {
            one.machine for one in self.seen() if one.digest == digest and now - one.at < AROUND_S
        }
        return {machine for machine in there if not self.pause_s(machine)}

    def note_failed(self, machine: str) -> None:
        """Note that it failed with an exam. Raises `OSError`."""
        make_folder(self._failing)
        failing = FailingWorker(n=self.n_failed(machine) + 1)
        write_whole(self._failing / f"{machine}.json", failing.model_dump_json().encode())

    def note_read(self, machine: str) -> None:
        """Note that it has read an exam."""
        with suppress(OSError):
            (self._failing / f"{machine}.json").unlink(missing_ok=True)

    def n_failed(self, machine: str) -> int:
        """With how many exams it failed, one after the other."""
        found = parsed(FailingWorker, self._failing / f"{machine}.json")
        return 0 if found is None else found.n

    def pause_s(self, machine: str) -> float:
        """For how long it gets no exam; 0.0 where it may have one."""
        n = self.n_failed(machine)
        pause_s = min(LONGEST_PAUSE_S, PAUSE_S * 2.0 ** min(n - 1, 10)) if n else 0.0
        with suppress(OSError):
            return max(0.0, pause_s - _age_s(self._failing / f"{machine}.json"))
        return 0.0

    def tidy(self) -> None:
        """Forget those that have not asked for a day, and what they failed with before."""
        for path in (*self._seen.glob("*.json"), *self._failing.glob("*.json")):
            with suppress(OSError):
                if _age_s(path) > _FORGOTTEN_S:
                    path.unlink()


def parsed(model: type[ContentT], path: Path) -> ContentT | None:
    """What a file holds; None where it is missing or of another version."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _age_s(path: Path) -> float:
    """Seconds since it was written; a clock that was set back makes nothing older than now."""
    return max(0.0, time.time() - path.stat().st_mtime)

"""What remote workers ask of a node: exams to read, their images, and that readings are taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RemoteMachine:
    """Who asks: its name, the version of cadnode, and with what it reads (`Readers.digest`).

    `token` is the name of the token that it shows.
    """

    name: str
    version: str
    digest: str
    token: str


@dataclass(frozen=True, slots=True)
class OpenReadings:
    """What a machine may read: names of readings, the most urgent first; none where `refused`.

    `refused` says in English why this machine gets none; "" where it may have some.
    """

    readings: tuple[str, ...] = ()
    refused: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"readings": list(self.readings), "refused": self.refused or None}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a reading; `mtime_ns`: its time of last write, `is_replaced`: an older version."""

    name: str
    n_bytes: int
    mtime_ns: int
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """A file of a reading as it is given away; `sha256` is of all its bytes."""

    study: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ClaimedReading:
    """A reading that a machine has: the claim's name, the study's key and its files."""

    claim: str
    study: str
    files: Sequence[RemoteFile]
    for_processing: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON, under the names that docs/scale.md documents."""
        return {
            "claim": self.claim,
            "for_processing": self.for_processing,
            "files": [
                {
                    "name": one.name, "bytes": one.n_bytes, "mtime_ns": one.mtime_ns,
                    "replaced": one.is_replaced,
                }
                for one in self.files
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemoteReadings:
    """What may be asked; a study is its key. None: the claim is over, or there is no such thing.

    A claim is that of the token that it was given to, and over for every other `token`.
    `open_for(machine)`: what it may read. `claim(reading, machine)`: it has it from now on.
    `keeps(claim, token)`: the study, and the claim is prolonged. `image(claim, token, name)`: a
    file of it. `take(claim, token, parcel)`: what was read, whole, is on this node's disk; the
    study. `give_up(claim, token, has_failed)`: it is not read there; the study. All raise `OSError`
    for a full disk.
    """

    open_for: Callable[[RemoteMachine], OpenReadings]
    claim: Callable[[str, RemoteMachine], ClaimedReading | None]
    keeps: Callable[[str, str], str | None]
    image: Callable[[str, str, str], RemoteImage | None]
    take: Callable[[str, str, bytes], str | None]
    give_up: Callable[[str, str, bool], str | None]

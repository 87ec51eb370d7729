"""Readings that a node offers to remote workers, as files that its worker and web role share.

    STORAGE/remote/<study>-<content>.offer   what is to be read, and with which models
                                    .claim   who reads it now; its time is the last sign of life
                                    .ended   what came back: `node.remote.parcel`
                                    .failed  how often another machine failed, or fell silent
    STORAGE/remote/lock                      held for each change
    STORAGE/remote/digest                    with what this node reads (`Readers.digest`)
    STORAGE/remote/seen/<machine>.json       when a remote worker last asked

One claim is given at a time, to this node's own worker (`take`) or to another machine (`claim`);
only who holds it may bring a reading. A claim without a sign of life for `SILENT_S` is over.
After `TRIES_ELSEWHERE` the node reads the exam itself, whose notes of what kills a worker
(`node.poison`) then count.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cadnode.files import locked, make_folder, write_whole

FOLDER: Final = "remote"
SILENT_S: Final = 30.0
TRIES_ELSEWHERE: Final = 2
AROUND_S: Final = 15.0  # who asked within that time is there
_FORGOTTEN_S: Final = 86_400.0  # what no job of the node has come back to


class _OfferFile(BaseModel):
    """What stands in one of the files."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ReadingOffer(_OfferFile):
    """A content that is to be read. `files` and `replaced` are names in the study's folder.

    `digest` states what it is read with (`Readers.digest`), `rank` how soon, the lowest first, and
    `within_s` for how long one machine may have it.
    """

    study: str
    content: str
    files: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    digest: str
    for_processing: bool = False
    rank: int = 0
    at: float = 0.0
    within_s: float = 600.0

    @property
    def key(self) -> str:
        """Its name among the offers."""
        return f"{self.study}-{self.content}"


class ReadingClaim(_OfferFile):
    """Who reads an offer: a machine, or "" for this node's own worker; since when."""

    claim: str
    by: str
    at: float


class SeenWorker(_OfferFile):
    """A remote worker: its machine, version and digest; `at`: when it last asked, or read."""

    machine: str
    version: str
    digest: str
    at: float = 0.0


FileT = TypeVar("FileT", bound=_OfferFile)


class OfferState(StrEnum):
    """Where an offer is."""

    OPEN = "open"
    TAKEN = "taken"
    ENDED = "ended"
    OURS = "ours"  # for this node alone: other machines failed with it


class Offers:
    """The offers of one storage folder. Threads and processes may share them."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER
        self._seen = self._folder / "seen"

    def make(self, offer: ReadingOffer) -> None:
        """ReadingOffer a content; what is known of the same offer from before a restart stays.

        Raises `OSError`.
        """
        make_folder(self._folder)
        with self._changing():
            before = self._offer(offer.key)
            is_same = before is not None and (before.digest, before.files, before.replaced) == (
                offer.digest, offer.files, offer.replaced,
            )  # fmt: skip
            if not is_same:
                self._forget(offer.key)
            elif (claim := self._claim(offer.key)) is not None and not claim.by:
                self._file(offer.key, "claim").unlink()  # this node's own, of an earlier life
            write_whole(self._file(offer.key, "offer"), offer.model_dump_json().encode())

    def withdraw(self, key: str) -> None:
        """Forget an offer, and what came of it."""
        if self._folder.is_dir():
            with self._changing():
                self._forget(key)

    def tidy(self) -> None:
        """Forget what was left behind a day ago, and machines that have not asked since."""
        if not self._folder.is_dir():
            return
        with self._changing():
            for path in (*self._folder.glob("*-*.*"), *self._seen.glob("*.json")):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
                        path.unlink()

    def state(self, key: str) -> OfferState:
        """Where an offer is; a machine that fell silent, or took too long, has lost it."""
        with self._changing():
            return self._state(key)

    def take(self, key: str) -> bool:
        """Whether this node's own worker has the offer now. Raises `OSError`."""
        with self._changing():
            if self._state(key) not in (OfferState.OPEN, OfferState.OURS):
                return False
            self._give(key, "")
            return True

    def open_for(self, digest: str) -> list[ReadingOffer]:
        """What a machine with these models may have, the most urgent first."""
        found = [one for one in self._all() if one.digest == digest]
        free = [one for one in found if self.state(one.key) is OfferState.OPEN]
        return sorted(free, key=lambda one: (one.rank, one.at))

    def claim(
        self, key: str, machine: str, digest: str
    ) -> tuple[ReadingOffer, ReadingClaim] | None:
        """The offer, given to a machine; None where it is not to be had. Raises `OSError`."""
        if not self._folder.is_dir():
            return None
        with self._changing():
            offer = self._offer(key)
            if offer is None or offer.digest != digest or self._state(key) is not OfferState.OPEN:
                return None
            return offer, self._give(key, machine)

    def held(self, claim: str) -> ReadingOffer | None:
        """What a claim is for, which this look prolongs; None where it is over."""
        if not self._folder.is_dir():
            return None
        with self._changing():
            return self._held(claim)

    def end(self, claim: str, parcel: bytes) -> ReadingOffer | None:
        """Keep what a machine has read; None where its claim is over. Raises `OSError`."""
        if not self._folder.is_dir():
            return None
        with self._changing():
            if (offer := self._held(claim)) is not None:
                write_whole(self._file(offer.key, "ended"), parcel)
            return offer

    def give_up(self, claim: str) -> ReadingOffer | None:
        """Take an offer back from a machine that cannot read it; None where its claim is over."""
        if not self._folder.is_dir():
            return None
        with self._changing():
            if (offer := self._held(claim)) is not None:
                self._failed(offer.key)
            return offer

    def fail(self, key: str) -> None:
        """Note that another machine did not read it: it is open again, or this node's alone."""
        with self._changing():
            self._failed(key)

    def ended(self, key: str) -> tuple[str, bytes]:
        """Which machine read it, and what it brought. Raises `OSError`."""
        claim = self._claim(key)
        return (claim.by if claim else ""), self._file(key, "ended").read_bytes()

    def note_seen(self, worker: SeenWorker) -> None:
        """Note that a remote worker has asked; a full disk costs the note alone."""
        with suppress(OSError):
            make_folder(self._seen)
            write_whole(self._seen / f"{worker.machine}.json", worker.model_dump_json().encode())

    def seen(self) -> list[SeenWorker]:
        """The remote workers that asked, or read, during the last day, by name."""
        found = []
        for path in sorted(self._seen.glob("*.json")):
            one = _parsed(SeenWorker, path)
            with suppress(OSError):
                at = path.stat().st_mtime
                if one is not None and time.time() - at < _FORGOTTEN_S:
                    found.append(one.model_copy(update={"at": at}))
        return found

    def is_anybody_around(self, digest: str) -> bool:
        """Whether a remote worker with these models has asked a moment ago."""
        now = time.time()
        return any(one.digest == digest and now - one.at < AROUND_S for one in self.seen())

    def note_digest(self, digest: str) -> None:
        """Keep with what this node reads, for machines that ask before there is an exam."""
        make_folder(self._folder)
        write_whole(self._folder / "digest", digest.encode("ascii"))

    def digest(self) -> str:
        """What this node reads with; "" before its worker has loaded it."""
        with suppress(OSError):
            return (self._folder / "digest").read_text("ascii")
        return ""

    def _state(self, key: str) -> OfferState:
        if self._file(key, "ended").exists():
            return OfferState.ENDED
        claim = self._claim(key)
        if claim is not None and not claim.by:
            return OfferState.TAKEN
        if claim is not None:
            offer = self._offer(key)
            silent_s = time.time() - self._file(key, "claim").stat().st_mtime
            if silent_s < SILENT_S and offer and time.time() - claim.at < offer.within_s:
                return OfferState.TAKEN
            self._failed(key)
        return OfferState.OPEN if self._n_failed(key) < TRIES_ELSEWHERE else OfferState.OURS

    def _held(self, claim: str) -> ReadingOffer | None:
        asked = claim.encode(errors="replace")  # whatever stands in a path: no ASCII, maybe
        for path in self._folder.glob("*.claim"):
            found = self._claim(path.stem)
            if not (found and found.by and secrets.compare_digest(found.claim.encode(), asked)):
                continue
            if self._state(path.stem) is not OfferState.TAKEN:
                return None
            os.utime(path)
            with suppress(OSError):  # who reads does not ask
                os.utime(self._seen / f"{found.by}.json")
            return self._offer(path.stem)
        return None

    def _give(self, key: str, machine: str) -> ReadingClaim:
        claim = ReadingClaim(claim=secrets.token_hex(16), by=machine, at=time.time())
        write_whole(self._file(key, "claim"), claim.model_dump_json().encode())
        return claim

    def _failed(self, key: str) -> None:
        n = self._n_failed(key) + 1
        write_whole(self._file(key, "failed"), str(n).encode())
        for kind in ("claim", "ended"):
            self._file(key, kind).unlink(missing_ok=True)

    def _n_failed(self, key: str) -> int:
        with suppress(OSError, ValueError):
            return int(self._file(key, "failed").read_bytes())
        return 0

    def _forget(self, key: str) -> None:
        for kind in ("offer", "claim", "ended", "failed"):
            self._file(key, kind).unlink(missing_ok=True)

    def _all(self) -> Iterator[ReadingOffer]:
        for path in self._folder.glob("*.offer"):
            if (found := _parsed(ReadingOffer, path)) is not None:
                yield found

    def _offer(self, key: str) -> ReadingOffer | None:
        return _parsed(ReadingOffer, self._file(key, "offer"))

    def _claim(self, key: str) -> ReadingClaim | None:
        return _parsed(ReadingClaim, self._file(key, "claim"))

    def _file(self, key: str, kind: str) -> Path:
        return self._folder / f"{key}.{kind}"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with locked(self._folder / "lock", mode=0o640):
            yield


def _parsed(model: type[FileT], path: Path) -> FileT | None:
    """What a file holds; None where it is missing or of another version."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None

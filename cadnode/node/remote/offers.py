"""Readings that a node offers to remote workers, as files that its worker and web role share.

    STORAGE/remote/<study>-<content>.offer   what is to be read, and with which models
                                    .claim   who reads it now; its time is the last sign of life
                                    .ended   what came back: `node.remote.parcel`
                                    .failed  which machines failed with it, or fell silent
    STORAGE/remote/lock                      held for each change
    STORAGE/remote/digest                    with what this node reads (`Readers.digest`)

One claim is given at a time, to this node's own worker (`take`) or to another machine (`claim`);
only who holds it may bring a reading. A claim without a sign of life for `SILENT_S` is over, by the
looking process's own clock: no clock that is set makes a machine silent. No machine gets an exam
again that it failed with, and after `TRIES_ELSEWHERE` the node reads it itself, whose notes of what
kills a worker (`node.poison`) then count.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from cadnode.files import locked, make_folder, write_whole
from cadnode.node.remote.machines import FOLDER, RemoteMachines, parsed
from cadnode.node.remote.reading_offer import OfferState, ReadingClaim, ReadingOffer

SILENT_S: Final = 30.0
TRIES_ELSEWHERE: Final = 2
_FORGOTTEN_S: Final = 86_400.0  # what no job of the node has come back to


@dataclass(slots=True)
class _Look:
    """What was seen of a claim, by this process's clock: first, and when it last changed."""

    claim: str
    first: float
    mtime_ns: int
    changed: float


class Offers:
    """The offers of one storage folder. Threads and processes may share them."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER
        self._looks: dict[str, _Look] = {}
        self.machines = RemoteMachines(storage)

    def make(self, offer: ReadingOffer) -> None:
        """Offer a content; what is known of the same offer from before a restart stays.

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
        self.machines.tidy()
        with self._changing():
            for path in self._folder.glob("*-*.*"):
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
            self._give(key, ReadingClaim(claim=secrets.token_hex(16), by=""))
            return True

    def open_for(self, machine: str, digest: str) -> list[ReadingOffer]:
        """What a machine with these models may have, the most urgent first."""
        offers = list(self._all())
        self._forget_looks({one.key for one in offers})
        found = [one for one in offers if one.digest == digest]
        free = [one for one in found if self.state(one.key) is OfferState.OPEN]
        free = [one for one in free if machine not in self.failed_with(one.key)]
        return sorted(free, key=lambda one: (one.rank, one.at))

    def claim(
        self, key: str, machine: str, digest: str, token: str
    ) -> tuple[ReadingOffer, ReadingClaim] | None:
        """The offer, given to a machine; None where it is not to be had. Raises `OSError`."""
        if not self._folder.is_dir():
            return None
        with self._changing():
            offer = self._offer(key)
            if offer is None or offer.digest != digest or self._state(key) is not OfferState.OPEN:
                return None
            if machine in self.failed_with(key):
                return None
            claim = ReadingClaim(claim=secrets.token_hex(16), by=machine, token=token)
            self._give(key, claim)
            return offer, claim

    def held(self, claim: str, token: str) -> ReadingOffer | None:
        """What a claim is for, which this look prolongs; None where it is over."""
        if not self._folder.is_dir():
            return None
        with self._changing():
            return self._held(claim, token)

    def end(self, claim: str, token: str, parcel: bytes) -> ReadingOffer | None:
        """Keep what a machine has read; None where its claim is over. Raises `OSError`.

        What it brings once more, because the answer was lost, is there already.
        """
        if not self._folder.is_dir():
            return None
        with self._changing():
            key = self._key_of(claim, token)
            if key is not None and self._state(key) is OfferState.ENDED:
                return self._offer(key)
            if (offer := self._held(claim, token)) is not None:
                write_whole(self._file(offer.key, "ended"), parcel)
            return offer

    def give_up(self, claim: str, token: str, *, has_failed: bool) -> ReadingOffer | None:
        """Take an offer back from a machine that does not read it; None where its claim is over."""
        if not self._folder.is_dir():
            return None
        with self._changing():
            if (offer := self._held(claim, token)) is not None:
                if has_failed:
                    self._failed(offer.key)
                else:
                    self._file(offer.key, "claim").unlink(missing_ok=True)
            return offer

    def fail(self, key: str) -> None:
        """Note that the machine that has it did not read it: open to others, or this node's."""
        with self._changing():
            self._failed(key)

    def failed_with(self, key: str) -> list[str]:
        """The machines that failed with an offer."""
        with suppress(OSError, ValueError):
            return [str(one) for one in json.loads(self._file(key, "failed").read_bytes())]
        return []

    def ended(self, key: str) -> tuple[str, bytes]:
        """Which machine read it, and what it brought. Raises `OSError`."""
        claim = self._claim(key)
        return (claim.by if claim else ""), self._file(key, "ended").read_bytes()

    def is_wanted(self, offer: ReadingOffer) -> bool:
        """Whether a remote worker that may have it has asked a moment ago."""
        return bool(self.machines.around(offer.digest).difference(self.failed_with(offer.key)))

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
            if self._is_kept(key, claim):
                return OfferState.TAKEN
            self._failed(key)
        n_failed = len(self.failed_with(key))
        return OfferState.OPEN if n_failed < TRIES_ELSEWHERE else OfferState.OURS

    def _is_kept(self, key: str, claim: ReadingClaim) -> bool:
        """Whether its machine gave a sign of life while this process looked, and is in time."""
        offer, now = self._offer(key), monotonic()
        mtime_ns = self._file(key, "claim").stat().st_mtime_ns
        look = self._looks.get(key)
        if look is None or look.claim != claim.claim:
            look = self._looks[key] = _Look(claim.claim, now, mtime_ns, now)
        elif look.mtime_ns != mtime_ns:
            look.mtime_ns, look.changed = mtime_ns, now
        is_in_time = offer is not None and now - look.first < offer.within_s
        return is_in_time and now - look.changed < SILENT_S

    def _key_of(self, claim: str, token: str) -> str | None:
        asked = claim.encode(errors="replace")  # whatever stands in a path: no ASCII, maybe
        for path in self._folder.glob("*.claim"):
            found = self._claim(path.stem)
            if found and found.by and secrets.compare_digest(found.claim.encode(), asked):
                return path.stem if found.token == token else None
        return None

    def _held(self, claim: str, token: str) -> ReadingOffer | None:
        key = self._key_of(claim, token)
        if key is None or self._state(key) is not OfferState.TAKEN:
            return None
        os.utime(self._file(key, "claim"))
        if (found := self._claim(key)) is not None:
            self.machines.note_reads(found.by)
        return self._offer(key)

    def _forget_looks(self, but: set[str]) -> None:
        if self._looks:
            with self._changing():
                self._looks = {key: look for key, look in self._looks.items() if key in but}

    def _give(self, key: str, claim: ReadingClaim) -> None:
        write_whole(self._file(key, "claim"), claim.model_dump_json().encode())

    def _failed(self, key: str) -> None:
        claim = self._claim(key)
        if claim is not None and claim.by:
            failed = sorted({*self.failed_with(key), claim.by})
            write_whole(self._file(key, "failed"), json.dumps(failed).encode())
            self.machines.note_failed(claim.by)
        for kind in ("claim", "ended"):
            self._file(key, kind).unlink(missing_ok=True)

    def _forget(self, key: str) -> None:
        self._looks.pop(key, None)
        for kind in ("offer", "claim", "ended", "failed"):
            self._file(key, kind).unlink(missing_ok=True)

    def _all(self) -> Iterator[ReadingOffer]:
        for path in self._folder.glob("*.offer"):
            if (found := parsed(ReadingOffer, path)) is not None:
                yield found

    def _offer(self, key: str) -> ReadingOffer | None:
        return parsed(ReadingOffer, self._file(key, "offer"))

    def _claim(self, key: str) -> ReadingClaim | None:
        return parsed(ReadingClaim, self._file(key, "claim"))

    def _file(self, key: str, kind: str) -> Path:
        return self._folder / f"{key}.{kind}"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with locked(self._folder / "lock", mode=0o640):
            yield

"""Which peers the listener turned away a short while ago, and why: for health and `cadnode check`.

    STORAGE/roles/refused-peers.json      AE titles, addresses, codes and counts; nothing of a study

The listener keeps it; whoever looks reads it. A peer that gets in is taken out of it, and what is
older than `LOOKS_BACK_S` is shown no more.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cadnode.association_failures import told_of_caller
from cadnode.files import write_whole
from cadnode.phrases import N_, nphrase, phrase
from cadnode.receive.witness import AuditWitness
from cadnode.web.node import HealthProblem

LOOKS_BACK_S: Final = 3600.0
_MOST: Final = 50  # peers and codes that are kept, the last ones
_SHOWN: Final = 5
_SAVED_EVERY_S: Final = 5.0
_TITLE: Final = 16  # characters (PS3.5 6.2)

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class RefusedPeer:
    """A peer that was turned away so often, the last time at `at` (epoch, s)."""

    code: str
    address: str
    ae_title: str
    count: int
    at: float

    @property
    def name(self) -> str:
        """Its AE title, where it has stated one, and its address."""
        return f"{self.ae_title} at {self.address}" if self.ae_title else self.address


def _path(storage: Path) -> Path:
    return storage / "roles" / "refused-peers.json"


class RefusalWitness:
    """Tells the audit trail, and keeps who is turned away. Threads may share it.

    `on_study(ae_title, address, study)` is called for the first image of a study on an association.
    """

    def __init__(
        self,
        storage: Path,
        trail: AuditWitness,
        clock: Clock = time.time,
        on_study: Callable[[str, str, str], None] = lambda ae_title, address, study: None,
    ) -> None:
        self._on_study = on_study
        self._path = _path(storage)
        self._audit = trail
        self._now = clock
        self._guard = threading.Lock()
        self._peers: dict[tuple[str, str, str], RefusedPeer] = {}
        self._is_saved = False  # what an earlier listener left is not true of this one
        self._saved_at = 0.0

    def received(self, ae_title: str, address: str, study: str) -> None:
        """As the audit trail's; whatever kept this peer out before does so no more."""
        self._audit.received(ae_title, address, study)
        self._on_study(ae_title, address, study)
        with self._guard:
            for key in [key for key in self._peers if key[1:] == (address, ae_title)]:
                del self._peers[key]
                self._is_saved = False

    def brought(self, ae_title: str, studies: Mapping[str, int]) -> None:
        """As the audit trail's."""
        self._audit.brought(ae_title, studies)

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        """As the audit trail's; kept where it is a failure of an association that has words."""
        self._audit.refused(reason, address, ae_title)
        if told_of_caller(reason) is None:
            return
        title = "".join(c for c in ae_title if " " <= c <= "~")[:_TITLE].strip()
        with self._guard:
            key = (reason, address, title)
            before = self._peers.pop(key, None)
            count = 1 + (before.count if before else 0)
            self._peers[key] = RefusedPeer(reason, address, title, count, self._now())
            while len(self._peers) > _MOST:
                del self._peers[next(iter(self._peers))]
            self._is_saved = False

    def tell(self, *, everything: bool = False) -> None:
        """As the audit trail's; now and then the file is written, if there is something new."""
        self._audit.tell(everything=everything)
        with self._guard:
            now = self._now()
            if self._is_saved or (abs(now - self._saved_at) < _SAVED_EVERY_S and not everything):
                return
            document = [asdict(one) for one in self._peers.values()]
            self._saved_at, self._is_saved = now, True
        with suppress(OSError):  # a full disk: the log has it
            write_whole(self._path, json.dumps(document).encode())


def refused_peers(storage: Path, clock: Clock = time.time) -> list[RefusedPeer]:
    """Who was turned away of late, the last one first."""
    try:
        document = json.loads(_path(storage).read_bytes())
        found = [RefusedPeer(**one) for one in document]
        since = clock() - LOOKS_BACK_S
        return sorted((one for one in found if one.at >= since), key=lambda one: -one.at)
    except (OSError, ValueError, TypeError):
        return []


def refused_problems(storage: Path) -> Iterator[HealthProblem]:
    """What is said of them: a peer that cannot get in sends nothing, and nobody else would tell."""
    found = refused_peers(storage)
    for one in found[:_SHOWN]:
        told = told_of_caller(one.code)
        if told is not None:
            times = nphrase("once", "%(n)s times", one.count)
            yield HealthProblem(
                f"peer_refused_{one.code}",
                phrase(
                    "%(name)s was turned away %(times)s within the last hour: it %(words)s",
                    name=one.name,
                    times=times,
                    words=phrase(told.words),
                ),
                told.hint,
                failing=False,
            )
    if len(found) > _SHOWN:
        yield HealthProblem(
            "peers_refused", phrase("Further peers were turned away: %(n)s", n=len(found) - _SHOWN),
            N_("`cadnode audit show` names them"), failing=False,
        )  # fmt: skip

"""Which peers the listener turned away a short while ago, and why: for health and `cadnode check`.

    STORAGE/roles/refused-peers.json      AE titles, addresses, codes and counts; nothing of a study
                  refused-peers-2.json    of a further listener, by its slot (`node.role_status`)

The listener keeps it; whoever looks reads it. A peer that gets in is taken out of it, and what is
older than `LOOKS_BACK_S` is shown no more. Where there are several, each also keeps who got in: one
that another has turned away before is shown no more either.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
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
    """A peer that was turned away so often, the last time at `at` (epoch, s).

    The code is "" for one that got in.
    """

    code: str
    address: str
    ae_title: str
    count: int
    at: float

    @property
    def name(self) -> str:
        """Its AE title, where it has stated one, and its address."""
        return f"{self.ae_title} at {self.address}" if self.ae_title else self.address


def _path(storage: Path, slot: str) -> Path:
    return storage / "roles" / f"refused-peers{slot.removeprefix('listener')}.json"


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
        slot: str = "listener",
        *,
        is_one_of_several: bool = False,
    ) -> None:
        self._on_study = on_study
        self._path = _path(storage, slot)
        self._keeps_who_got_in = is_one_of_several
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
            if self._keeps_who_got_in:
                self._keep("", address, ae_title)

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
            self._keep(reason, address, title)

    def _keep(self, code: str, address: str, title: str) -> None:
        key = (code, address, title)
        before = self._peers.pop(key, None)
        count = 1 + (before.count if before else 0)
        self._peers[key] = RefusedPeer(code, address, title, count, self._now())
        alike = [key for key in self._peers if bool(key[0]) == bool(code)]
        for one in alike[:-_MOST]:
            del self._peers[one]
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
    """Who was turned away of late, the last one first; by several listeners, all of them."""
    found: dict[tuple[str, str, str], RefusedPeer] = {}
    for one in _kept(storage):
        key = (one.code, one.address, one.ae_title)
        before = found.get(key)
        if before is None:
            found[key] = one
        else:
            found[key] = replace(one, count=one.count + before.count, at=max(one.at, before.at))
    since = clock() - LOOKS_BACK_S
    got_in = {(one.address, one.ae_title): one.at for one in found.values() if not one.code}
    refused = (one for one in found.values() if one.code and one.at >= since)
    late = (one for one in refused if one.at >= got_in.get((one.address, one.ae_title), 0.0))
    return sorted(late, key=lambda one: -one.at)


def _kept(storage: Path) -> Iterator[RefusedPeer]:
    for path in sorted((storage / "roles").glob("refused-peers*.json")):
        with suppress(OSError, ValueError, TypeError):
            yield from [RefusedPeer(**one) for one in json.loads(path.read_bytes())]


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

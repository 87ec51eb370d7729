"""What became of the women, for the pages: figures made again when journal or outcomes change.

The whole journal is read for them, some seconds of 100,000 readings: for new readings that is done
every `_RENEWED_S` at most, for new outcomes at once.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cadnode.node.waiting_outcomes import WaitingOutcomes
from cadnode.phrases import N_
from cadnode.quality.journal import FOLDER, Journal
from cadnode.quality.outcomes import NAME, OutcomeBook
from cadnode.quality.performance import SystemPerformance, performances
from cadnode.web.node import Unavailable

_RENEWED_S: Final = 900.0

_Seen = dict[str, tuple[int, int]]


class OutcomeDesk:
    """The figures of one storage folder. Threads may share it."""

    def __init__(self, storage: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: _Seen = {}
        self._made_at = -_RENEWED_S
        self._found: tuple[SystemPerformance, ...] = ()

    def figures(self) -> Sequence[SystemPerformance]:
        """The figures of every system; () before the first reading.

        Raises
        ------
        Unavailable
            The disk cannot be read.
        """
        with self._lock:
            try:
                seen = self._files()
                if self._is_due(seen):
                    outcomes = OutcomeBook(self._storage).all()
                    self._found = performances(Journal(self._storage).readings(), outcomes)
                    self._seen, self._made_at = seen, self._clock()
            except OSError:
                raise _not_read() from None
            return self._found

    def n_waiting(self) -> int:
        """How many exams that have not come have outcomes. Raises `Unavailable`."""
        try:
            return WaitingOutcomes(self._storage).n_exams()
        except OSError:
            raise _not_read() from None

    def _is_due(self, seen: _Seen) -> bool:
        if seen == self._seen:
            return False
        is_old = not self._found or self._clock() - self._made_at >= _RENEWED_S
        return is_old or seen.get(NAME) != self._seen.get(NAME)

    def _files(self) -> _Seen:
        found = ((path.name, path.stat()) for path in (self._storage / FOLDER).glob("*.jsonl"))
        return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in found}


def _not_read() -> Unavailable:
    return Unavailable(N_("the outcomes cannot be read"), N_("is the disk damaged?"))

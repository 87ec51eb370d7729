"""What is worth a line in the log: once for each peer, reason and interval, never once a probe."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from cadnode.receive.witness import Unwatched, Witness

INTERVAL_S = 600.0
MOST_LINES = 60  # of all peers in an interval: many addresses fill no log either
_MOST_KEYS = 1024


@dataclass(slots=True)
class _Note:
    last_at: float
    unsaid: int = 0


class Notes:
    """What peers did that was logged, and what was left unsaid since; a witness hears of all."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, witness: Witness | None = None
    ) -> None:
        self._clock = clock
        self.witness = witness or Unwatched()
        self._notes: OrderedDict[tuple[str, str], _Note] = OrderedDict()
        self._began_at, self._lines = clock(), 0
        self._lock = Lock()

    def due(self, reason: str, address: str, ae_title: str = "") -> int:
        """How often it happened since it was last said, now included; 0: do not say it yet."""
        if address:  # else it is no peer's doing
            self.witness.refused(reason, address, ae_title)
        key = (reason, address)
        with self._lock:
            now = self._clock()
            note = self._notes.pop(key, None)
            if note is None:
                note = _Note(now - INTERVAL_S)
            self._notes[key] = note  # the youngest
            if len(self._notes) > _MOST_KEYS:
                self._notes.popitem(last=False)
            note.unsaid += 1
            if now - note.last_at < INTERVAL_S or not self._has_line(now):
                return 0
            count, note.unsaid, note.last_at = note.unsaid, 0, now
            return count

    def _has_line(self, now: float) -> bool:
        if now - self._began_at >= INTERVAL_S:
            self._began_at, self._lines = now, 0
        if self._lines >= MOST_LINES:
            return False
        self._lines += 1
        return True

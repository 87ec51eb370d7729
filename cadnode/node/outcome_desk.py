"""What became of the women, for the pages: figures made again when journal or outcomes change."""

import threading
from collections.abc import Sequence
from pathlib import Path

from cadnode.phrases import N_
from cadnode.quality.journal import FOLDER, Journal
from cadnode.quality.outcomes import OutcomeBook
from cadnode.quality.performance import SystemPerformance, performances
from cadnode.web.node import Unavailable

_Seen = tuple[tuple[str, int, int], ...]


class OutcomeDesk:
    """The figures of one storage folder. Threads may share it."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._seen: _Seen | None = None
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
                if seen != self._seen:
                    entries = Journal(self._storage).entries()
                    self._found = performances(entries, OutcomeBook(self._storage).all())
                    self._seen = seen
            except OSError:
                raise Unavailable(
                    N_("the outcomes cannot be read"), N_("is the disk damaged?")
                ) from None
            return self._found

    def _files(self) -> _Seen:
        found = [*(self._storage / FOLDER).glob("*.jsonl")]
        facts = ((path.name, path.stat()) for path in sorted(found))
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in facts)

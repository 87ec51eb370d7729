"""A thread that tells of stored instances, so that telling never delays or fails a response."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from cadnode.log import get_logger
from cadnode.receive.spool import StoredInstance

log = get_logger("receive")


class Notices:
    """Calls `tell` for each instance put, in order, in a thread of its own."""

    def __init__(self, tell: Callable[[StoredInstance], None]) -> None:
        self._tell = tell
        self._queue: SimpleQueue[StoredInstance | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def put(self, stored: StoredInstance) -> None:
        """Tell of `stored` soon; returns at once."""
        self._queue.put(stored)

    def close(self) -> None:
        """Return once everything put was told."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (stored := self._queue.get()) is not None:
            try:
                self._tell(stored)
            except Exception as error:
                # The instance is safe in the spool; whoever listens must not stop the listener.
                log.error("notice_failed", study=stored.study_key, error=error)

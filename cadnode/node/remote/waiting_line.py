"""Who goes next of the exams that wait for this worker, while other machines may have them too."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

Place = tuple[int, float, str]
"""Rank, the most urgent lowest, time of the offer (epoch, s), and its key."""


class WaitingLine:
    """The exams that wait for a turn, the most urgent first. Threads share it.

    A turn itself (`node.turns`) knows no rank: only the first of the line asks for one.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._places: dict[str, Place] = {}

    def is_first(self, key: str, place: Place, *, within_s: float) -> bool:
        """Line up, and say whether nobody goes before, or will not any more within that time."""
        with self._changed:
            self._places[key] = place
            self._changed.notify_all()
            return self._changed.wait_for(lambda: min(self._places.values()) >= place, within_s)

    def leave(self, key: str) -> None:
        """Wait for no turn any more."""
        with self._changed:
            if self._places.pop(key, None) is not None:
                self._changed.notify_all()

    @contextmanager
    def leaving(self, key: str) -> Iterator[None]:
        """At the end of the block the line is left."""
        try:
            yield
        finally:
            self.leave(key)

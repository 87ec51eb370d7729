"""Whose turn it is to compute: one reading at a time, and a region before the next view.

An exam takes half a minute on two cores, and whoever drew a region waits in front of a screen. So
the reading of an exam gives way between its views, where nothing of it is half done. After
`MOST_AHEAD` regions in a row it goes on with a view: whoever orders many starves no exam.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MOST_AHEAD: Final = 8


class Turns:
    """The one place at the processor. Threads share it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_taken = False
        self._n_regions = self._n_exams = 0  # that wait
        self._n_ahead = 0  # regions that went before an exam that waits

    @contextmanager
    def exam(self) -> Iterator[None]:
        """Within the block nothing else is read, but for regions where the exam gives way."""
        with self._changed:
            self._take_last()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def exam_within(self, seconds: float) -> Iterator[bool]:
        """As `exam`, where the turn comes within so many seconds; gives whether it did."""
        with self._changed:
            is_ours = self._take_last(seconds)
        try:
            yield is_ours
        finally:
            if is_ours:
                self._leave()

    @contextmanager
    def region(self) -> Iterator[None]:
        """Within the block nothing else is read; goes before exams that have not waited long."""
        with self._changed:
            self._n_regions += 1
            try:
                self._changed.wait_for(lambda: not self._is_taken and not self._exam_is_due())
                self._is_taken = True
                self._n_ahead += bool(self._n_exams)
            finally:
                self._n_regions -= 1
        try:
            yield
        finally:
            self._leave()

    def give_way(self) -> bool:
        """Let the regions that wait be read, by whoever has the exam's turn; whether one was."""
        with self._changed:
            if not self._n_regions:
                return False
            self._is_taken = False
            self._changed.notify_all()
            self._take_last()
            return True

    def _take_last(self, within_s: float | None = None) -> bool:
        self._n_exams += 1
        try:
            is_free = self._changed.wait_for(
                lambda: not self._is_taken and (not self._n_regions or self._exam_is_due()),
                within_s,
            )
            if is_free:
                self._is_taken, self._n_ahead = True, 0
            return is_free
        finally:
            self._n_exams -= 1

    def _exam_is_due(self) -> bool:
        return bool(self._n_exams) and self._n_ahead >= MOST_AHEAD

    def _leave(self) -> None:
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()

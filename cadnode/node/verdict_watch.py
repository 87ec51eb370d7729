"""The worker's look at readers' verdicts: when a reader has paused, they are sent where wanted.

A thread of the worker. The verdicts are on the disk, and so is each document that was made of them:
what a crash or a lost job database left undone is found again at the next start.

    STORAGE/verdict-takers.json   since when each destination gets verdicts: none of before
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from cadnode.beside import kept_running
from cadnode.errors import ReportError
from cadnode.log import get_logger
from cadnode.node import delivery_record, reader_verdicts
from cadnode.node.delivered import noted_since
from cadnode.node.reader_verdicts import VerdictStore
from cadnode.node.results import Results
from cadnode.node.study_gate import StudyGate
from cadnode.node.verdict_documents import VerdictDocuments
from cadnode.settings import Settings

FILE: Final = "verdict-takers.json"
LOOK_EVERY_S: Final = 5.0
_TRIED_AGAIN_AFTER_S: Final = 600.0

log = get_logger("worker")

Deliver = Callable[[str, str, Sequence[str]], None]  # study, document, destinations


class VerdictWatch:
    """Has the verdicts of one node sent. One thread uses it."""

    def __init__(
        self, settings: Settings, deliver: Deliver, clock: Callable[[], float] = time.time
    ) -> None:
        storage = settings.storage.folder
        names = [d.name for d in settings.destinations if d.verdicts]
        self._since = noted_since(storage / FILE, names)
        self._after_s = settings.report.verdicts_after_s
        self._folder = storage / reader_verdicts.FOLDER
        self._store = VerdictStore(storage)
        self._documents = VerdictDocuments(settings)
        self._results = Results.in_storage(storage)
        self._gate = StudyGate(storage)
        self._deliver = deliver
        self._clock = clock
        self._done: dict[str, int] = {}  # study: when its verdicts changed that were sent, in ns
        self._not_before: dict[str, float] = {}

    def look(self) -> None:
        """Have sent what is new, of studies on which nothing was said for a while.

        What cannot be made of one study is tried again later, and keeps no other waiting.
        """
        now = self._clock()
        for study, changed_ns in self._changed():
            if now - changed_ns / 1e9 < self._after_s or now < self._not_before.get(study, 0.0):
                continue
            try:
                with self._gate.passing(study):
                    self._send(study)
            except (ReportError, OSError, ValueError, LookupError, TypeError) as error:
                log.error("verdicts_not_sent", study=study, error=error)
                self._not_before[study] = now + _TRIED_AGAIN_AFTER_S
            else:
                self._done[study] = changed_ns
                self._not_before.pop(study, None)

    def _send(self, study: str) -> None:
        words = self._store.of_study(study)
        takers = [name for name, since in self._since.items() if words and words[-1].at >= since]
        for name in self._documents.make(study, words) if takers else ():
            tried = delivery_record.last_tries(self._results.of_content(study, name))
            if wanted := [taker for taker in takers if taker not in tried]:
                self._deliver(study, name, wanted)
                log.info("verdicts_sent", study=study, count=len(wanted))

    def _changed(self) -> list[tuple[str, int]]:
        """Studies whose verdicts changed since they were sent, and when they did."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                path = Path(entry.name)
                with suppress(FileNotFoundError):
                    changed_ns = entry.stat().st_mtime_ns
                    if path.suffix == ".jsonl" and self._done.get(path.stem) != changed_ns:
                        found.append((path.stem, changed_ns))
        return sorted(found)


@contextmanager
def running(settings: Settings, deliver: Deliver, is_usable: Callable[[], bool]) -> Iterator[None]:
    """Within the block verdicts are sent, in a thread, where any destination gets them."""
    if not any(destination.verdicts for destination in settings.destinations):
        yield
        return
    with kept_running(partial(_run, settings, deliver, is_usable), "verdicts"):
        yield


def _run(
    settings: Settings, deliver: Deliver, is_usable: Callable[[], bool], end: threading.Event
) -> None:
    watch = VerdictWatch(settings, deliver)
    every_s = min(LOOK_EVERY_S, settings.report.verdicts_after_s / 2)
    while not end.wait(every_s):
        if not is_usable():
            continue
        try:
            watch.look()
        except Exception as error:
            # A thread's loop: the verdicts stay on the disk, the next look may succeed.
            log.error("verdicts_not_sent", error=error)

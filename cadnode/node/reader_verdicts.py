"""What readers said of findings, on the disk: it outlives the result that it was said of.

    STORAGE/verdicts/<study_key>.jsonl   a line a verdict, the last one last

Lines are added and never changed. They name images and studies by their keys and readers by the
names that they log in under, no patient. A line that a crash cut is ignored.
"""

import json
import os
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cadnode.domain import Box
from cadnode.files import make_folder, sync_folder, write_whole
from cadnode.node.results import Results
from cadnode.node.study_gate import StudyGate
from cadnode.phrases import N_, phrase
from cadnode.web.deliveries import OrderRefused
from cadnode.web.node import Unavailable
from cadnode.web.reader_verdicts import MOST_WORDS, ReaderVerdict, VerdictBook, VerdictWord
from cadnode.web.study import KEY, key_of

FOLDER: Final = "verdicts"
_NOBODY: Final = ("local", "unknown")  # in lines of before it was kept who is a person


class VerdictStore:
    """The verdicts of one storage folder. Threads and processes may share it."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._gate = StudyGate(storage)
        self._results = Results.in_storage(storage)

    def book(self) -> VerdictBook:
        """The store, for those who pass verdicts on."""
        return VerdictBook(self.of_study, self.add)

    def of_study(self, name: str) -> Sequence[ReaderVerdict]:
        """All that was said of a study's findings, the first first."""
        return _read(_file(self._storage, key_of(name)))

    def studies(self) -> list[str]:
        """Keys of the studies of which something was said, in order."""
        found = (self._storage / FOLDER).glob("*.jsonl")
        return sorted(path.stem for path in found if KEY.fullmatch(path.stem))

    def add(self, name: str, verdict: ReaderVerdict) -> None:
        """Keep a verdict, durably.

        Raises
        ------
        OrderRefused
            The result that it is about is not here any more, or too much was said already.
        Unavailable
            The disk is full, or cannot be written.
        """
        study = key_of(name)
        with self._gate.passing(study):
            if not self._results.of_content(study, verdict.content).is_dir():
                raise OrderRefused(
                    N_("this result is not here any more"), N_("load the page again")
                )
            if len(self.of_study(study)) >= MOST_WORDS:
                raise OrderRefused(
                    phrase("%(n)s verdicts were given on this study", n=MOST_WORDS),
                    N_("no more are kept"),
                )
            try:
                _append(_file(self._storage, study), verdict)
            except OSError:
                raise Unavailable(
                    N_("the verdict cannot be kept"), N_("is the disk full?")
                ) from None


def strip(storage: Path, study: str, images: Set[str]) -> None:
    """Take out what was said of findings in these images, by their keys. Raises `OSError`."""
    path = _file(storage, study)
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        return
    if not any(image.encode() in held for image in images):  # in a line that was cut, too
        return
    kept = [one for one in _read(path) if one.image not in images]
    if kept:
        write_whole(path, b"".join(_line(one) for one in kept))
    else:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def _file(storage: Path, study: str) -> Path:
    return storage / FOLDER / f"{study}.jsonl"


def _append(path: Path, verdict: ReaderVerdict) -> None:
    make_folder(path.parent)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o640)
    try:
        # Between two ends of line: what a crash leaves before or after does not reach it.
        os.write(descriptor, b"\n" + _line(verdict))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)


def _line(verdict: ReaderVerdict) -> bytes:
    exact = {"at": verdict.at, "is_person": verdict.is_person}
    return json.dumps(verdict.as_dict() | exact).encode() + b"\n"


def _read(path: Path) -> list[ReaderVerdict]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    return list(_parsed(lines))


def _parsed(lines: Sequence[bytes]) -> Iterator[ReaderVerdict]:
    for line in lines:
        with suppress(ValueError, TypeError, LookupError):
            found: dict[str, Any] = json.loads(line)
            yield ReaderVerdict(
                VerdictWord(found["verdict"]),
                float(found["at"]),
                str(found["by"]),
                str(found["content"]),
                int(found["patient"]),
                int(found["finding"]),
                str(found["image"]),
                Box(*map(int, found["box"])),
                str(found["kind"]),
                float(found["score"]),
                str(found["algorithm"]),
                bool(found.get("is_person", found["by"] not in _NOBODY)),
            )

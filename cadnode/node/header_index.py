"""What readiness needs of a study's stored headers: each is read once and cached beside the spool.

    SPOOL/headers/<study_key>.jsonl   a line a file: its name, size and time of last write, and what
                                      readiness needs of it; UIDs are hashed, nothing else is kept

The spool is the truth, a line is a hint: it counts while the file is as it was, and for the version
that wrote it. What is missing, damaged or outdated is read from the spool again, so the folder may
be removed at any time. Several threads and processes may add lines; where two of them describe a
file at once, it has two equal ones.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from cadnode import __version__
from cadnode.domain import Laterality, ViewPosition
from cadnode.exam.mammogram import inspect
from cadnode.node.readiness import StoredFile, describe
from cadnode.receive.spool import Spool

FORMAT: Final = 1  # raise when `readiness.describe` returns something else for a file
_WRITTEN_BY: Final = f"{FORMAT}/{__version__}"


class _Identity(NamedTuple):
    """A stamp that changes when a stored file does."""

    name: str
    size: int
    mtime_ns: int


class HeaderIndex:
    """The headers' facts of the spool's files. Threads may share it.

    Unless it `writes`, what is read is not noted: nothing on the disk changes.
    """

    def __init__(self, spool: Spool, *, writes: bool = True) -> None:
        self._spool = spool
        self._writes = writes

    def files(self, study: str) -> list[StoredFile]:
        """The facts of each file of a study, in order of their names.

        Never raises for what is in a file; one that is removed meanwhile is left out.
        """
        place = self._spool.header_index(study)
        known = dict(_noted(place, self._spool.folder_of(study)))
        found: list[StoredFile] = []
        lines: list[str] = []
        for path in self._spool.instances(study):
            with suppress(FileNotFoundError):
                identity = _identity(path)
                file = known.get(identity)
                if file is None:
                    instance = inspect(path)
                    file = describe(instance)
                    if instance.header is not None:  # else the disk may have failed just now
                        lines.append(_line(identity, file))
                found.append(file)
        if lines and self._writes:
            _add(place, lines)
        return found


def _identity(path: Path) -> _Identity:
    stat = path.stat()
    return _Identity(path.name, stat.st_size, stat.st_mtime_ns)


def _line(identity: _Identity, file: StoredFile) -> str:
    """A file's line, as `_entry` reads it."""
    document = {
        "written_by": _WRITTEN_BY,
        **identity._asdict(),
        "instance": file.instance,
        "is_mammogram": file.is_mammogram,
        "view": file.view,
        "marks_regions": file.marks_regions,
        "rejects": sorted(file.rejects),
    }
    return json.dumps(document)


def _noted(place: Path, folder: Path) -> Iterator[tuple[_Identity, StoredFile]]:
    """What the lines hold about files in `folder`; unusable lines are ignored."""
    try:
        lines = place.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            document = json.loads(line)
            if document["written_by"] == _WRITTEN_BY:
                yield _entry(document, folder)


def _entry(document: dict[str, Any], folder: Path) -> tuple[_Identity, StoredFile]:
    """Raises ValueError, TypeError or KeyError for what `_line` has not written."""
    identity = _Identity(str(document["name"]), int(document["size"]), int(document["mtime_ns"]))
    view = None
    if document["view"] is not None:
        side, position = document["view"]
        view = (Laterality(side), ViewPosition(position))
    return identity, StoredFile(
        folder / identity.name,
        str(document["instance"]),
        is_mammogram=bool(document["is_mammogram"]),
        view=view,
        marks_regions=bool(document["marks_regions"]),
        rejects=frozenset(map(str, document["rejects"])),
    )


def _add(place: Path, lines: list[str]) -> None:
    """Append lines in one write. One that cannot be written is rebuilt later.

    Each begins a line of its own, whatever a crash left before it.
    """
    with suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        descriptor = os.open(place, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o640)
        try:
            os.write(descriptor, "".join(f"\n{line}" for line in lines).encode())
        finally:
            os.close(descriptor)

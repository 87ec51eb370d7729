"""What is remembered of a study whose received files were removed: enough to know them again.

    SPOOL/removed/<study_key>.json   the fingerprint of what had been read of the study; of each
                                     file its size, time of last write and its data set's sha256

A file that comes again with the same data set gets back its time of last write, so that a study
that returns as it was has the content that it had: it is not read, reported or sent again.
"""

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cadnode.files import write_whole

_PREAMBLE_BYTES = 132  # 128 bytes and "DICM" (DICOM PS3.10 7.1)
_GROUP_LENGTH = struct.Struct("<HH2sHI")  # (0002,0000) UL, explicit little endian


@dataclass(frozen=True, slots=True)
class RemovedFile:
    """One received file, as it was."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed of a study: `files` by the keys of their instances.

    `content` is the fingerprint of what had been read of it, "" when nothing was to be read.
    """

    content: str = ""
    files: dict[str, RemovedFile] = field(default_factory=dict)

    def holds(self, paths: Iterable[Path]) -> bool:
        """Whether each of these files is one of the removed that came again, unchanged."""
        return all(self._holds(path) for path in paths)

    def _holds(self, path: Path) -> bool:
        known = self.files.get(path.stem)
        try:
            return known is not None and known.mtime_ns == path.stat().st_mtime_ns
        except FileNotFoundError:
            return False

    def with_study(self, content: str, paths: Iterable[Path]) -> "Removed":
        """The same, and the files of the same study that are removed now. Raises `OSError`."""
        now = {path.stem: _described(path) for path in paths}
        return Removed(content or self.content, {**self.files, **now})


def load(path: Path) -> Removed | None:
    """What `save` wrote; None when there is nothing, or nothing that can be read."""
    try:
        document = json.loads(path.read_bytes())
        files = {key: RemovedFile(*values) for key, values in document["files"].items()}
        return Removed(str(document["content"]), files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def save(path: Path, removed: Removed) -> None:
    """Write it durably. Raises `OSError`."""
    files = {key: [f.size, f.mtime_ns, f.sha256] for key, f in removed.files.items()}
    write_whole(path, json.dumps({"content": removed.content, "files": files}).encode())


def data_set_offset(file: BinaryIO) -> int:
    """Where the data set starts in a Part 10 file; 0 when its header states no length."""
    file.seek(_PREAMBLE_BYTES)
    head = file.read(_GROUP_LENGTH.size)
    if len(head) < _GROUP_LENGTH.size:
        return 0
    group, element, vr, _, length = _GROUP_LENGTH.unpack(head)
    if (group, element, vr) != (0x0002, 0x0000, b"UL"):
        return 0
    return _PREAMBLE_BYTES + _GROUP_LENGTH.size + int(length)


def data_set_sha256(path: Path) -> str:
    """Sha256 of a Part 10 file's data set, whatever its file meta information is."""
    with path.open("rb") as file:
        file.seek(data_set_offset(file))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(path: Path) -> RemovedFile:
    stat = path.stat()
    return RemovedFile(stat.st_size, stat.st_mtime_ns, data_set_sha256(path))

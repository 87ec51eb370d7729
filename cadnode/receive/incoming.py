"""A file on its way into the spool, and the two facts about files that this needs."""

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_PREAMBLE_BYTES = 132  # 128 bytes and "DICM" (DICOM PS3.10 7.1)
_GROUP_LENGTH = struct.Struct("<HH2sHI")  # (0002,0000) UL, explicit little endian


class Incoming:
    """A file being written. It is locked meanwhile, so that it is not taken for a leftover."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_bytes = 0
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`. Raises `OSError` when the disk is full."""
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self.n_bytes += written
            view = view[written:]

    def sync(self) -> None:
        """Bring every byte, and the time of last write, to the disk."""
        os.fsync(self._descriptor)

    def drop(self) -> None:
        """Let go of the file; what was not published is removed. May be called again."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(FileNotFoundError):
                self.path.unlink()
            os.close(descriptor)


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

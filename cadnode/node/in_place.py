"""A small file that is written in place: its room is taken once, and a full disk takes it, too.

For notes of this moment (a heartbeat, what is in hand), where an older note is worth nothing and a
half-written one is none. What must survive whole is written by `cadnode.files`.
"""

import os
from pathlib import Path


class InPlace:
    """A file of `n_bytes` at most. Its content is one line; longer ones are refused."""

    def __init__(self, path: Path, n_bytes: int) -> None:
        self.path = path
        self._n_bytes = n_bytes

    def write(self, line: bytes, *, sync: bool = False) -> bool:
        """Whether the line was written; False when the disk does not take it."""
        if len(line) > self._n_bytes:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o640)
            try:
                os.pwrite(descriptor, line.rstrip(b"\n").ljust(self._n_bytes - 1) + b"\n", 0)
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True

    def read(self) -> bytes:
        """The line, b"" when there is none."""
        try:
            return self.path.read_bytes().strip()
        except OSError:
            return b""

"""Files of JSON lines: lines are added durably, read past what a crash cut, and taken out."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from cadnode.files import make_folder, sync_folder, write_whole

MODE: Final = 0o640
T = TypeVar("T")


def add(path: Path, data: bytes) -> None:
    """Add whole lines to a file, durably; what a crash cut before them stays a line of its own.

    For several writers at a time the caller holds a lock. Raises `OSError`.
    """
    make_folder(path.parent)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, MODE)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)


def read(path: Path, kind: TypeAdapter[T]) -> Iterator[T]:
    """What the lines hold; empty and damaged ones are passed over, and so is a missing file.

    Raises `OSError` where the file is there and cannot be read.
    """
    try:
        held = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in held:
        if (found := parsed(line, kind)) is not None:
            yield found


def parsed(line: bytes, kind: TypeAdapter[T]) -> T | None:
    """What a line holds; None of an empty or damaged one."""
    try:
        return kind.validate_json(line) if line.strip() else None
    except ValidationError:
        return None


def keep(path: Path, lines: Iterable[bytes]) -> None:
    """Leave only these lines, ends included, in a file; without any there is no file."""
    kept = b"".join(lines)
    if kept:
        write_whole(path, kept)
        path.chmod(MODE)
    else:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

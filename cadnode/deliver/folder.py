"""Objects copied into a folder, each there whole or not at all."""

import errno
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from cadnode.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError

_FOR_GOOD = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG})


def deliver(files: Sequence[Path], folder: Path) -> int:
    """Number of files copied into `folder`, which is made if need be; same names are replaced.

    Each is written under a hidden name, fsynced and renamed.

    Raises
    ------
    TransientDeliveryError
        The disk is full or the folder is away.
    PermanentDeliveryError
        The folder may not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            _copy(file, folder / file.name)
        _sync(folder)
    except OSError as error:
        raise _mapped(error) from error
    return len(files)


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with source.open("rb") as read, temporary.open("xb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mapped(error: OSError) -> DeliveryError:
    reason = os.strerror(error.errno or 0)
    kind = PermanentDeliveryError if error.errno in _FOR_GOOD else TransientDeliveryError
    return kind(f"the folder destination cannot be written: {reason}")

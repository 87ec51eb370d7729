"""Objects copied into a folder, each there whole or not at all."""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from cadnode.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError
from cadnode.files import written_whole

_FOR_GOOD = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG})


def deliver(
    files: Sequence[Path], folder: Path, ours: Callable[[Path], bool] = lambda path: False
) -> int:
    """Number of files copied into `folder`, which is made if need be; same names are replaced.

    Each is written under a hidden name, fsynced and renamed. Then those files go that `ours` says
    are an earlier reading's, of which this one has none any more.

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
            with file.open("rb") as read, written_whole(folder / file.name) as written:
                shutil.copyfileobj(read, written, 1 << 20)
        kept = {file.name for file in files}
        for old in folder.iterdir():
            if old.name not in kept and ours(old):
                old.unlink(missing_ok=True)
    except OSError as error:
        raise _mapped(error) from error
    return len(files)


def _mapped(error: OSError) -> DeliveryError:
    reason = os.strerror(error.errno or 0)
    kind = PermanentDeliveryError if error.errno in _FOR_GOOD else TransientDeliveryError
    return kind(f"the folder destination cannot be written: {reason}")

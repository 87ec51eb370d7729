"""Places to write to, tried before the work: an hour's training is not lost for a typing error.

A trial leaves nothing behind, and is a real one: rights alone reveal nothing of a file system that
is read-only or takes no files at all.
"""

import os
import stat
import tempfile
from pathlib import Path

from cadnode.errors import SettingsError


def folder(path: Path, named: str) -> None:
    """Return when `path` is a folder that takes files, or can become one.

    Raises
    ------
    SettingsError
        It is a file, or cannot be written; names the option or setting and the reason.
    """
    try:
        with tempfile.TemporaryFile(dir=_nearest(path)):
            return
    except OSError as error:
        raise SettingsError(f"{named} {path} cannot be written: {_reason(path, error)}") from None


def file(path: Path, named: str) -> None:
    """Return when a file can be written at `path`, whose folder need not be there yet.

    Raises
    ------
    SettingsError
        It is a folder, or its folder cannot be written; names the option and the reason.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise SettingsError(f"{named} {path} cannot be written: {_reason(path, error)}") from None
    if stat.S_ISDIR(mode):
        raise SettingsError(f"{named} {path} cannot be written: it is a folder")
    if stat.S_ISREG(mode):  # what else there is, such as /dev/stdout, takes what it takes
        folder(path.parent, f"{named} {path}: its folder")


def _nearest(path: Path) -> Path:
    """The folder itself, or the one in which the first of its missing parents is to be made."""
    for place in (path, *path.parents):
        try:
            place.lstat()
        except FileNotFoundError:
            continue
        if not place.is_dir():
            raise NotADirectoryError
        return place
    return Path()


def _reason(path: Path, error: OSError) -> str:
    """The error in words, without the rest of the system's message."""
    if isinstance(error, NotADirectoryError):
        upper = next(p for p in (path, *path.parents) if os.path.lexists(p))
        return f"{'it' if upper == path else upper} is no folder"
    return os.strerror(error.errno or 0)

"""What can be added as models: a folder or a zip file with one or more models.

A zip file is unpacked only after every name in it was checked: nothing but cards, safetensors,
lists of women and a signature, nothing outside the target, nothing that grows beyond measure. A
folder with a signature is copied first: what is checked is what is installed.
"""

import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from stat import S_ISLNK
from typing import Final

from cadnode.errors import ModelError, SettingsError
from cadnode.files import written_whole
from cadnode.models.store import BLOBS, CARD, SPLIT, WEIGHTS
from cadnode.registry import signature

# Uncompressed bytes in a zip file.
MOST_BYTES: Final = signature.MOST_BYTES
# Bytes of a card or a list of women.
MOST_TEXT: Final = 32 * 1024**2
_MOST_MEMBERS: Final = signature.MOST_FILES
_DEEPEST: Final = 5
_LONGEST_NAME: Final = 200  # bytes of a part of a path; file systems take 255
# What the parts of a damaged file lead `zipfile` and `zlib` to raise.
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, IndexError,
)  # fmt: skip
_CHUNK: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Parcel:
    """Folders of models, all of them in `root` or below.

    `is_own`: it is a copy that nobody else can change; a signature says something of that alone.
    """

    root: Path
    folders: tuple[Path, ...]
    is_own: bool = False

    def __iter__(self) -> Iterator[Path]:
        return iter(self.folders)


@contextmanager
def opened(path: Path) -> Iterator[Parcel]:
    """The models in a folder or a zip file; what was unpacked or copied is gone afterwards.

    A folder is a model itself, or holds models as `VERSION` or `NAME/VERSION`, as training writes
    them.

    Raises
    ------
    SettingsError
        There is no such path.
    ModelError
        It is neither, holds no model, or is a zip file with something else in it.
    """
    if path.is_dir():
        found = models_in(path, path)
        if not any(signature.places(folder, path) for folder in found):
            yield found
            return
        with _own_folder() as target:
            _copy(path, target)
            yield replace(models_in(target, path), is_own=True)
    elif not path.exists():
        raise SettingsError(f"there is no {path}")
    elif not zipfile.is_zipfile(path):
        raise ModelError(
            f"{path} is neither a folder nor a zip file; a model is a folder with {CARD}, "
            f"{WEIGHTS} and {SPLIT}, and pickles (.pt, .pth, .pkl) are never read"
        )
    else:
        with _own_folder() as target:
            _unpack(path, target)
            yield replace(models_in(target, path), is_own=True)


def write(root: Path, file: Path) -> None:
    """Write all files of a folder into a zip file, whole or not at all; raises `OSError`.

    The same files make the same bytes: names are in order, and all have one date.
    """
    with written_whole(file) as opened, zipfile.ZipFile(opened, "w") as archive:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(path.relative_to(root).as_posix())
            info.external_attr = 0o100644 << 16
            stored = path.suffix == ".safetensors"  # numbers that deflate by a tenth at most
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member, _CHUNK)


@contextmanager
def _own_folder() -> Iterator[Path]:
    """An empty folder that nobody else can write to."""
    with tempfile.TemporaryDirectory(prefix="cadnode-model-") as name:
        # `store.weights_file` also looks two folders above a card: still in our own folder.
        target = Path(name) / "parcel" / "in"
        target.mkdir(parents=True)
        yield target


def _copy(path: Path, target: Path) -> None:
    """Copy all files of a folder with a signature, within the limits of what can be signed."""
    left = MOST_BYTES
    try:
        for number, file in enumerate(signature.plain_files(path)):
            copy = target / file.relative_to(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            left -= _copy_file(file, copy, left)
            if left < 0 or number > _MOST_MEMBERS:
                raise ModelError(
                    f"{path} was refused: it has more than {MOST_BYTES // 1024**3} GB or "
                    f"{_MOST_MEMBERS} files"
                )
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None


def _copy_file(file: Path, copy: Path, most: int) -> int:
    """Bytes that were copied: all, or one more than the most."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    copied = 0
    with os.fdopen(descriptor, "rb") as source, copy.open("xb") as written:
        while copied <= most and (part := source.read(min(_CHUNK, most + 1 - copied))):
            copied += written.write(part)
    return copied


def models_in(folder: Path, named: Path) -> Parcel:
    """The models in a folder, where they lie; raises `ModelError` where there is none."""
    for pattern in (CARD, f"*/{CARD}", f"*/*/{CARD}", f"*/*/*/{CARD}"):
        if found := sorted(card.parent for card in folder.glob(pattern)):
            return Parcel(folder, tuple(found))
    raise ModelError(f"there is no {CARD} in {named}, nor in folders NAME/VERSION inside it")


def _unpack(archive: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            members = [m for m in file.infolist() if not m.is_dir()]
            _refuse(archive, members)
            for member in members:
                _extract(file, member, target.joinpath(*PurePosixPath(member.filename).parts))
    except _DAMAGED:
        raise ModelError(f"{archive} is damaged or encrypted, nothing was taken from it") from None
    except OSError as error:
        raise ModelError(f"{archive} cannot be unpacked: {error.strerror}") from None


def _refuse(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise for the first name or size in a zip file that has no place in it."""
    for member in members:
        if why := _wrong(member):
            raise ModelError(f"{archive} was refused: {member.filename!r} {why}")
    if len(members) > _MOST_MEMBERS or sum(m.file_size for m in members) > MOST_BYTES:
        raise ModelError(
            f"{archive} was refused: unpacked it has more than {MOST_BYTES // 1024**3} GB or "
            f"{_MOST_MEMBERS} files"
        )
    names = [PurePosixPath(member.filename) for member in members]
    if len(names) != len(set(names)):
        raise ModelError(f"{archive} was refused: a name occurs twice in it")
    if len(names) != len({signature.folded(str(name)) for name in names}):
        raise ModelError(
            f"{archive} was refused: two names in it are one on file systems that know no case"
        )
    if set(names) & {parent for name in names for parent in name.parents}:
        raise ModelError(f"{archive} was refused: a name in it is a file and a folder")


def _wrong(member: zipfile.ZipInfo) -> str:
    """Why a member of a zip file is refused; "" when it is not."""
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        return "leads out of the folder it is unpacked in"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in another way than zip files are (deflate)"  # LZMA takes gigabytes
    if S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in path.parts):
        return "is too long a name"
    shared = path.parent.name == BLOBS and path.suffix == ".safetensors"
    known = {CARD, WEIGHTS, SPLIT, signature.FILE}
    if not (shared or path.name in known) or len(path.parts) > _DEEPEST:
        return f"is no part of a model ({CARD}, {WEIGHTS}, {SPLIT}); pickles are never read"
    if path.name == signature.FILE and member.file_size > signature.MOST_SIGNATURE:
        return f"has more than {signature.MOST_SIGNATURE // 1024} KB"
    if path.name in {CARD, SPLIT} and member.file_size > MOST_TEXT:
        return f"has more than {MOST_TEXT // 1024**2} MB"
    return ""


def _extract(file: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member; a stream longer than its header states is cut off there and refused."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with file.open(member) as source, target.open("xb") as written:
        while part := source.read(min(_CHUNK, left + 1)):
            left -= len(part)
            if left < 0:
                raise zipfile.BadZipFile
            written.write(part)

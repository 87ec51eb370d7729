"""What can be added as models: a folder or a zip file with one or more models.

A zip file is unpacked only after every name in it was checked: nothing but cards, safetensors
and lists of women, nothing outside the target, nothing that grows beyond measure.
"""

import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from stat import S_ISLNK
from typing import Final

from cadnode.errors import ModelError, SettingsError
from cadnode.models.store import BLOBS, CARD, SPLIT, WEIGHTS

# Uncompressed bytes in a zip file: the five CNNs of Kang 2021 take 0.8 GB as float32.
MOST_BYTES: Final = 4 * 1024**3
# Bytes of a card or a list of women.
MOST_TEXT: Final = 32 * 1024**2
_MOST_MEMBERS: Final = 1000
_DEEPEST: Final = 5
_LONGEST_NAME: Final = 200  # bytes of a part of a path; file systems take 255
# What the parts of a damaged file lead `zipfile` and `zlib` to raise.
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, IndexError,
)  # fmt: skip
_CHUNK: Final = 1024**2


@contextmanager
def opened(path: Path) -> Iterator[list[Path]]:
    """Folders of the models in a folder or a zip file; what was unpacked is gone afterwards.

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
        yield _models_in(path, path)
    elif not path.exists():
        raise SettingsError(f"there is no {path}")
    elif not zipfile.is_zipfile(path):
        raise ModelError(
            f"{path} is neither a folder nor a zip file; a model is a folder with {CARD}, "
            f"{WEIGHTS} and {SPLIT}, and pickles (.pt, .pth, .pkl) are never read"
        )
    else:
        with tempfile.TemporaryDirectory(prefix="cadnode-model-") as name:
            # `store.weights_file` also looks two folders above a card: still in our own folder.
            target = Path(name) / "parcel" / "in"
            target.mkdir(parents=True)
            _unpack(path, target)
            yield _models_in(target, path)


def _models_in(folder: Path, named: Path) -> list[Path]:
    for pattern in (CARD, f"*/{CARD}", f"*/*/{CARD}", f"*/*/*/{CARD}"):
        if found := sorted(card.parent for card in folder.glob(pattern)):
            return found
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
    if not (shared or path.name in {CARD, WEIGHTS, SPLIT}) or len(path.parts) > _DEEPEST:
        return f"is no part of a model ({CARD}, {WEIGHTS}, {SPLIT}); pickles are never read"
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

"""Files that a person brings by a page, taken into the spool as a received study is.

A file streams into `spool/incoming`, and is published when it is whole and of a kind that the
listener takes, too. A zip archive is taken member by member, however its files are named: names are
only told back, and none becomes a path. A DICOMDIR (DICOM PS3.10 section 8) lists other files: how
many, is told, so that a person sees whether all came.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import IO, Final

from pydicom import dcmread
from sqlalchemy.exc import SQLAlchemyError

from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file
from cadnode.exam.kind import is_own_output
from cadnode.limits import INSTANCE_BYTES, INSTANCES, UPLOAD_BYTES
from cadnode.log import get_logger
from cadnode.node import readiness
from cadnode.node.header_index import HeaderIndex
from cadnode.node.workflow import Announcer
from cadnode.receive.identity import is_valid_uid, read_file_identity
from cadnode.receive.scp import STORAGE_CLASSES
from cadnode.receive.spool import Incoming, Received, Spool, StoredInstance
from cadnode.settings import Settings
from cadnode.web.uploaded import LeftOut, NoRoom, Uploaded, UploadWord

log = get_logger("web")

_DIRECTORY: Final = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
_ZIP: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"
_PIECE_BYTES: Final = 1 << 20
_MOST_DIRECTORY_BYTES: Final = 64 << 20  # of a zip's central directory, which is held in memory
_MOST_INDEX_BYTES: Final = 16 << 20  # of a DICOMDIR that is read
_ENCRYPTED: Final = 0x1
# They are unpacked piece by piece; a megabyte of bzip2 or LZMA becomes gigabytes at once.
_UNPACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, NotImplementedError, EOFError,
    RuntimeError,
)  # fmt: skip


class _Archive(FileIO):
    """A zip archive's file, of which no more is read at once than may be held in memory.

    How long its directory is, the archive itself says, and in more places than one.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """As `FileIO`'s. Raises `_TooLargeError`."""
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _MOST_DIRECTORY_BYTES:
            raise _TooLargeError
        return super().read(wanted)


class _TooLargeError(Exception):
    """The directory of an archive is too long."""


class SpoolUploads:
    """What the page brings goes into this node's spool. Threads may share it."""

    def __init__(self, settings: Settings, spool: Spool, announcer: Announcer) -> None:
        self._spool = spool
        self._announcer = announcer
        self._headers = HeaderIndex(spool)
        self._rules = readiness.rules_of(settings)

    def begin(self) -> "SpoolUpload":
        """A file on its way. Raises `NoRoom`."""
        self._needs_room()
        try:
            return SpoolUpload(self, self._spool.open())
        except OSError as error:
            raise _no_room(error) from None

    def taken(self, incoming: Incoming, name: str) -> Uploaded:
        """What became of a whole file. Raises `NoRoom`."""
        with incoming.path.open("rb") as file:
            begins = file.read(4)
        try:
            if begins in (_ZIP, _EMPTY_ZIP):
                return self._archive(incoming.path)
            return self._one(incoming, name)
        except OSError as error:
            raise _no_room(error) from None

    def _one(self, incoming: Incoming, name: str) -> Uploaded:
        """Publish a file, or say why not."""
        try:
            word, n_listed = _judged(incoming.path)
            if word is not None:
                return Uploaded(left_out=(LeftOut(name, word),), n_listed=n_listed)
            stored = self._spool.publish(incoming, read_file_identity(incoming.path))
        except NotProcessable:
            return Uploaded(left_out=(LeftOut(name, UploadWord.NOT_DICOM),))
        self._announce(stored)
        is_new = stored.received is not Received.ALREADY_HERE
        log.info(
            "instance_received", study=stored.study_key, instance=stored.instance_key,
            outcome=stored.received.value, bytes=stored.n_bytes,
        )  # fmt: skip
        return Uploaded(studies=(stored.study_key,), n_new=int(is_new), n_here=int(not is_new))

    def _archive(self, path: Path) -> Uploaded:
        """Take every member of a zip archive."""
        found = Uploaded()
        try:
            with _Archive(path) as file, zipfile.ZipFile(file) as archive:
                members = [one for one in archive.infolist() if not one.is_dir()]
                if len(members) > INSTANCES:
                    return Uploaded(left_out=(LeftOut("", UploadWord.TOO_MANY),))
                left = UPLOAD_BYTES
                for member in members:
                    more, n_bytes = self._member(archive, member, left)
                    found, left = found.plus(more), left - n_bytes
        except _TooLargeError:
            return found.plus(Uploaded(left_out=(LeftOut("", UploadWord.TOO_MANY),)))
        except _DAMAGED:
            return found.plus(Uploaded(left_out=(LeftOut("", UploadWord.DAMAGED),)))
        return found

    def _member(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int
    ) -> tuple[Uploaded, int]:
        """What became of one member, and how many bytes it had."""
        name = member.filename
        if member.flag_bits & _ENCRYPTED:
            return Uploaded(left_out=(LeftOut(name, UploadWord.ENCRYPTED),)), 0
        if member.compress_type not in _UNPACKED:
            return Uploaded(left_out=(LeftOut(name, UploadWord.DAMAGED),)), 0
        most = min(INSTANCE_BYTES, left)
        self._needs_room()
        incoming = self._spool.open()
        try:
            with archive.open(member) as opened:
                for piece in _pieces(opened):
                    if incoming.n_bytes + len(piece) > most:  # whatever the directory states
                        refused = LeftOut(name, UploadWord.TOO_LARGE)
                        return Uploaded(left_out=(refused,)), incoming.n_bytes
                    incoming.write(piece)
            return self._one(incoming, name), incoming.n_bytes
        except _DAMAGED:
            return Uploaded(left_out=(LeftOut(name, UploadWord.DAMAGED),)), incoming.n_bytes
        finally:
            incoming.drop()

    def _announce(self, stored: StoredInstance) -> None:
        present = readiness.views_of(self._headers.files(stored.study_key))
        try:
            wait_s = readiness.debounce_s(present, self._rules)
            self._announcer.announce(stored.study_key, wait_s)
        except SQLAlchemyError as error:  # the worker's sweep finds it
            log.warning("announcement_failed", study=stored.study_key, error=error)

    def _needs_room(self) -> None:
        if not self._spool.has_room():
            raise NoRoom


class SpoolUpload:
    """One file on its way into the spool. One thread at a time uses it."""

    def __init__(self, uploads: SpoolUploads, incoming: Incoming) -> None:
        self._uploads = uploads
        self._incoming = incoming

    def write(self, data: bytes) -> None:
        """Append what has come. Raises `NoRoom`."""
        try:
            self._incoming.write(data)
        except OSError as error:
            raise _no_room(error) from None

    def finish(self, name: str) -> Uploaded:
        """What became of the whole file. Raises `NoRoom`."""
        try:
            return self._uploads.taken(self._incoming, name)
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go of it; may be called again."""
        self._incoming.drop()


def _judged(path: Path) -> tuple[UploadWord | None, int]:
    """Why a file is not taken (None: it is), and how many others it lists.

    Raises
    ------
    NotProcessable
        It is no DICOM file.
    """
    identity = read_file_identity(path)
    if identity.sop_class_uid == _DIRECTORY or _is_directory(path):
        return UploadWord.DIRECTORY, _listed(path)
    if not (is_valid_uid(identity.study_instance_uid) and is_valid_uid(identity.sop_instance_uid)):
        return UploadWord.NO_UIDS, 0
    if identity.sop_class_uid not in STORAGE_CLASSES:
        return UploadWord.OTHER_KIND, 0
    try:
        is_own = is_own_output(open_file(path).header)
    except NotProcessable:
        is_own = False  # a damaged file is its reader's to judge
    return (UploadWord.OWN if is_own else None), 0


def _is_directory(path: Path) -> bool:
    """Whether the file meta information says DICOMDIR, whose data set has no SOP class."""
    with path.open("rb") as file:
        return _DIRECTORY.encode() in file.read(1024)


def _listed(path: Path) -> int:
    """How many files a DICOMDIR lists; 0 when that cannot be read."""
    if path.stat().st_size > _MOST_INDEX_BYTES:
        return 0
    try:
        records = dcmread(path).get("DirectoryRecordSequence") or ()
        return sum(bool(one.get("ReferencedFileID")) for one in records)
    except Exception:
        # pydicom raises whatever malformed bytes lead to; it is only a number to compare with.
        return 0


def _pieces(opened: IO[bytes]) -> Iterator[bytes]:
    read: Callable[[], bytes] = lambda: opened.read(_PIECE_BYTES)  # noqa: E731
    return iter(read, b"")


def _no_room(error: OSError) -> NoRoom:
    log.error("spool_failed", error=error)
    return NoRoom()

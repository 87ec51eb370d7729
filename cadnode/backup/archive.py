"""The file that a backup is: a tar stream (POSIX.1-2001 pax), its first and last members JSON.

    head.json        what this is: format, cadnode's version, when, of which node, with which parts
    settings/…       the configuration file, and files that settings name, by their absolute paths
    jobs.sqlite      the job database, or jobs.dump (pg_dump's custom format)
    storage/…        the storage folder
    manifest.json    SHA-256 and size of every member before

It can be written to and read from a pipe. Times of last write are kept to the nanosecond: a
study's content is known by them. A backup that was broken off has no manifest, and is refused.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from cadnode.errors import DataError

FORMAT: Final = 1
HEAD, MANIFEST = "head.json", "manifest.json"
STORAGE, SETTINGS = "storage/", "settings/"
_PART: Final = 1 << 20
_MOST_HEAD: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class BackupHead:
    """What a backup says of itself. `config` is "" where the node had no configuration file."""

    format: int
    cadnode: str
    made_at: str
    node: str
    storage: str
    config: str
    images: bool


@dataclass(frozen=True, slots=True)
class BackupMember:
    """A member while it is read: its name, what the tar file says of it, and its bytes."""

    name: str
    info: tarfile.TarInfo
    content: "HashedReader"


@dataclass(frozen=True, slots=True)
class BackupSum:
    """What a whole backup holds."""

    head: BackupHead
    n_files: int
    n_bytes: int
    n_studies: int
    n_results: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class HashedReader:
    """Reads `size` bytes at most of a stream, and knows their SHA-256; `DataError`: it is cut."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """So many of the bytes that are left, or all."""
        wanted = self._left if size < 0 else min(size, self._left)
        try:
            data = self._stream.read(wanted) if wanted else b""
        except (tarfile.TarError, EOFError) as error:
            raise DataError(f"the backup ends too early ({type(error).__name__})") from None
        self._left -= len(data)
        self._hash.update(data)
        return data

    @property
    def sha256(self) -> str:
        """In hexadecimal digits, of what was read."""
        return self._hash.hexdigest()


class BackupWriter:
    """Writes a backup to a stream. Raises `OSError` where the stream takes no more."""

    def __init__(self, stream: IO[bytes], head: BackupHead) -> None:
        self._tar = tarfile.open(  # noqa: SIM115 - `close` closes it
            fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT
        )
        self._listed: dict[str, tuple[str, int]] = {}
        self.add_bytes(HEAD, json.dumps(asdict(head)).encode())

    def add_bytes(self, name: str, data: bytes) -> None:
        """A member of our own."""
        info = tarfile.TarInfo(name)
        info.mode, info.size = 0o600, len(data)
        self._add(info, io.BytesIO(data))

    def add_file(self, name: str, path: Path, *, has_lines: bool = False) -> bool:
        """A file as it is now; of one with lines the whole ones. False: it is gone, or no file."""
        try:
            info = self._tar.gettarinfo(path, name)
            if not info.isreg() and not info.islnk():
                return False
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return False
        with file:
            found = os.fstat(file.fileno())
            info.type, info.linkname, info.size = tarfile.REGTYPE, "", found.st_size
            seconds, nanoseconds = divmod(found.st_mtime_ns, 10**9)
            info.pax_headers = {"mtime": f"{seconds}.{nanoseconds:09}"}
            content: IO[bytes] = file
            if has_lines:
                whole = _whole_lines(file.read(found.st_size))
                info.size, content = len(whole), io.BytesIO(whole)
            self._add(info, content)
        return True

    def close(self) -> int:
        """Write the manifest; returns the bytes of all members. Nothing is added after this."""
        files = {name: {"sha256": sha, "bytes": n} for name, (sha, n) in self._listed.items()}
        self.add_bytes(MANIFEST, json.dumps({"files": files}).encode())
        self._tar.close()
        return sum(n for _, n in self._listed.values())

    def _add(self, info: tarfile.TarInfo, content: IO[bytes]) -> None:
        reader = HashedReader(content, info.size)
        self._tar.addfile(info, reader)
        self._listed[info.name] = reader.sha256, info.size


class BackupReader:
    """Reads a backup from a stream, once, from its beginning to its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Read the head.

        Raises
        ------
        DataError
            The stream is no backup, or one of a format that this version does not know.
        """
        try:
            self._tar = tarfile.open(fileobj=stream, mode="r|*")  # noqa: SIM115 - who opened it
            first = self._tar.next()
            if first is None or first.name != HEAD or first.size > _MOST_HEAD:
                raise DataError("this is no backup of cadnode: its first part is not head.json")
            data = self._content(first).read()
            document = json.loads(data)
            if not isinstance(document, dict):
                raise ValueError
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise DataError(
                f"this is no backup of cadnode, or it is damaged ({type(error).__name__}); an "
                "encrypted one is decrypted first, as docs/deployment.md shows"
            ) from None
        if document.get("format") != FORMAT:
            raise DataError(
                f"this backup has format {document.get('format')!r}, and cadnode here knows "
                f"{FORMAT}: restore it by the version that made it ({document.get('cadnode')!r})"
            )
        try:
            self.head = BackupHead(**{f.name: document[f.name] for f in fields(BackupHead)})
        except KeyError as error:
            raise DataError(f"the backup's head.json lacks {error}") from None
        self._found = {HEAD: (hashlib.sha256(data).hexdigest(), first.size)}

    def members(self) -> Iterator[BackupMember]:
        """Every member but head and manifest, in order; what is not read of one is passed over.

        Raises
        ------
        DataError
            The backup is damaged, was broken off, or has a member that no backup has. Only at the
            end is it known that all are whole.
        """
        try:
            while (info := self._tar.next()) is not None:
                if not info.isreg() or not _is_safe(info.name) or info.name in self._found:
                    raise DataError(f"the backup has a part that no backup has: {info.name!r}")
                reader = self._content(info)
                if info.name == MANIFEST:
                    self._compare(reader.read())
                    return
                yield BackupMember(info.name, info, reader)
                while reader.read(_PART):
                    pass
                self._found[info.name] = reader.sha256, info.size
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise DataError(f"the backup is damaged ({type(error).__name__})") from None
        raise DataError("the backup was broken off: it has no manifest at its end")

    def _compare(self, manifest: bytes) -> None:
        try:
            files = json.loads(manifest)["files"]
            listed = {name: (one["sha256"], one["bytes"]) for name, one in files.items()}
        except (LookupError, TypeError, AttributeError):
            raise ValueError from None
        wrong = [name for name, found in self._found.items() if listed.get(name) != found]
        missing = len(listed.keys() - self._found.keys())
        if wrong or missing:
            raise DataError(
                f"the backup is damaged; files that differ from its manifest: {len(wrong)}, "
                f"that are missing: {missing}"
            )

    def _content(self, info: tarfile.TarInfo) -> HashedReader:
        stream = self._tar.extractfile(info)
        return HashedReader(stream or io.BytesIO(), info.size)


def summed_up(stream: IO[bytes]) -> BackupSum:
    """What is in a backup, all of which was read and compared. Raises `DataError`."""
    reader = BackupReader(stream)
    n_files = n_bytes = 0
    studies, results = set[str](), set[str]()
    for member in reader.members():
        n_files, n_bytes = n_files + 1, n_bytes + member.info.size
        parts = PurePosixPath(member.name).parts
        if parts[:3] == ("storage", "spool", "studies") and len(parts) > 3:
            studies.add(parts[3])
        elif parts[:2] == ("storage", "results") and len(parts) > 3:
            results.add("/".join(parts[2:4]))
    return BackupSum(reader.head, n_files, n_bytes, len(studies), len(results))


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]

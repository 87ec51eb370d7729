"""The proof: a search for a patient's identifiers through every file, as each may be written.

Texts are looked for in UTF-8, in the encodings of her own files, escaped as in JSON and HTML, and
in UTF-16 as in PDF; UIDs and keys as whole words; all of it in names of files, too, and in what is
packed in zip, gzip, PNG, PDF and DICOM (`node.erasure.contents`). Values of DICOM files are also
compared as a whole. What is found is named by its file and kind, never by its value.
"""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cadnode.node.erasure.contents import NotRead, dicom_values, unpacked
from cadnode.node.erasure.forms import SHORT, WrittenText, written_texts
from cadnode.node.erasure.patient import TEXTS, IdentifierKind, Identifiers, facts_of

_AT_ONCE: Final = 1 << 24
_BEGINNING: Final = 4
_OVERLAP: Final = 1 << 10  # longer than anything looked for
_WHOLE_FILE: Final = 1 << 30
_WORD: Final = re.compile(rb"[0-9a-f]{16,}")
_MARKS_BEFORE: Final = frozenset(b"\"'>,;=(\t\n")
_MARKS_AFTER: Final = frozenset(b"\"'<,;)&\t\r\n")
# What the trail counts: its hundred-thousandth line is no patient's number.
_COUNTED: Final = re.compile(rb'"(?:sequence|count|offset|waiting)": ?\d+|"end":\[\d+')
_PACKED: Final = (b"PK\x03\x04", b"\x1f\x8b", b"\x89PNG")


@dataclass(frozen=True, slots=True)
class Hit:
    """A file that holds something of the patient: kinds, and how many different identifiers."""

    path: Path
    kinds: tuple[str, ...]
    count: int


@dataclass(slots=True)
class SearchReport:
    """What was searched, and what was found; `unread` are files or parts that cannot be read."""

    n_identifiers: int = 0
    n_files: int = 0
    n_bytes: int = 0
    hits: list[Hit] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found, and everything was read."""
        return not self.hits and not self.unread


class PatientSearch:
    """A search for one patient's identifiers."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._uids = identifiers.of(IdentifierKind.UID)
        self._texts: dict[bytes, list[WrittenText]] = {}  # by how they begin
        for text in written_texts(identifiers):
            self._texts.setdefault(text.data[:_BEGINNING], []).append(text)
        uids = {uid[:_BEGINNING].encode() for uid in self._uids}
        # One pass over all bytes: most of them begin nothing that is looked for.
        beginnings = sorted({*self._texts, *uids}, key=lambda one: (-len(one), one))
        self._lengths = sorted({len(one) for one in beginnings})
        self._pattern = re.compile(b"|".join(map(re.escape, beginnings)) or rb"(?!)")
        self._keys = identifiers.of(IdentifierKind.KEY)
        self._whole = {
            value: kind for kind, value in identifiers.values if kind is not IdentifierKind.KEY
        }
        self.report = SearchReport(n_identifiers=len(identifiers.values))

    @property
    def keys(self) -> set[str]:
        """Keys of her studies, instances and contents."""
        return self._keys

    def look(self, paths: Iterable[Path], tick: Callable[[], None], *, keys: bool = True) -> None:
        """Search these files; `keys` False: of evidence, in which keys and its own counts stay."""
        for path in paths:
            found = self._in_name(path, keys=keys)
            try:
                found |= self._in_file(path, keys=keys)
            except FileNotFoundError:
                continue
            except (OSError, NotRead):
                self.report.unread.append(path)
            self.report.n_files += 1
            if found:
                kinds = tuple(sorted({kind.value for kind, _ in found}))
                self.report.hits.append(Hit(path, kinds, len(found)))
            tick()

    def holds(self, path: Path) -> bool:
        """Whether a file, or its name, holds anything of the patient. Raises `OSError`."""
        try:
            return bool(self._in_name(path, keys=True) | self._in_file(path, keys=True))
        except (FileNotFoundError, NotRead):
            return False

    @property
    def values(self) -> set[str]:
        """Her numbers, names and UIDs, as they are written."""
        return set(self._whole)

    def is_hers(self, path: Path) -> bool:
        """Whether a DICOM file states her number, or a UID of hers. Raises `OSError`."""
        facts = facts_of(path)
        named = (IdentifierKind.PATIENT_ID, IdentifierKind.UID)
        return facts is not None and any(
            self._whole.get(value) is kind for kind, value in facts.values if kind in named
        )

    def in_text(self, text: str) -> bool:
        """Whether a text, such as a cell of a table, holds anything of the patient."""
        whole = text.strip()
        return whole in self._whole or bool(self._found(whole.encode(), keys=True))

    def _in_name(self, path: Path, *, keys: bool) -> set[tuple[IdentifierKind, str]]:
        return self._found(os.fsencode(path.name), keys=keys) | self._found(
            os.fsencode(path.parent.name), keys=keys
        )

    def _in_file(self, path: Path, *, keys: bool) -> set[tuple[IdentifierKind, str]]:
        size = path.lstat().st_size
        if path.is_symlink() or not path.is_file():
            return set()
        self.report.n_bytes += size
        found: set[tuple[IdentifierKind, str]] = set()
        with path.open("rb") as file:
            head = file.read(_AT_ONCE)
            is_dicom, packed = head[128:132] == b"DICM", head.startswith(_PACKED)
            if is_dicom or packed or b"%PDF-" in head[:1024]:
                if size > _WHOLE_FILE:
                    raise NotRead
                data = head + file.read()
                # Keys are of our own small files; in pixels 16 digits would be chance.
                found |= self._found(data, keys=keys and not is_dicom)
                found |= {
                    (self._whole[value], value)
                    for keyword, value in dicom_values(data)
                    if value in self._whole and _says(keyword, value, self._whole[value])
                }
                for part in unpacked(data):
                    found |= self._found(part, keys=keys)
                return found
            before = b""
            while head:
                data = before + head
                found |= self._found(data if keys else _COUNTED.sub(b"", data), keys=keys)
                before = head[-_OVERLAP:]
                head = file.read(_AT_ONCE)
        return found

    def _found(self, data: bytes, *, keys: bool) -> set[tuple[IdentifierKind, str]]:
        found: set[tuple[IdentifierKind, str]] = set()
        is_text = b"\0" not in data  # in pixels and the like, two marks about two digits are chance
        begun = self._pattern.search(data)
        while begun is not None:
            at = begun.start()
            for length in self._lengths:
                for text in self._texts.get(data[at : at + length], ()):
                    if (is_text or not text.is_short) and _is_at(data, at, text):
                        found.add((text.kind, text.value))
            if 0x30 <= data[at] <= 0x39 and (uid := _word_at(data, at)) in self._uids:
                found.add((IdentifierKind.UID, uid))
            begun = self._pattern.search(data, at + 1)
        if keys and self._keys:
            for word in _WORD.findall(data):
                run = word.decode()
                for key in {run, run[:16], run[-16:], run[:24], run[:32]} & self._keys:
                    found.add((IdentifierKind.KEY, key))
        return found


def _says(keyword: str, value: str, kind: IdentifierKind) -> bool:
    """Whether a whole value is a sign of her: a short one only where such a value belongs."""
    return len(value) >= SHORT or TEXTS.get(keyword) is kind


def _word_at(data: bytes, at: int) -> str:
    """The UID that begins here, "" when it began before."""
    if at and data[at - 1 : at] in (b".", *(b"%d" % n for n in range(10))):
        return ""
    end = at
    while end < len(data) and (0x30 <= data[end] <= 0x39 or data[end] == 0x2E):
        end += 1
    return data[at:end].decode("ascii")


def _is_at(data: bytes, at: int, text: WrittenText) -> bool:
    """Whether the text is here, and is no part of a longer word."""
    if not data.startswith(text.data, at):
        return False
    end = at + len(text.data)
    before, after = data[at - 1] if at else 0x0A, data[end] if end < len(data) else 0x0A
    if text.is_short:
        return before in _MARKS_BEFORE and after in _MARKS_AFTER
    return not (_is_letter(before) or _is_letter(after))


def _is_letter(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A

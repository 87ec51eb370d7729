"""The list of studies on the disk: a row a study, found by state, time and words in a moment.

    STORAGE/studies.sqlite   (0640: it holds names and numbers of patients)

It is an index of what spool, results and job database hold (`node.study_queue` keeps it): lost,
damaged or of another version, it is made again. What is deleted is overwritten (`secure_delete`),
and no journal outlives its transaction.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.exam.patient import Patient
from cadnode.log import hashed
from cadnode.node.study_line import document_of, row_of
from cadnode.web.deliveries import OWED
from cadnode.web.operating_points import RecentScore
from cadnode.web.queue import StudyFilter, StudyPage, StudyRow
from cadnode.web.study import State

FILE: Final = "studies.sqlite"
_VERSION: Final = 3
_WITHIN_S: Final = 5.0  # for which another process may hold the file
_DAMAGED: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_MICRO: Final = 1_000_000
_SCHEMA: Final = f"""
    CREATE TABLE study (
        key TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, state TEXT NOT NULL,
        needs_you INTEGER NOT NULL, is_settled INTEGER NOT NULL, words TEXT NOT NULL,
        seen REAL NOT NULL, looked_at REAL NOT NULL, document TEXT NOT NULL);
    CREATE INDEX by_time ON study (at, key, state, needs_you, words);
    CREATE INDEX by_state ON study (state, at, key);
    CREATE INDEX by_need ON study (needs_you, at, key);
    CREATE INDEX by_look ON study (is_settled, looked_at);
    CREATE INDEX by_key ON study (key, seen);
    PRAGMA user_version = {_VERSION};
"""


@dataclass(frozen=True, slots=True)
class Look:
    """A study as it was found. `seen` is when its files had changed last, before they were read."""

    row: StudyRow
    seen: float
    looked_at: float


class StudyTable:
    """The index of a node. Threads and processes may share it; each call is a connection.

    Every method raises `sqlite3.OperationalError` while the file cannot be used: locked for too
    long, read-only, no room. A damaged one is made anew, empty.
    """

    def __init__(self, storage: Path) -> None:
        self._path = storage / FILE

    def page(self, wanted: StudyFilter) -> StudyPage:
        """The studies that a filter lets pass."""
        where, values = _where(wanted)
        query = (
            "SELECT key, at, document FROM study WHERE rowid IN (SELECT rowid FROM study "
            f"WHERE {where} ORDER BY at DESC, key DESC LIMIT ?) ORDER BY at DESC, key DESC"
        )
        with self._open() as found:
            rows = found.execute(query, (*values, wanted.limit + 1)).fetchall()
            counts, needing = _counts(found)
            n_found = _count(found, wanted) if wanted.counted else None
        has_more = len(rows) > wanted.limit
        rows = rows[: wanted.limit]
        return StudyPage(
            tuple(row_of(key, document) for key, _, document in rows),
            f"{rows[-1][1]}-{rows[-1][0]}" if has_more else "",
            counts,
            needing,
            n_found=n_found,
        )

    def counts(self) -> tuple[dict[State, int], int]:
        """How many studies are in each state, and how many of all wait for somebody."""
        with self._open() as found:
            return _counts(found)

    def recent_scores(self, most: int) -> list[RecentScore]:
        """The scores of the exams that changed last, as far as they have one, the newest first."""
        query = "SELECT key, document FROM study ORDER BY at DESC, key DESC LIMIT ?"
        with self._open() as found:
            rows = found.execute(query, (most,)).fetchall()
        studies = (row_of(key, document).study for key, document in rows)
        return [
            RecentScore(study.exam_score, study.scored_by)
            for study in studies
            if study.exam_score is not None
        ]

    def seen(self) -> dict[str, float]:
        """When the files of each listed study had changed last, by key."""
        with self._open() as found:
            return dict(found.execute("SELECT key, seen FROM study").fetchall())

    def longest_ago(self, *, settled: bool, limit: int) -> list[str]:
        """Keys of the studies whose state was looked at the longest ago."""
        query = "SELECT key FROM study WHERE is_settled = ? ORDER BY looked_at LIMIT ?"
        with self._open() as found:
            return [key for (key,) in found.execute(query, (int(settled), limit))]

    def patients(self, keys: Sequence[str]) -> dict[str, tuple[float, Patient]]:
        """(seen, patient) of these studies, where they are listed."""
        marks = ", ".join("?" * len(keys))
        query = f"SELECT key, seen, document FROM study WHERE key IN ({marks})"
        with self._open() as found:
            rows = found.execute(query, tuple(keys)).fetchall()
        return {key: (seen, row_of(key, document).patient) for key, seen, document in rows}

    def put(self, looks: Iterable[Look], changed_at: Callable[[str], float]) -> None:
        """Enter studies as they were found, but for those whose files have changed since.

        `changed_at` is asked while nobody else can write: what is erased meanwhile stays erased,
        since its files go before its row does.
        """
        with self._open() as found:
            found.execute("BEGIN IMMEDIATE")
            for look in looks:
                if changed_at(look.row.study.key) == look.seen:
                    found.execute(
                        "INSERT OR REPLACE INTO study VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        _columns(look),
                    )
            found.execute("COMMIT")

    def remove(self, keys: Iterable[str]) -> int:
        """Number of studies that are listed no more; their rows are overwritten."""
        with self._open() as found:
            found.execute("BEGIN IMMEDIATE")
            n_before = found.total_changes
            found.executemany("DELETE FROM study WHERE key = ?", ((key,) for key in keys))
            n_removed = found.total_changes - n_before
            found.execute("COMMIT")
            return n_removed

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file, made where it is missing, made anew where it cannot be read."""
        try:
            connection = self._connected()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _DAMAGED:
                raise
            discard(self._path.parent)
            connection = self._connected()
        with closing(connection):
            try:
                yield connection
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", None) not in _DAMAGED:
                    raise
                discard(self._path.parent)
                raise sqlite3.OperationalError("the list was damaged") from error

    def _connected(self) -> sqlite3.Connection:
        with suppress(OSError):  # SQLite says what is wrong then, by a code
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o640))
        connection = sqlite3.connect(self._path, _WITHIN_S, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = OFF")  # lost in a power cut, it is made again
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                _make(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def discard(storage: Path) -> None:
    """Remove the file; it is made again by whoever needs it."""
    for path in (storage / FILE, storage / f"{FILE}-journal"):
        path.unlink(missing_ok=True)


def forget(storage: Path, keys: Iterable[str]) -> int:
    """Number of studies that were taken out of the list, if there is one.

    Raises
    ------
    OSError
        The file can neither be changed nor removed.
    """
    if not (storage / FILE).exists():
        return 0
    try:
        return StudyTable(storage).remove(keys)
    except sqlite3.Error:
        discard(storage)
        return 0


def has_any(storage: Path, key: str) -> bool:
    """Whether a study is listed."""
    if not (storage / FILE).exists():
        return False
    try:
        return bool(StudyTable(storage).patients([key]))
    except sqlite3.Error:
        return False


def _make(connection: sqlite3.Connection) -> None:
    """Make the tables, also in place of those of another version."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != _VERSION:  # nobody else has made them since
        connection.execute("DROP TABLE IF EXISTS study")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
    connection.execute("COMMIT")


def _counts(found: sqlite3.Connection) -> tuple[dict[State, int], int]:
    rows = found.execute("SELECT state, count(*) FROM study GROUP BY state").fetchall()
    (needing,) = found.execute("SELECT count(*) FROM study WHERE needs_you = 1").fetchone()
    return {State(word): count for word, count in rows}, needing


def _count(found: sqlite3.Connection, wanted: StudyFilter) -> int:
    """How many studies a filter lets pass, of that part and those that follow."""
    where, values = _where(wanted)
    (count,) = found.execute(f"SELECT count(*) FROM study WHERE {where}", values).fetchone()
    return int(count)


def _where(wanted: StudyFilter) -> tuple[str, list[Any]]:
    """What a filter lets pass, as SQL, and its values."""
    first, end = wanted.between
    parts = ["at >= ?", "at < ?"]
    values: list[Any] = [_micro(first), _micro(min(end, 1e11))]
    if wanted.state is not None:
        parts.append("state = ?")
        values.append(wanted.state.value)
    if wanted.needs_you:
        parts.append("needs_you = 1")
    if words := [word.casefold() for word in wanted.text.split()]:
        each = " AND ".join("instr(words, ?) > 0" for _ in words)
        parts.append(f"(key = ? OR ({each}))")
        values += [hashed(wanted.text), *words]
    if wanted.destination:
        owed = [json.dumps([wanted.destination, word], ensure_ascii=False) for word in OWED]
        parts.append(f"({' OR '.join('instr(document, ?) > 0' for _ in owed)})")
        values += owed
    if wanted.after:
        at, key = wanted.after.split("-")
        parts.append("(at, key) < (?, ?)")
        values += [int(at), key]
    return " AND ".join(parts), values


def _columns(look: Look) -> tuple[Any, ...]:
    study, patient = look.row.study, look.row.patient
    at = _micro(study.updated_at.timestamp()) if study.updated_at else 0
    names = (*patient.names, patient.patient_id, patient.accession_number, study.key)
    words = "\n".join(names).casefold()
    is_settled = study.state.is_final and not study.needs_you
    return (
        study.key, at, study.state.value, int(study.needs_you), int(is_settled), words,
        look.seen, look.looked_at, document_of(look.row),
    )  # fmt: skip


def _micro(seconds: float) -> int:
    return round(seconds * _MICRO)

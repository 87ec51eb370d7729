"""Where a node writes: every kind of file below the storage folder, and what of a patient is in it.

This list is the only one. What erases a patient (`node.erasure`) goes through it, and a file that
is in none of the places fails a test with a running node (`tests/integration/test_erasure.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final


class Holds(StrEnum):
    """What a place may hold of a patient."""

    PATIENT = "identifiers"
    """Names, numbers or UIDs."""
    KEYS = "keys"
    """Hashes of UIDs, which name studies and instances to whoever has the UIDs."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class StoredPlace:
    """A kind of file. `patterns` are relative to the storage folder; `**` is all that is below.

    `stays`: what was written there is evidence, and is not changed when a patient is erased.
    `remade`: a node makes it once more, or it is of the running node alone: no backup has it.
    """

    name: str
    patterns: tuple[str, ...]
    holds: Holds
    stays: bool = False
    remade: bool = False

    def has(self, relative: PurePosixPath) -> bool:
        """Whether a file is of this kind."""
        return any(_fits(relative.parts, PurePosixPath(p).parts) for p in self.patterns)


PLACES: Final = (
    StoredPlace("images being received", ("spool/incoming/**",), Holds.PATIENT, remade=True),
    StoredPlace("received images", ("spool/studies/*/*",), Holds.PATIENT),
    StoredPlace("removed images, not deleted yet", ("spool/trash/**",), Holds.PATIENT, remade=True),
    StoredPlace("fetch requests", ("spool/requests/*",), Holds.PATIENT),
    StoredPlace("header index", ("spool/headers/*",), Holds.KEYS, remade=True),
    StoredPlace("notes of removed images", ("spool/removed/*",), Holds.KEYS),
    StoredPlace("prior exams that a C-MOVE brings", ("priors/expected/*",), Holds.KEYS),
    StoredPlace("prior exams", ("priors/*/*/*",), Holds.PATIENT),
    StoredPlace(
        "removed results, not deleted yet", ("results/.trash/**",), Holds.PATIENT, remade=True
    ),
    # Objects, page, previews, PDF, bundle, shadow's scores, delivery record, state of commitments;
    # regions that somebody asked about, with their answers; readers' verdicts as they are sent.
    StoredPlace("results", ("results/*/*/**",), Holds.PATIENT),
    StoredPlace("notes of removed results", ("removed/*",), Holds.PATIENT),
    StoredPlace("undelivered results", ("undelivered/*",), Holds.KEYS),
    StoredPlace("storage commitments", ("commitments/*/*",), Holds.PATIENT),
    StoredPlace("priorities of studies", ("priorities/*",), Holds.KEYS),
    StoredPlace("pins", ("pins/*",), Holds.KEYS),
    StoredPlace("ways of studies", ("way/*",), Holds.KEYS),
    StoredPlace("readers' verdicts", ("verdicts/*",), Holds.KEYS),
    StoredPlace("journal of scores", ("quality/*",), Holds.KEYS),
    StoredPlace(
        "remote workers that asked, or failed", ("remote/seen/*", "remote/failing/*"),
        Holds.NOTHING, remade=True,
    ),
    StoredPlace(
        "images that a remote worker reads", ("remote/scratch/**",), Holds.PATIENT, remade=True
    ),
    StoredPlace("readings by remote workers", ("remote/*",), Holds.PATIENT, remade=True),
    StoredPlace("readings given up", ("dropped/*",), Holds.KEYS),
    StoredPlace("studies set aside", ("set_aside/*",), Holds.KEYS),
    StoredPlace("state of the roles", ("roles/**",), Holds.KEYS, remade=True),
    StoredPlace("job database", ("jobs.sqlite*",), Holds.KEYS, remade=True),
    StoredPlace("list of studies", ("studies.sqlite*",), Holds.PATIENT, remade=True),
    StoredPlace("erasures", ("erasures/**",), Holds.NOTHING),
    StoredPlace("audit trail", ("audit/**",), Holds.KEYS, stays=True),
    StoredPlace("newest lines of the log", ("log/*",), Holds.KEYS),
    StoredPlace("answers of destinations", ("answers/*",), Holds.NOTHING),
    StoredPlace("counts for monitoring", ("metrics/*",), Holds.NOTHING, remade=True),
    StoredPlace("models", ("models/**",), Holds.NOTHING),
    StoredPlace(
        "state of the node",
        ("installation-id", "storage.json", "destinations.json", "verdict-takers.json"),
        Holds.NOTHING,
    ),
    StoredPlace(
        "state of the running node",
        (
            "node.lock", "retention.lock", "retention.reserve", "jobs-tried.json", "worker.json",
            ".*.part",
        ),
        Holds.NOTHING,
        remade=True,
    ),
)  # fmt: skip


def place_of(relative: Path) -> StoredPlace | None:
    """The kind of a file, by its path below the storage folder; None: nobody knows it."""
    wanted = PurePosixPath(relative.as_posix())
    return next((place for place in PLACES if place.has(wanted)), None)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order; a link is not followed."""
    try:
        found = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in found:
        if path.is_dir() and not path.is_symlink():
            yield from files_below(path)
        else:
            yield path


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if pattern and pattern[-1] == "**":
        head = pattern[:-1]
        return len(parts) > len(head) and _fits(parts[: len(head)], head)
    return len(parts) == len(pattern) and all(
        PurePosixPath(part).match(one) for part, one in zip(parts, pattern, strict=True)
    )

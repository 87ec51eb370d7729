"""One patient taken out of a training set: rows of manifests, the images that they name, caches.

A row is hers when a cell names her, when its pseudonym is a hash of what names her (`pathology`),
or when its image says so. Other rows stay the bytes that they are. A file of a cache that holds
anything of hers is deleted as a whole, and so is one that cannot tell: caches are made again.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol
from zipfile import BadZipFile

import numpy as np

from cadnode import extras
from cadnode.errors import DataError
from cadnode.files import sync_folder, write_whole
from cadnode_training.data.pathology import DATASET, pseudonym
from cadnode_training.data.rois import IMAGES, TABLE

_FILES: Final = ("image", "mask")
# Tensors of views, which name nobody; what a killed process left of a cache.
_NAMELESS: Final = (".npy", ".part", ".partial")
_NAMED: Final = ("women", "groups", "keys")  # arrays of cached tables that name women or regions


class SoughtPatient(Protocol):
    """What is known of the patient, as the node's search knows it."""

    @property
    def values(self) -> set[str]:
        """Her numbers, names and UIDs."""

    def in_text(self, text: str) -> bool:
        """Whether a text names her."""

    def is_hers(self, path: Path) -> bool:
        """Whether a DICOM file does."""

    def holds(self, path: Path) -> bool:
        """Whether a file does, or its name."""


class TrainingFiles:
    """Manifests (CSV, Parquet, a hospital's own tables) and folders of caches.

    Raises
    ------
    DataError
        A manifest is missing or of another kind, or a cache is no folder.
    """

    def __init__(self, manifests: Sequence[Path], caches: Sequence[Path]) -> None:
        for path in manifests:
            if not path.is_file() or path.suffix.lower() not in (".csv", ".parquet"):
                raise DataError(f"--manifest {path.name}: no CSV or Parquet file")
        for folder in caches:
            if not folder.is_dir():
                raise DataError(f"--cache {folder.name}: no folder")
        self._manifests = tuple(manifests)
        self._caches = tuple(caches)
        self._pseudonyms: set[str] = set()

    def find(self, search: SoughtPatient) -> dict[str, int]:
        """How many rows, images and cached files are hers; nothing is changed."""
        return self._each(search, remove=False)

    def remove(self, search: SoughtPatient) -> dict[str, int]:
        """How many were removed. Raises `DataError` and `OSError`."""
        return self._each(search, remove=True)

    def pseudonyms(self) -> set[str]:
        """Pseudonyms that stood for her and are hashes."""
        return {one for one in self._pseudonyms if len(one) == 16 and _is_hash(one)}

    def files(self) -> list[Path]:
        """Manifests and all files of the caches."""
        cached = (p for folder in self._caches for p in sorted(folder.rglob("*")) if p.is_file())
        return [*self._manifests, *cached]

    def _each(self, search: SoughtPatient, *, remove: bool) -> dict[str, int]:
        n_rows, images = 0, set[Path]()
        for path in self._manifests:
            n_of_file, named = self._manifest(path, search, remove=remove)
            n_rows += n_of_file
            images |= named
        cached = [path for folder in self._caches for path in self._cached(folder, search)]
        if remove:
            for path in (*images, *cached):
                path.unlink(missing_ok=True)
            for place in {path.parent for path in (*images, *cached)}:
                sync_folder(place)
        return {
            "rows of manifests": n_rows,
            "training images": len(images),
            "cached files": len(cached),
        }

    def _manifest(
        self, path: Path, search: SoughtPatient, *, remove: bool
    ) -> tuple[int, set[Path]]:
        """How many of its rows are hers, and the files that only they name."""
        if path.suffix.lower() == ".parquet":
            frame = _pandas().read_parquet(path)
            rows = [{str(k): str(v) for k, v in r.items()} for r in frame.to_dict("records")]
        else:
            head, lines, rows = _csv(path)
        hers = [self._is_hers(row, path.parent, search) for row in rows]
        named = _files_of((r for r, own in zip(rows, hers, strict=True) if own), path.parent)
        named -= _files_of((r for r, own in zip(rows, hers, strict=True) if not own), path.parent)
        if remove and any(hers):
            if path.suffix.lower() == ".parquet":
                stored = io.BytesIO()
                frame[[not own for own in hers]].to_parquet(stored, index=False)
                write_whole(path, stored.getvalue())
            else:
                kept = [line for line, own in zip(lines, hers, strict=True) if not own]
                write_whole(path, (head + "".join(kept)).encode())
        return sum(hers), named

    def _is_hers(self, row: Mapping[str, str], folder: Path, search: SoughtPatient) -> bool:
        hashes = _pseudonyms(row.get("dataset") or DATASET, search)
        cells = {cell.strip() for cell in row.values()}
        of_image = any(_states_her(path, search) for path in _files_of([row], folder))
        if not (cells & hashes or of_image or any(map(search.in_text, cells))):
            return False
        self._pseudonyms |= {row[c] for c in ("woman", "exam") if row.get(c)}
        return True

    def _cached(self, folder: Path, search: SoughtPatient) -> Iterator[Path]:
        """Files that are hers, or may be."""
        mine = self._pseudonyms | _pseudonyms(DATASET, search)
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            if path.name == IMAGES and (path.parent / TABLE).exists():
                continue  # goes with its table
            if search.holds(path) or _names_her(path, mine):
                yield path
                if path.name == TABLE and (path.parent / IMAGES).exists():
                    yield path.parent / IMAGES


def _names_her(path: Path, mine: set[str]) -> bool:
    """Whether a cached table names one of the women; or only regions by hashes, so that any may be.

    Names are of a data set and a woman, with marks between them.
    """
    if path.suffix == ".npz":
        unread = suppress(OSError, ValueError, BadZipFile)
        with unread, path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = [str(n) for a in _NAMED if a in stored for n in np.ravel(stored[a]).tolist()]
            if "keys" in stored:
                return True
            return any(_parts(name) & mine for name in found)
        return True
    if path.suffix in _NAMELESS:
        return True
    if path.name == TABLE:
        with suppress(OSError, ValueError, KeyError, TypeError):
            rows = json.loads(path.read_bytes())["rois"]
            return any(_parts(str(row["key"])) & mine for row in rows)
        return True
    return False


def _parts(name: str) -> set[str]:
    return {name, *name.replace("/", ":").split(":")}


def _pseudonyms(dataset: str, search: SoughtPatient) -> set[str]:
    values = {form for value in search.values for form in (value, value.upper())}
    return {pseudonym(dataset, value) for value in values}


def _states_her(path: Path, search: SoughtPatient) -> bool:
    with suppress(OSError):
        return path.is_file() and search.is_hers(path)
    return False


def _files_of(rows: Any, folder: Path) -> set[Path]:
    """Image and mask files that rows name and that exist."""
    named = {row[column] for row in rows for column in _FILES if row.get(column)}
    return {path for name in named if (path := folder / Path(name).expanduser()).is_file()}


def _csv(path: Path) -> tuple[str, list[str], list[dict[str, str]]]:
    """The first line, each row as it is written, and each row's cells."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(file)
        table = csv.reader(lines)
        names = [name.strip() for name in next(table, [])]
        if names:
            names[0] = names[0].removeprefix("\ufeff").strip('"')
        start = table.line_num
        written, rows, at = list[str](), list[dict[str, str]](), start
        for cells in table:
            written.append("".join(lines[at : table.line_num]))
            rows.append(dict(zip(names, cells, strict=False)))
            at = table.line_num
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(f"{path.name} cannot be read as a CSV file in UTF-8") from None
    return "".join(lines[:start]), written, rows


def _is_hash(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text)


def _pandas() -> Any:
    extras.need("parquet", "a manifest in Parquet (.csv needs nothing)")
    return import_module("pandas")

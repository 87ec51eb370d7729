"""How manifests are stored: CSV (RFC 4180, UTF-8) or Parquet, same columns (docs/data.md)."""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from cadnode import extras
from cadnode.domain import Box
from cadnode.errors import DataError
from cadnode.files import write_whole
from cadnode_training.data.manifest import Manifest, ManifestRow

COLUMNS: Final = (
    "image", "dataset", "woman", "exam", "exam_date", "laterality", "view",
    "row0", "col0", "row1", "col1", "mask", "label", "pathology", "birads", "density", "age",
    "vendor", "lesion", "lesion_kind", "calcification_type", "distribution", "mass_shape",
    "mass_margin", "size_mm", "spacing_mm", "split",
)  # fmt: skip
REQUIRED: Final = ("image", "dataset", "woman", "label")
"""Columns that a file must have; the others are empty when they are not there."""

BOX: Final = ("row0", "col0", "row1", "col1")
_PATHS: Final = ("image", "mask")
_NUMBERS: Final = {"age": int, "size_mm": float, "spacing_mm": float}
SUFFIXES: Final = (".csv", ".parquet")


def read_manifest(path: Path) -> Manifest:
    """The manifest in a `.csv` or `.parquet` file; relative paths start at the file's folder.

    Raises
    ------
    DataError
        The file is missing, of another kind or empty, lacks a column or has an unknown one, or
        a value does not fit; the message names line and column.
    """
    table = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    rows = []
    for line, cells in table:
        try:
            rows.append(parse_row(cells, path.parent))
        except ValueError as error:
            raise DataError(f"{path.name}, line {line}, {error}") from None
    if not rows:
        raise DataError(f"{path.name} has no rows")
    return Manifest(tuple(rows))


def write_manifest(path: Path, rows: Iterable[ManifestRow]) -> None:
    """Write rows to a `.csv` or `.parquet` file, whole or not at all.

    Paths at or below the file's folder are stored relative to it, so that both can be moved.

    Raises
    ------
    DataError
        The ending is neither, or Parquet's library is not installed.
    """
    base = path.parent.resolve()
    lines = [_cells(row, base) for row in rows]
    if path.suffix == ".parquet":
        data = _parquet_bytes(lines)
    elif path.suffix == ".csv":
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
        data = text.getvalue().encode()
    else:
        raise DataError(f"a manifest's name ends in {' or '.join(SUFFIXES)}: {path.name}")
    try:
        write_whole(path, data)
    except OSError:
        raise DataError(f"{path.name} cannot be written") from None


def parse_row(cells: Mapping[str, str], folder: Path) -> ManifestRow:
    """The row that `cells` (text by column) state; paths are relative to `folder`.

    Raises
    ------
    ValueError
        A cell does not fit; the message names the column.
    """
    values: dict[str, Any] = {
        column: text for column in COLUMNS if (text := (cells.get(column) or "").strip())
    }
    for column in REQUIRED:
        if column not in values:
            raise ValueError(f"column {column}: must not be empty")
    for column in _PATHS:
        if column in values:
            values[column] = folder / Path(values[column]).expanduser()
    for column, kind in _NUMBERS.items():
        if column in values:
            values[column] = _number(values[column], column, kind)
    corners = [_number(values.pop(c), c, int) for c in BOX if c in values]
    if len(corners) not in (0, 4):
        raise ValueError(f"columns {', '.join(BOX)}: all four or none")
    return ManifestRow(**values, box=Box(*corners) if corners else None)


def _number(text: str, column: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"column {column}: {what}, or nothing") from None


def _cells(row: ManifestRow, base: Path) -> dict[str, str]:
    cells = {c: _text(getattr(row, c)) for c in COLUMNS if c not in (*BOX, *_PATHS)}
    cells |= dict(zip(BOX, map(str, row.box or ("",) * 4), strict=True))
    for column in _PATHS:
        path = getattr(row, column)
        cells[column] = "" if path is None else _relative(path, base)
    return cells


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _relative(path: Path, base: Path) -> str:
    # abspath, not resolve: a link to another disk stays the name the user gave it.
    whole = Path(os.path.abspath(path))
    return str(whole.relative_to(base)) if whole.is_relative_to(base) else str(whole)


def _csv_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of each row."""
    if path.suffix != ".csv":
        raise DataError(f"a manifest's name ends in {' or '.join(SUFFIXES)}: {path.name}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, strict=True)
            _check_columns(path, table.fieldnames or ())
            rows = []
            for cells in table:
                if None in cells or None in cells.values():
                    raise DataError(
                        f"{path.name}, line {table.line_num}: as many cells as the first line has"
                    )
                rows.append((table.line_num, cells))
            return rows
    except FileNotFoundError:
        raise DataError(f"{path.name} is missing") from None
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(f"{path.name} cannot be read as a CSV file") from None


def _check_columns(path: Path, names: Iterable[str]) -> None:
    found = list(names)
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise DataError(f"{path.name} lacks the columns {', '.join(missing)}")
    strange = [name for name in found if name not in COLUMNS]
    if strange:
        raise DataError(
            f"{path.name}, line 1: no such column: {', '.join(strange)}; docs/data.md has all"
        )
    if len(set(found)) < len(found):
        raise DataError(f"{path.name}, line 1: a column is there twice")


def _parquet_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    pandas = _pandas()
    try:
        frame = pandas.read_parquet(path)
    except FileNotFoundError:
        raise DataError(f"{path.name} is missing") from None
    except (OSError, ValueError):
        raise DataError(f"{path.name} cannot be read as a Parquet file") from None
    _check_columns(path, map(str, frame.columns))
    texts = frame.astype(object).where(frame.notna(), "")
    return [
        (number, {str(k): _text(v) for k, v in cells.items()})
        for number, cells in enumerate(texts.to_dict("records"), 1)
    ]


def _parquet_bytes(lines: list[dict[str, str]]) -> bytes:
    pandas = _pandas()
    stream = io.BytesIO()
    pandas.DataFrame(lines, columns=list(COLUMNS), dtype=str).to_parquet(stream, index=False)
    return stream.getvalue()


def _pandas() -> Any:
    extras.need("parquet", "a manifest in Parquet (.csv needs nothing)")
    return import_module("pandas")

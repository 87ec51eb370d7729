"""How data sets' tables are read: CSV with commas or semicolons, and Excel's XLSX."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from cadnode.errors import DataError

_SHEET: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LETTERS: Final = re.compile(r"[A-Z]+")


def find_table(folder: Path, names: Sequence[str]) -> Path:
    """The first of `names` that is in `folder`.

    Raises
    ------
    DataError
        None is.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{' or '.join(names)} is missing: is {folder} the folder meant?")


def read_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV or XLSX file that has at least `columns`; cells and names are stripped.

    Raises
    ------
    DataError
        The file is missing, empty or of another kind, or lacks a column.
    """
    try:
        lines = list(_xlsx(file) if file.suffix.lower() == ".xlsx" else _csv(file))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{file.name} is missing: is {file.parent} the folder meant?") from None
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(f"{file.name} cannot be read as a CSV file") from None
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, ValueError, IndexError):
        raise DataError(f"{file.name} cannot be read as an Excel file: save it as CSV") from None
    names = [name.strip() for name in lines[0]] if lines else []
    missing = [column for column in columns if column not in names]
    if missing:
        raise DataError(f"{file.name} lacks the columns {', '.join(missing)}")
    rows = [_row(names, line) for line in lines[1:] if any(cell.strip() for cell in line)]
    if not rows:
        raise DataError(f"{file.name} has no rows")
    return rows


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    padded = [*cells, *[""] * (len(names) - len(cells))]
    return {name: cell.strip() for name, cell in zip(names, padded, strict=False) if name}


def _csv(file: Path) -> Iterator[list[str]]:
    text = file.read_text(encoding="utf-8-sig")
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    return iter(csv.reader(io.StringIO(text), delimiter=delimiter))


def _xlsx(file: Path) -> Iterator[list[str]]:
    """Cells of the first sheet (ECMA-376 part 1, 18.3): text, numbers and shared strings."""
    with zipfile.ZipFile(file) as parts:
        shared: list[str] = []
        if "xl/sharedStrings.xml" in parts.namelist():
            strings = ElementTree.fromstring(parts.read("xl/sharedStrings.xml"))
            shared = [_text(string) for string in strings.iter(f"{_SHEET}si")]
        sheets = sorted(n for n in parts.namelist() if n.startswith("xl/worksheets/sheet"))
        sheet = ElementTree.fromstring(parts.read(sheets[0]))
    for row in sheet.iter(f"{_SHEET}row"):
        cells: list[str] = []
        for cell in row.iter(f"{_SHEET}c"):
            column = _column(cell.get("r", ""), len(cells))
            cells += [""] * (column - len(cells)) + [_value(cell, shared)]
        yield cells


def _column(reference: str, default: int) -> int:
    """0 for "A7", 26 for "AA7"."""
    letters = _LETTERS.match(reference)
    if letters is None:
        return default
    number = 0
    for letter in letters[0]:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: ElementTree.Element, shared: Sequence[str]) -> str:
    if cell.get("t") == "inlineStr":
        return _text(cell)
    text = cell.findtext(f"{_SHEET}v") or ""
    return shared[int(text)] if cell.get("t") == "s" else text


def _text(element: ElementTree.Element) -> str:
    """The text of all its runs."""
    return "".join(run.text or "" for run in element.iter(f"{_SHEET}t"))

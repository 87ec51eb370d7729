"""How tables of numbers with intervals are written: Markdown, CSV or JSON."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cadnode.statistics.auc import Auc
from cadnode.statistics.binary import Measure, Share
from cadnode_training.results.published import Number, PaperRow

AUC: Final = "auc"
TITLES: Final[Mapping[str, str]] = {
    AUC: "AUC",
    Measure.SENSITIVITY: "sensitivity",
    Measure.SPECIFICITY: "specificity",
    Measure.ACCURACY: "accuracy",
    Measure.PPV: "PPV",
    Measure.NPV: "NPV",
}
PERFORMANCE: Final[tuple[str, ...]] = tuple(TITLES)


@dataclass(frozen=True, slots=True)
class TableCell:
    """A value with its interval, and for a share `hits` of `n`; None where there is none."""

    value: float | None = None
    ci: tuple[float, float] | None = None
    hits: int | None = None
    n: int | None = None
    text: str = ""

    @classmethod
    def of(cls, found: Share | Auc | Number | None) -> "TableCell":
        """The cell of a measured share or AUC, or of a printed number."""
        if found is None:
            return cls()
        if isinstance(found, Share):
            return cls(found.value, found.ci, found.hits, found.n)
        return cls(found.value, found.ci)

    def words(self, digits: int = 3) -> str:
        """`0.856 (0.806–0.907)`, `−0.1 (−0.2 to 0.1)`; a dash for nothing."""
        if self.text:
            return self.text
        if self.value is None:
            return "–"
        between = " to " if self.ci and self.ci[0] < 0 else "–"
        ends = between.join(f"{end:.{digits}f}" for end in self.ci or ())
        interval = f" ({ends})" if ends else ""
        return f"{self.value:.{digits}f}{interval}".replace("-", "−")

    def as_dict(self) -> dict[str, Any]:
        """As written into JSON; numbers to four digits."""
        if self.text:
            return {"text": self.text}
        shares = {"hits": self.hits, "n": self.n} if self.n is not None else {}
        return {
            "value": None if self.value is None else round(self.value, 4),
            "ci": None if self.ci is None else [round(b, 4) for b in self.ci],
        } | shares


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row; `paper` names the place it is printed at, "" for what was measured here."""

    name: str
    cells: Mapping[str, TableCell]
    cutoff: str = ""
    cases: str = ""
    paper: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of `columns`; `note` states how intervals were computed and cut-offs chosen."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    note: str = ""
    first: str = "model"
    digits: int = 3

    def head(self) -> tuple[str, ...]:
        """Titles of all columns; cases and cut-offs only where a row has some."""
        return (self.first, *self._stated(), *(TITLES.get(c, c) for c in self.columns))

    def body(self) -> list[tuple[str, ...]]:
        """Words of all cells."""
        stated = self._stated().values()
        return [
            (row.name, *(of(row) for of in stated), *(self._words(row, c) for c in self.columns))
            for row in self.rows
        ]

    def _stated(self) -> dict[str, Callable[[TableRow], str]]:
        """The columns between the name and the cells that are not empty."""
        ways: dict[str, Callable[[TableRow], str]] = {
            "cases": lambda row: row.cases,
            "cut-off": lambda row: row.cutoff,
        }
        return {name: of for name, of in ways.items() if any(map(of, self.rows))}

    def _words(self, row: TableRow, column: str) -> str:
        return row.cells.get(column, TableCell()).words(self.digits)

    def markdown(self) -> str:
        """A pipe table under its title; the paper's rows are in italics."""
        lines = [f"### {self.title}", "", _piped(self.head()), _piped(["---"] * len(self.head()))]
        for row, words in zip(self.rows, self.body(), strict=True):
            italic = [f"*{w}*" if w else "" for w in words]
            lines.append(_piped(italic if row.paper else words))
        return "\n".join([*lines, "", self.note, ""])

    def csv(self) -> str:
        """One line a cell: for statistics programs."""
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["row", "cases", "cutoff", "column", "value", "low", "high", "hits", "n",
                        "text", "source"])  # fmt: skip
        for row in self.rows:
            for column in self.columns:
                c = row.cells.get(column, TableCell())
                low, high = c.ci or (None, None)
                table.writerow([row.name, row.cases, row.cutoff, column, c.value, low, high, c.hits,
                                c.n, c.text, row.paper or "measured"])  # fmt: skip
        return out.getvalue()

    def as_dict(self) -> dict[str, Any]:
        """As written into JSON."""
        return {
            "title": self.title,
            "note": self.note,
            "rows": [
                {
                    self.first: row.name,
                    "cases": row.cases,
                    "cutoff": row.cutoff,
                    "source": row.paper or "measured",
                    "cells": {c: row.cells.get(c, TableCell()).as_dict() for c in self.columns},
                }
                for row in self.rows
            ],
        }


def printed(row: PaperRow) -> TableRow:
    """A paper's row."""
    cases = f"{row.n_pos} + {row.n_neg}" if row.n_pos is not None else ""
    cutoff = f"{row.cutoff:g}" if row.cutoff is not None else ""
    cells = {name: TableCell.of(number) for name, number in row.numbers.items()}
    return TableRow(f"paper: {row.name}", cells, cutoff, cases, row.source)


def as_markdown(tables: Sequence[Table]) -> str:
    """All tables, one below the other."""
    return "\n".join(table.markdown() for table in tables)


def _piped(words: Sequence[str]) -> str:
    return "| " + " | ".join(w.replace("|", "\\|") for w in words) + " |"

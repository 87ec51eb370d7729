"""`cadnode studies verdicts`: what readers said of findings, for people and programs."""

import csv
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, out, print_json
from cadnode.cli.studies import Names
from cadnode.errors import SettingsError

if TYPE_CHECKING:
    from cadnode.node.reader_verdicts import VerdictStore

COLUMNS: Final = (
    "study", "content", "patient", "finding", "image", "kind", "row0", "col0", "row1", "col1",
    "score", "algorithm", "verdict", "by", "at", "counts",
)  # fmt: skip
# What a spreadsheet would take for a formula: names come from a hospital's identity provider.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@command
def verdicts(
    studies: Names = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV for spreadsheets")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What readers said of findings: accepted or rejected, by whom and when; the last one counts.

    Without STUDY: of all studies. Nothing shown names a patient: studies and images are shown by
    their keys, which are hashes of their UIDs. Verdicts stay when a result is removed, and go when
    its patient is erased.
    Example: [bold]cadnode studies verdicts --csv > verdicts.csv[/]
    """
    from cadnode.node.reader_verdicts import VerdictStore

    if as_csv and as_json:
        raise SettingsError("--csv or --json: one of the two")
    store = VerdictStore(settings.load(config).storage.folder)
    rows = _rows(store, studies or store.studies())
    if as_json:
        print_json({"verdicts": rows})
    elif as_csv:
        _print_csv(rows)
    else:
        out.print(_table(rows) if rows else "No verdicts.")


def _rows(store: "VerdictStore", studies: list[str]) -> list[dict[str, Any]]:
    """A row a verdict, in the order in which they were given for each study."""
    from cadnode.web.reader_verdicts import counting
    from cadnode.web.study import key_of

    rows = []
    for study in dict.fromkeys(map(key_of, studies)):
        said = store.of_study(study)
        for one, does in zip(said, counting(said), strict=True):
            rows.append({"study": study, **one.as_dict(), "counts": does})
    return rows


def _print_csv(rows: list[dict[str, Any]]) -> None:
    """RFC 4180, but for its line ends."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        row0, col0, row1, col1 = row["box"]
        edges = {"row0": row0, "col0": col0, "row1": row1, "col1": col1}
        cells = {**row, **edges, "by": _plain(row["by"]), "counts": int(row["counts"])}
        writer.writerow([cells[name] for name in COLUMNS])


def _plain(text: str) -> str:
    """The text as a spreadsheet takes it for text."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("study", "finding", "kind", "score", "verdict", "by", "at", "counts"):
        table.add_column(name, overflow="fold", no_wrap=name in ("study", "at"))
    for row in rows:
        table.add_row(
            row["study"], str(row["finding"]), row["kind"].replace("_", " "),
            f"{row['score']:.2f}", row["verdict"], Text(row["by"]), row["at"][:16],
            "yes" if row["counts"] else "",
        )  # fmt: skip
    return table

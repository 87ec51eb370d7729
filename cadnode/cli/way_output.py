"""The way that a study took, as `cadnode studies show` prints it."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cadnode.cli.command import out
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.web.way import Way


def print_way(way: "Way") -> None:
    """Where it came from, how it was read, what comes next; then each try, the newest first."""
    for word, text in _stations(way):
        out.print(styled("[dim]{}[/]  {}", f"{word:<9}", text), soft_wrap=True)
    if not way.attempts:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("when", "what", "where, or who", "how", "why"):
        table.add_column(name, overflow="fold", no_wrap=name == "when")
    for one in way.attempts:
        how = one.word.replace("_", " ")
        table.add_row(_at(one.at), one.meaning, Text(one.who), how, Text(one.cause))
    out.print(table)
    if way.n_left_out:
        out.print(f"{way.n_left_out} earlier tries are counted and not kept.")


def _stations(way: "Way") -> Iterator[tuple[str, str]]:
    for one in way.arrivals:
        n = "images are coming" if one.n_images is None else counted(one.n_images, "image")
        how = "fetched from" if one.is_fetched else "from"
        yield "received", f"{_at(one.at)}  {n} {how} {one.who}"
    if way.waiting:
        yield "waits", way.waiting
    for once in way.readings:
        took = "" if once.seconds is None else f" in {once.seconds:g} s"
        with_models = f" by {', '.join(once.models)}" if once.models else ""
        yield "read", f"{_at(once.at)}  {counted(once.n_images, 'file')}{took}{with_models}"
        objects = ", ".join(f"{n} × {kind}" for kind, n in once.objects)
        yield "reported", f"{_at(once.at)}  {objects or 'no object for a destination'}"
    for sentence in way.coming:
        yield "next", sentence


def _at(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")

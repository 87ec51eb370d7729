"""Output to a terminal: text is printed as it is, and cannot inject style.

rich reads `[bold]` and `:smile:` in a string as markup, and a path, a setting or an error may
hold either. So consoles are made here, where both are off, and style is laid on by `styled`.

Nothing is cut off. What goes into a pipe or a file has lines as long as they are, unless `COLUMNS`
says otherwise; on a screen, a table that is wider folds its cells, and where words would break, its
rows stand one below the other.

What a peer calls itself, and what stands in headers, may hold control characters: a terminal would
take them for commands. They are shown as \ufffd.
"""

import os
import re
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Final

from rich.console import Console, ConsoleDimensions, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Span, Text

from cadnode.log import harmless

_HOLE: Final = re.compile(r"\{\}")
_UNBOUNDED: Final = 100_000
_LEAST: Final = 16
"""Characters to which a cell of several words is folded, at the narrowest."""


class _Console(Console):
    """Prints nothing that a terminal obeys but what rich itself says to it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed."""
        if isinstance(renderable, Table):
            renderable = fitted(renderable, self, options or self.options)
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else harmless(text), style, control)

    @property
    def size(self) -> ConsoleDimensions:
        """As rich's; without a width where nobody looks at a screen."""
        found = super().size
        if self.is_terminal or os.environ.get("COLUMNS", "").isdigit():
            return found
        return ConsoleDimensions(_UNBOUNDED, found.height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size


def fitted(table: Table, on: Console, options: ConsoleOptions) -> RenderableType:
    """The table in the width there is: as it is, with folded cells, or its rows as blocks."""
    wide = options.update(width=_UNBOUNDED)
    whole = Measurement.get(on, wide, table).maximum
    if whole <= options.max_width or any(c.width is not None for c in table.columns):
        return table
    sizes = [[Measurement.get(on, wide, cell) for cell in _cells(c)] for c in table.columns]
    natural = [max((s.maximum for s in column), default=0) for column in sizes]
    least = [
        most if column.no_wrap else max(max(s.minimum for s in of_it), min(most, _LEAST))
        for column, of_it, most in zip(table.columns, sizes, natural, strict=True)
    ]
    room = options.max_width - (whole - sum(natural)) - sum(least)
    if room >= 0:
        return _folded(table, _shared(natural, least, room))
    return _stacked(table) if table.show_header else _folded(table, None)


def _cells(column: Column) -> list[RenderableType]:
    return [column.header, *column.cells]


def _shared(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths of columns: each its least, and of the room a part by how much it lacks."""
    lacks = [most - few for most, few in zip(natural, least, strict=True)]
    return [few + room * lack // max(1, sum(lacks)) for few, lack in zip(least, lacks, strict=True)]


def _folded(table: Table, widths: Sequence[int] | None) -> Table:
    """The table with those widths; words that are longer go on in the next line."""
    found = copy(table)
    found.columns = [copy(column) for column in table.columns]
    for place, column in enumerate(found.columns):
        column.overflow, column.no_wrap = "fold", column.no_wrap and widths is not None
        column.width = widths[place] if widths is not None else None
    return found


def _stacked(table: Table) -> Group:
    """Each row as a block: what must not be folded in its first line, the rest below with names.

    Empty cells are left out.
    """
    blocks: list[RenderableType] = [Text(str(table.title))] if table.title else []
    rows = [*zip(*([*column.cells] for column in table.columns), strict=True)]
    ahead = [place for place, column in enumerate(table.columns) if column.no_wrap] or [0]
    for number, row in enumerate(rows):
        words = [_text(cell) for cell in row]
        if number:
            blocks.append(Text(""))
        blocks.append(Text("  ").join(w for p in ahead if (w := words[p]).plain.strip()))
        below = Table(box=None, pad_edge=False, show_header=False)
        below.add_column(no_wrap=True, style="dim")
        below.add_column(overflow="fold")
        for place, column in enumerate(table.columns):
            if place not in ahead and words[place].plain.strip():
                below.add_row(Text("  ").append_text(_text(column.header)), words[place])
        if below.row_count:
            blocks.append(below)
    if table.caption:
        blocks.append(Text(str(table.caption), "dim"))
    return Group(*blocks)


def _text(cell: RenderableType) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(str(cell))


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console that prints strings letter by letter."""
    return _Console(stderr=stderr, quiet=quiet, markup=False, emoji=False)


def styled(template: str, *values: object) -> Text:
    """The template's markup with each value in the place of a `{}`, letter by letter.

    `styled("[bold]{}[/]: {}", path, error)` prints brackets in the path and the error.
    """
    frame = Text.from_markup(template, emoji=False)
    words = [str(value) for value in values]
    holes = [hole.end() for hole in _HOLE.finditer(frame.plain)]
    pieces = _HOLE.split(frame.plain)

    def moved(offset: int) -> int:
        grown = (len(w) - 2 for w, end in zip(words, holes, strict=True) if end <= offset)
        return offset + sum(grown)

    text = pieces[0] + "".join(w + p for w, p in zip(words, pieces[1:], strict=True))
    return Text(text, spans=[Span(moved(s.start), moved(s.end), s.style) for s in frame.spans])


def counted(n: int, one: str, several: str = "") -> str:
    """A number with its noun: `1 study`, `2 studies`; without `several` the plural has an s."""
    return f"{n} {one if n == 1 else several or f'{one}s'}"

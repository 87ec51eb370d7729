"""Output to a terminal: text is printed as it is, and cannot inject style.

rich reads `[bold]` and `:smile:` in a string as markup, and a path, a setting or an error may
hold either. So consoles are made here, where both are off, and style is laid on by `styled`.

What a peer calls itself, and what stands in headers, may hold control characters: a terminal would
take them for commands. They are shown as \ufffd.
"""

import re
from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

from cadnode.log import harmless

_HOLE: Final = re.compile(r"\{\}")


class _Console(Console):
    """Prints nothing that a terminal obeys but what rich itself says to it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else harmless(text), style, control)


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

"""Self-contained HTML: headings with text, figures, tables and pictures; the style inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup, escape

from cadnode.files import write_whole
from cadnode.html.environment import BY_PREFERENCE, environment
from cadnode_training.results.tables import Table

# No line ends inside a count of cases, a cut-off or a p value.
_TOGETHER: Final = {" + ": "\u00a0+\u00a0", "≥ ": "≥\u00a0", "< ": "<\u00a0", "BI-R": "BI\u2011R"}
DISCLAIMER: Final = "Research use only. Not a medical device."


@dataclass(frozen=True, slots=True)
class Figure:
    """An SVG and what it shows."""

    svg: str
    caption: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class PageItem:
    """Cases of one outcome in the gallery: (URL, line beneath) each."""

    name: str
    pictures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PageSection:
    """A heading with what stands below it.

    The `lead` is what a page is opened for: its text first, then figure and table side by side,
    then `limits`. Every other section is folded.
    """

    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    gallery: tuple[PageItem, ...] = ()
    lead: bool = False
    limits: tuple[str, ...] = ()


def tables_of(sections: Sequence[PageSection]) -> list[Table]:
    """The tables of the folded sections; what the lead shows is among them."""
    return [table for section in sections if not section.lead for table in section.tables]


def render(file: Path, title: str, below: str, sections: Sequence[PageSection]) -> None:
    """Write a page with its style inside; `below` stands under the title."""
    templates = environment("cadnode_training.results", dark=BY_PREFERENCE)
    templates.filters["svg"] = Markup
    templates.filters["cell"] = _cell
    context: dict[str, Any] = {
        "title": title,
        "subtitle": below,
        "disclaimer": DISCLAIMER,
        "sections": sections,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    page = templates.get_template("report.html.jinja").render(context)
    write_whole(file, page.encode())


def _cell(words: str) -> Markup:
    """A cell whose interval, in parentheses at its end, may stand below its value."""
    for apart, together in _TOGETHER.items():
        words = words.replace(apart, together)
    value, opened, interval = words.partition(" (")
    if not opened or not interval.endswith(")"):
        return escape(words)
    return Markup("{} <small>({}</small>").format(value, interval)

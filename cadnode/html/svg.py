"""How a plot becomes SVG text: axes, lines, bands, points; no plotting library.

A `Chart` has a plane in data units inside margins in pixels. What is drawn later lies on top.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape

from numpy.typing import NDArray

# Okabe and Ito 2008: distinguishable to the colour-blind; black first. A page may override the
# variables, as for dark screens; by default the colours are those of paper.
_ON_PAPER: Final = ("#1b1f23", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b87a00", "#3a9bd6")
COLOURS: Final = tuple(f"var(--c{i},{colour})" for i, colour in enumerate(_ON_PAPER))
INK, DIM, GRID = "var(--ink,#1b1f23)", "var(--dim,#5c6873)", "var(--grid,#e4e8ec)"
_EDGE: Final = 8  # a legend begins at the left edge: names of models are long
RIM: Final = "var(--panel,#fff)"
FONT: Final = "system-ui, 'Segoe UI', Roboto, sans-serif"

Points = Iterable[tuple[float, float]] | NDArray[Any]


@dataclass(slots=True)
class Chart:
    """A plane `x` by `y` in data units, `width` by `height` pixels with its margins.

    `margins` are left, top, right, bottom. `svg()` gives the text.
    """

    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    width: int = 420
    height: int = 400
    margins: tuple[int, int, int, int] = (54, 14, 16, 46)
    _parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixel of a point of the plane; y grows upwards in the plane."""
        left, top, right, bottom = self.margins
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            left + across * (self.width - left - right),
            self.height - bottom - up * (self.height - top - bottom),
        )

    def axes(
        self,
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        x_label: str,
        y_label: str,
    ) -> None:
        """Grid lines, tick labels and the names of the axes."""
        for tick in x_ticks:
            a, b = self.at(tick, self.y[0]), self.at(tick, self.y[1])
            self._line(a, b, GRID)
            self.text((a[0], a[1] + 16), _tick(tick), anchor="middle", colour=DIM)
        for tick in y_ticks:
            a, b = self.at(self.x[0], tick), self.at(self.x[1], tick)
            self._line(a, b, GRID)
            self.text((a[0] - 7, a[1] + 4), _tick(tick), anchor="end", colour=DIM)
        middle = self.at(sum(self.x) / 2, sum(self.y) / 2)
        self.text((middle[0], self.height - 8), x_label, anchor="middle")
        self.text((14, middle[1]), y_label, anchor="middle", turn=True)

    def line(self, points: Points, colour: str = INK, *, dash: str = "", width: float = 2) -> None:
        """A line through points of the plane."""
        style = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{self._path(points)}" fill="none" stroke="{colour}" '
            f'stroke-width="{width:g}" stroke-linejoin="round"{style}/>'
        )

    def area(self, points: Points, colour: str, *, opacity: float = 0.14) -> None:
        """A filled polygon."""
        self._parts.append(
            f'<polygon points="{self._path(points)}" fill="{colour}" fill-opacity="{opacity:g}"/>'
        )

    def point(self, x: float, y: float, colour: str = INK, *, size: float = 4) -> None:
        """A dot with a rim."""
        cx, cy = self.at(x, y)
        self._parts.append(
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{size:g}" fill="{colour}" stroke="{RIM}"/>'
        )

    def diamond(self, x: float, y: float, colour: str = INK, *, size: float = 6) -> None:
        """A diamond with a rim."""
        cx, cy = self.at(x, y)
        corners = ((0, -size), (size, 0), (0, size), (-size, 0))
        path = " ".join(f"{cx + across:.1f},{cy + down:.1f}" for across, down in corners)
        self._parts.append(f'<polygon points="{path}" fill="{colour}" stroke="{RIM}"/>')

    def text(
        self,
        pixel: tuple[float, float],
        words: str,
        *,
        anchor: str = "start",
        colour: str = INK,
        bold: bool = False,
        turn: bool = False,
        rim: bool = False,
    ) -> None:
        """Words at a pixel; `turn` writes them upwards, a `rim` keeps lines off them."""
        x, y = pixel
        turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
        weight = ' font-weight="600"' if bold else ""
        edge = f' stroke="{RIM}" stroke-width="4" paint-order="stroke"' if rim else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
            f"{weight}{edge}{turned}>{escape(words)}</text>"
        )

    def legend(self, entries: Sequence[tuple[str, str]], dashes: Sequence[str] = ()) -> None:
        """(colour, words), a line each, below the chart, which grows by them.

        `dashes` are those of the lines; "" or none for a solid one.
        """
        left, top, right, bottom = self.margins
        first = self.height + 14
        for row, (colour, words) in enumerate(entries):
            level = first + 17 * row
            dash = dashes[row] if row < len(dashes) else ""
            self._line((_EDGE, level - 4), (_EDGE + 28, level - 4), colour, 2.5, dash)
            self.text((_EDGE + 36, level), words)
        grown = 17 * len(entries) + 12
        self.height += grown
        self.margins = (left, top, right, bottom + grown)

    def svg(self, title: str) -> str:
        """The picture; `title` is for screen readers."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" '
            f'aria-label="{escape(title, {chr(34): "&quot;"})}" font-family="{FONT}" '
            f'font-size="12"><title>{escape(title)}</title>{"".join(self._parts)}</svg>'
        )

    def _line(
        self,
        a: tuple[float, float],
        b: tuple[float, float],
        colour: str,
        width: float = 1,
        dash: str = "",
    ) -> None:
        style = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" '
            f'stroke="{colour}" stroke-width="{width:g}"{style}/>'
        )

    def _path(self, points: Points) -> str:
        return " ".join("{:.1f},{:.1f}".format(*self.at(float(x), float(y))) for x, y in points)


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")

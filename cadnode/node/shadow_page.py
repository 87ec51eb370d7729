"""The readings in shadow mode as one page: a table, and for each system two figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from cadnode.node.results import Results
from cadnode.node.shadow_process import chosen
from cadnode.registry import shadow_summary
from cadnode.registry.shadow_set import ShadowSet
from cadnode.registry.shadow_summary import Agreement, ShadowDocument, Summary
from cadnode.settings import Settings
from cadnode.terminal import counted


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """The shadows now, the summary of all readings, and how many files could not be read."""

    now: ShadowSet
    summary: Summary
    n_damaged: int


def show(values: Settings, wanted: str | None = None) -> ShadowReport:
    """The state of shadow mode; `wanted` leaves the readings of one version, `NAME@VERSION`.

    Raises
    ------
    ModelError
        The own store's `active.json` is damaged.
    """
    read = list(_last_readings(Results.in_storage(values.storage.folder)))
    whole = [t for t in read if t is not None]
    if wanted is not None:
        whole = [t for t in whole if wanted in (*t.wanted, *t.missing)]
    return ShadowReport(
        chosen(values), shadow_summary.summarize(whole), sum(t is None for t in read)
    )


def _last_readings(results: Results) -> Iterator[ShadowDocument | None]:
    """Each study's last reading."""
    for file in results.shadows():
        try:
            yield shadow_summary.parse(file.read_bytes())
        except OSError:
            yield None


_SIDE: Final = 260
_EDGE: Final = 34
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;
color:#1b1b1b;background:#fff}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}
figure{display:inline-block;margin:0 1.5rem 1rem 0}figcaption{color:#555;font-size:13px}
svg text{font-size:11px;fill:#555}svg .axis{stroke:#999}svg .dots{fill:#0b62a3;fill-opacity:.55}
svg .mean{stroke:#b3261e}svg .limit{stroke:#b3261e;stroke-dasharray:4 3}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}
figcaption,svg text{color:#aaa;fill:#aaa}svg .dots{fill:#6cb6ee}}
"""


def page(shown: ShadowReport) -> str:
    """HTML with nothing outside itself; scores alone, nothing of a patient."""
    s = shown.summary
    sections = "".join(_section(row, pairs) for row, pairs in zip(s.rows, s.pairs, strict=True))
    counts = [
        f"{counted(s.n_read, 'exam')} read",
        f"{s.n_unaffected} with nothing that a shadow reads",
    ]
    counts += [f"{n} failed ({code})" for code, n in s.failures.items()]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Shadow mode</title>'
        f"<style>{_STYLE}</style><h1>Shadow mode</h1>"
        f"<p>Now: {escape(', '.join(shown.now.specs) or 'nothing')}. {'; '.join(counts)}. "
        "Nothing on this page was reported to anybody. Research use only.</p>"
        f"{sections}</html>\n"
    )


def _section(row: Agreement, pairs: Sequence[tuple[float, float]]) -> str:
    c = row.counts
    called = (
        ("by both", c["both"]), ("by the active only", c["active"]),
        ("by the shadow only", c["shadow"]), ("by neither", c["neither"]),
        ("unknown", c["incomplete"]),
    )  # fmt: skip
    rows = "".join(f"<tr><th>called {name}<td>{n}" for name, n in called)
    numbers = (
        ("Pearson's r", row.correlation, row.correlation_ci),
        ("mean difference", row.mean_difference, row.mean_difference_ci),
        ("limits of agreement", None, row.limits),
    )
    rows += "".join(f"<tr><th>{name}<td>{_number(v, ci)}" for name, v, ci in numbers)
    return (
        f"<h2>{escape(row.system.value)}: {escape(', '.join(row.shadow))}</h2>"
        f"<p>beside {escape(', '.join(row.active) or 'none')}; "
        f"{counted(row.n, 'exam')} scored by both</p>"
        f"{_scatter(pairs)}{_bland_altman(row, pairs)}<table>{rows}</table>"
    )


def _number(value: float | None, ci: tuple[float, float] | None) -> str:
    text = "" if value is None else f"{value:.3f}"
    return f"{text} ({ci[0]:.3f} to {ci[1]:.3f})" if ci else text or "–"


def _scatter(pairs: Sequence[tuple[float, float]]) -> str:
    dots = "".join(_dot(a, s, (0.0, 1.0)) for a, s in pairs)
    diagonal = _line((0.0, 0.0), (1.0, 1.0), (0.0, 1.0), "axis")
    return _figure(diagonal + dots, (0.0, 1.0), "shadow's score over the active one's")


def _bland_altman(row: Agreement, pairs: Sequence[tuple[float, float]]) -> str:
    edge = max(row.histogram_to, *(abs(v) for v in row.limits or (0.0,)))
    span = (-edge, edge)
    drawn = "".join(_dot((a + s) / 2, s - a, span) for a, s in pairs)
    lines = [(0.0, "axis")]
    if row.mean_difference is not None:
        (lines.append((row.mean_difference, "mean")))
    lines += [(limit, "limit") for limit in row.limits or ()]
    drawn += "".join(_line((0.0, y), (1.0, y), span, kind) for y, kind in lines)
    return _figure(drawn, span, "difference (shadow less active) over the mean of both")


def _place(x: float, y: float, span: tuple[float, float]) -> tuple[float, float]:
    low, high = span
    return _EDGE + x * _SIDE, 6 + (high - y) / (high - low) * _SIDE


def _dot(x: float, y: float, span: tuple[float, float]) -> str:
    left, top = _place(x, y, span)
    return f'<circle class="dots" cx="{left:.1f}" cy="{top:.1f}" r="3"/>'


def _line(
    a: tuple[float, float], b: tuple[float, float], span: tuple[float, float], kind: str
) -> str:
    (x1, y1), (x2, y2) = _place(*a, span), _place(*b, span)
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _figure(drawn: str, span: tuple[float, float], caption: str) -> str:
    low, high = span
    frame = _line((0.0, low), (1.0, low), span, "axis") + _line(
        (0.0, low), (0.0, high), span, "axis"
    )
    labels = (
        f'<text x="0" y="14">{high:+g}</text><text x="0" y="{_SIDE + 6}">{low:+g}</text>'
        f'<text x="{_EDGE}" y="{_SIDE + 20}">0</text>'
        f'<text x="{_EDGE + _SIDE - 6}" y="{_SIDE + 20}">1</text>'
    )
    size = f'width="{_SIDE + _EDGE + 8}" height="{_SIDE + 26}"'
    drawing = f"<svg {size}>{frame}{labels}{drawn}</svg>"
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"

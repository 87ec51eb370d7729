"""A month of a node on paper: volumes, what was not read, call rates, drift, models, failures.

Self-contained HTML; `page.pdf.pdf_of` makes A4 sheets of it. It names scanners and models, and no
patient, study or reader. In English, as all reports are.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from jinja2 import Template

from cadnode.domain import SKIP_MEANINGS
from cadnode.html.environment import environment
from cadnode.page import quality_figures
from cadnode.page.exam_page import css_text
from cadnode.quality import wording
from cadnode.quality.month import MonthFigures, following
from cadnode.quality.overview import DriftOverview

DISCLAIMER: Final = "Research use only, not for primary diagnosis"
_NEVER: Final = "not all"  # a media query: its pictures have the colours of paper
OUTCOME_WORDS: Final = {
    "findings": "read, with findings",
    "no_findings": "read, without findings",
    "not_read": "not read",
}


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table of the report: `columns` and rows of text; `note` is below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What a month's report shows.

    `drift` is as of the month's end. `failures` are (what, how often). `tables` are further ones,
    as of changed models and of known outcomes, in the order in which they are shown.
    """

    node: str
    made_at: datetime
    figures: MonthFigures
    drift: DriftOverview
    failures: tuple[tuple[str, int], ...] = ()
    tables: tuple[ReportTable, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the month was over when the report was made."""
        return self.made_at.date() >= following(self.figures.month)


def quality_report(report: QualityReport) -> str:
    """The report as HTML; everything it shows is inside of it."""
    figures = report.figures
    last = following(figures.month) - timedelta(days=1)
    return _template().render(
        report=report,
        figures=figures,
        headline=f"Quality report {figures.month:%Y-%m}, {report.node}",
        period=f"{figures.month:%Y-%m-%d} to {last:%Y-%m-%d} (UTC)",
        disclaimer=DISCLAIMER,
        wording=wording,
        draw=quality_figures,
        words=OUTCOME_WORDS,
        reason_words={reason.value: meaning for reason, meaning in SKIP_MEANINGS.items()},
        duration=duration,
    )


def duration(seconds: float | None) -> str:
    """Seconds as people say them; "–" where they are not known."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


@cache
def _template() -> Template:
    templates = environment("cadnode.page", dark=_NEVER)
    templates.filters["css"] = css_text
    return templates.get_template("quality_report.html.jinja")

"""What a node puts into its monthly quality report: journal, audit trail, history of models."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.files import entries
from cadnode.errors import ModelError
from cadnode.node import drift_watch
from cadnode.node.model_overview import own_store
from cadnode.page.quality_report import QualityReport, ReportTable
from cadnode.quality.entry import JournalEntry
from cadnode.quality.grouping import Grouping
from cadnode.quality.journal import Journal
from cadnode.quality.month import figures_of, following, preceding
from cadnode.quality.outcomes import OutcomeBook
from cadnode.quality.performance import FEWEST, Performance, ReadBook
from cadnode.registry import history
from cadnode.settings import Settings

if TYPE_CHECKING:
    from cadnode.statistics.auc import Auc
    from cadnode.statistics.binary import Share

AUDIT: Final = "audit"
_FAILED: Final = {
    Action.READ: "readings that failed, or read nothing",
    Action.NOT_DELIVERED: "results that a destination did not take, tries",
    Action.PEER_REFUSED: "peers that were turned away",
    Action.LOG_IN_REFUSED: "log-ins refused",
}


def report_of(settings: Settings, month: date, now: datetime) -> QualityReport:
    """The report of a month, with what is known `now` (UTC). Raises `OSError`."""
    end = following(month)
    since = end.replace(year=end.year - 1)
    own: list[JournalEntry] = []
    before: list[JournalEntry] = []
    last_year = ReadBook(OutcomeBook(settings.storage.folder).all())

    def readings() -> Iterator[JournalEntry]:
        """All until the end, read once for everything in the report."""
        for entry in Journal(settings.storage.folder).readings(end):
            day = entry.read_at.date()
            if day >= since:
                last_year.add(entry)
            if day >= month:
                own.append(entry)
            elif day >= preceding(month):
                before.append(entry)
            yield entry

    as_of = min(now, datetime(end.year, end.month, end.day, tzinfo=UTC))
    drift = drift_watch.look(settings, as_of, until=end, readings=readings())
    return QualityReport(
        node=settings.listener.ae_title,
        made_at=now,
        figures=figures_of(month, own, before),
        drift=drift,
        failures=tuple(_failures(settings, month, end)),
        tables=(_changes(settings, month, end), _outcomes(last_year, since)),
    )


def _failures(settings: Settings, month: date, end: date) -> list[tuple[str, int]]:
    """How often what failed, by the audit trail."""
    found: Counter[str] = Counter()
    for entry, _ in entries(settings.storage.folder / AUDIT):
        said = entry.said
        is_meant = month.isoformat() <= entry.at[:10] < end.isoformat()
        if not is_meant or not isinstance(said, Event) or said.action not in _FAILED:
            continue
        if said.action is not Action.READ or said.outcome is not EventOutcome.SUCCESS:
            peer = f" ({said.peer})" if said.action is Action.NOT_DELIVERED and said.peer else ""
            found[_FAILED[said.action] + peer] += 1
    return found.most_common()


def _changes(settings: Settings, month: date, end: date) -> ReportTable:
    """Which models were changed, by whom and why."""
    rows = []
    with suppress(ModelError):
        for one in history.read(own_store(settings)).history:
            if month <= one.at.astimezone(UTC).date() < end:
                what = f"{one.from_version or 'off'} → {one.to_version or 'off'}"
                cells = (f"{one.at:%Y-%m-%d}", one.name, one.action, what, one.by, one.reason)
                rows.append(cells)
    return ReportTable(
        "Changes of models",
        ("Day", "Model", "What", "Versions", "By", "Why"),
        tuple(rows),
        "" if rows else "None in this month.",
    )


def _outcomes(last_year: ReadBook, since: date) -> ReportTable:
    """Figures from outcomes of the exams of twelve months, as outcomes come late."""
    rows = []
    for one in last_year.performances():
        if one.whole.n_pos + one.whole.n_neg:
            rows.append(_figures(one.system, "all", one.whole))
            rows += [_figures("", part.group, part) for part in one.by[Grouping.SCANNER]]
    note = (
        f"Of exams read from {since:%Y-%m} on. 95 % intervals: DeLong (AUC), Wilson. –: fewer than "
        f"{FEWEST} cases. Women who were not recalled have no pathology: unless they are followed "
        "up, sensitivity is too high and specificity too low."
        if rows
        else "Without outcomes of exams nothing can be said of sensitivity and specificity: call "
        "rates alone show that something changed, not whether it became better or worse. "
        "`cadnode outcomes import` takes them."
    )
    columns = ("System", "Scanner", "Cancer + none", "AUC", "Sensitivity", "Specificity", "PPV")
    return ReportTable("Known outcomes", columns if rows else (), tuple(rows), note)


def _figures(system: str, scanner: str, one: Performance) -> tuple[str, ...]:
    numbers = (one.auc, one.sensitivity, one.specificity, one.ppv)
    return (system, scanner, f"{one.n_pos} + {one.n_neg}", *(_number(found) for found in numbers))


def _number(found: "Auc | Share | None") -> str:
    """A value and its interval; "–" of none."""
    if found is None or found.value is None:
        return "–"
    ends = f" ({found.ci[0]:.2f}–{found.ci[1]:.2f})" if found.ci else ""
    return f"{found.value:.2f}{ends}"

"""What a node puts into its monthly quality report: journal, audit trail, history of models."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final

from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.files import entries
from cadnode.errors import ModelError
from cadnode.node import drift_watch
from cadnode.node.model_overview import own_store
from cadnode.page.quality_report import QualityReport, ReportTable
from cadnode.quality.journal import Journal
from cadnode.quality.month import figures_of, following, preceding
from cadnode.registry import history
from cadnode.settings import Settings

AUDIT: Final = "audit"
_FAILED: Final = {
    Action.READ: "readings that failed, or read nothing",
    Action.NOT_DELIVERED: "results that a destination did not take, tries",
    Action.PEER_REFUSED: "peers that were turned away",
    Action.LOG_IN_REFUSED: "log-ins refused",
}


def report_of(settings: Settings, month: date, now: datetime) -> QualityReport:
    """The report of a month, with what is known `now` (UTC). Raises `OSError`."""
    journal = Journal(settings.storage.folder)
    end = following(month)
    before = journal.entries(preceding(month), month)
    as_of = min(now, datetime(end.year, end.month, end.day, tzinfo=UTC))
    return QualityReport(
        node=settings.listener.ae_title,
        made_at=now,
        figures=figures_of(month, journal.entries(month, end), before),
        drift=drift_watch.look(settings, as_of, until=end),
        failures=tuple(_failures(settings, month, end)),
        tables=(_changes(settings, month, end), _outcomes()),
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


def _outcomes() -> ReportTable:
    """Sensitivity and specificity where outcomes of exams are known."""
    return ReportTable(
        "Known outcomes",
        (),
        (),
        "Without outcomes of exams nothing can be said of sensitivity and specificity: call rates "
        "alone show that something changed, not whether it became better or worse.",
    )

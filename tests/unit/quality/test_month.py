"""A month's figures by hand, and the report that shows them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cadnode.domain import Outcome
from cadnode.page.quality_report import QualityReport, ReportTable, duration, quality_report
from cadnode.quality.month import figures_of, following, month_of, preceding
from cadnode.quality.overview import overview_of
from cadnode.quality.series import rows_of
from cadnode.quality.statistics import CalledShare
from tests.drift_cases import BEGUN, MG2, RULE, entry, exams


def test_months_follow_each_other() -> None:
    assert (month_of("2026-12"), following(date(2026, 12, 1))) == (
        date(2026, 12, 1),
        date(2027, 1, 1),
    )
    assert preceding(date(2026, 1, 1)) == date(2025, 12, 1)
    assert preceding(date(2026, 12, 1)) == date(2026, 11, 1)
    for wrong in ("2026", "2026-13", "26-11", "november"):
        with pytest.raises(ValueError, match=r"."):
            month_of(wrong)


def test_figures_of_a_month_by_hand() -> None:
    called, calm = [0.9, 0.2], [0.1, 0.2]
    entries = [
        replace(entry(1, called), read_s=10.0, received_to_read_s=100.0),
        replace(entry(2, calm), read_s=20.0, received_to_read_s=300.0),
        replace(entry(3, calm, MG2), read_s=30.0),
        replace(entry(2, called), content="later", is_again=True),
        replace(entry(4, calm), outcome=Outcome.NOT_READ, systems=(), active=(), models=(),
                skipped=(("no_pixels", 4),)),
    ]  # fmt: skip
    found = figures_of(date(2026, 1, 1), entries, before=[entry(9, calm)])
    assert (found.n_exams, found.n_exams_before, found.n_readings) == (4, 1, 5)
    assert dict(found.outcomes) == {"findings": 0, "no_findings": 3, "not_read": 1}
    assert found.not_scored == (("no_pixels", 4),)
    assert [(v.name[:7], v.n, v.n_not_read, v.n_again) for v in found.scanners] == [
        ("HOLOGIC", 3, 1, 1), ("GE SENO", 1, 0, 0),
    ]  # fmt: skip
    rates = {(one.system, one.scanner[:2]): (one.called, one.before) for one in found.call_rates}
    assert rates["kim2018", ""] == (CalledShare(2, 3), CalledShare(0, 1))
    assert rates["kim2018", "GE"] == (CalledShare(0, 1), CalledShare(0, 0))
    assert (found.reading.n, found.reading.median_s) == (3, 20.0)
    assert (found.turnaround.n, found.turnaround.median_s) == (2, 200.0)
    assert [(one.model, one.n) for one in found.models] == [("dib-mg@1.0.0", 4)]


def test_the_report_shows_them_and_what_drifts() -> None:
    entries = [*exams(400), *exams(300, 400, shift=1.5), *exams(30, 700, scanner=MG2)]
    drift = overview_of(rows_of(entries), RULE, BEGUN + timedelta(days=31))
    figures = figures_of(date(2026, 1, 1), entries)
    table = ReportTable("Known outcomes", ("Exams", "Cancers"), (("10", "1"),), "by hand")
    made_at = datetime(2026, 2, 1, tzinfo=UTC)
    report = QualityReport("NODE<1>", made_at, figures, drift, (("log-ins refused", 3),), (table,))
    page = quality_report(report)
    assert "NODE&lt;1&gt;" in page
    assert "Scores drift on HOLOGIC SELENIA DIMENSIONS MG1" in page
    assert "230 of 250" not in page
    assert "30 of 250 exams" in page
    assert page.count("<svg") == 2
    assert "var(--c" not in page.partition("<svg")[2]
    assert "by hand" in page
    assert "the month was not over" not in page
    early = replace(report, made_at=datetime(2026, 1, 20, tzinfo=UTC))
    assert "the month was not over" in quality_report(early)
    assert all(one.study not in page for one in entries)


def test_a_month_without_exams_is_said_to_be_empty() -> None:
    drift = overview_of({}, RULE, BEGUN)
    page = quality_report(QualityReport("N", BEGUN, figures_of(date(2026, 1, 1), []), drift))
    assert "No exam was read in this month." in page


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (9, "9 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said

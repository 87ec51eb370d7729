"""Every scanner of a node at a glance: what its scores were, what they are, what to make of it.

    STORAGE/quality/drift.json   a `DriftOverview`, renewed by the worker

It is what the page, `/metrics` and `/health` show. It names scanners, models and counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np

from cadnode.exam.scanner import Scanner
from cadnode.quality.drift import (
    DriftLook,
    DriftRule,
    DriftState,
    PositionDrift,
    called_of,
    compared,
    in_view,
    known,
    looks,
)
from cadnode.quality.exam_column import ExamColumn, ExamScores
from cadnode.quality.series import ScannerRows, ScoreRow
from cadnode.quality.statistics import CalledShare, Scores

FILE: Final = "drift.json"
NEW_FOR: Final = timedelta(days=60)
SILENT_AFTER: Final = timedelta(days=30)
_KNOWN_FOR: Final = timedelta(days=30)  # the journal's age, before a scanner can be new to it
_WEEKS: Final = 60
_FIRST_DAY: Final = date(1970, 1, 1)
_THURSDAY: Final = _FIRST_DAY.weekday()


@dataclass(frozen=True, slots=True)
class WeekPoint:
    """One week (from its Monday): `n` exams, `n_scored` of them with a score, mean of these."""

    monday: date
    n: int
    n_scored: int
    mean: float | None
    n_called: int

    @property
    def called(self) -> CalledShare:
        """The called exams of that week."""
        return CalledShare(self.n_called, self.n)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A scanner's first exams by one system: what its later ones are compared with."""

    n: int
    begun_at: datetime
    ended_at: datetime | None
    mean: float | None
    sd: float | None
    called: CalledShare


@dataclass(frozen=True, slots=True)
class SystemDrift:
    """One system on one scanner.

    Parameters
    ----------
    system, models, threshold, specificity
        Who reads, since `baseline.begun_at`; specificity as the card measured it at the threshold.
    state
        Too few exams, steady, watched or drifting.
    n_exams, n_wanted
        Exams since the same models read, and how many there must be for the first look.
    last
        The newest look; None before the first.
    since, n_after
        Of what drifts: when the first look that said so was taken, and how many exams after the
        baseline; None of anything else.
    others
        While there is no look yet: the exams so far beside those of the other scanners.
    """

    system: str
    models: tuple[str, ...]
    threshold: float | None
    specificity: float | None
    state: DriftState
    n_exams: int
    n_wanted: int
    baseline: Baseline
    last: DriftLook | None
    since: datetime | None
    n_after: int | None
    others: tuple[PositionDrift, ...]
    weeks: tuple[WeekPoint, ...]

    @property
    def worst(self) -> PositionDrift | None:
        """The position that moved the most; None before the first look."""
        moved = self.last.positions if self.last is not None else ()
        return max(moved, key=lambda one: one.psi, default=None)


@dataclass(frozen=True, slots=True)
class ScannerDrift:
    """One scanner.

    `is_new`: the first exam came of late, other scanners were here before; `is_silent`: none came
    for long. `is_named`: a card of what reads it names its vendor; None where no card is known.
    `software` is (since when, version) of each change.
    """

    key: str
    name: str
    scanner: Scanner
    first_seen: datetime
    last_seen: datetime
    n_exams: int
    n_not_read: int
    is_new: bool
    is_silent: bool
    is_named: bool | None
    software: tuple[tuple[datetime, str], ...]
    systems: tuple[SystemDrift, ...]

    @property
    def state(self) -> DriftState:
        """The worst of its systems'."""
        states = (one.state for one in self.systems)
        return max(states, key=lambda one: one.rank, default=DriftState.TOO_FEW)


@dataclass(frozen=True, slots=True)
class DriftOverview:
    """All scanners, the worst first; `made_at` is when the journal was looked at."""

    made_at: datetime
    rule: DriftRule
    scanners: tuple[ScannerDrift, ...] = ()
    schema_version: int = 1


def overview_of(
    found: Mapping[str, ScannerRows],
    rule: DriftRule,
    now: datetime,
    named: Mapping[str, frozenset[str]] | None = None,
) -> DriftOverview:
    """What the rows of all scanners come to; `named` has the vendors that each card names."""
    names = _names({key: rows.scanner for key, rows in found.items()})
    begun_at = min((rows.first_seen for rows in found.values()), default=now)
    scanners = []
    for key, rows in found.items():
        others = {name: one for name, one in found.items() if name != key}
        scanners.append(
            ScannerDrift(
                key=key,
                name=names[key],
                scanner=rows.scanner,
                first_seen=rows.first_seen,
                last_seen=rows.last_seen,
                n_exams=rows.n_exams,
                n_not_read=rows.n_not_read,
                is_new=now - rows.first_seen <= NEW_FOR
                and rows.first_seen - begun_at >= _KNOWN_FOR,
                is_silent=now - rows.last_seen > SILENT_AFTER,
                is_named=_is_named(rows, named or {}),
                software=tuple(rows.software),
                systems=tuple(
                    _system(row, rule, others.values()) for row in rows.rows.values() if row.exams
                ),
            )
        )
    scanners.sort(key=lambda one: (-one.state.rank, one.name))
    return DriftOverview(now, rule, tuple(scanners))


def _system(row: ScoreRow, rule: DriftRule, others: Iterable[ScannerRows]) -> SystemDrift:
    n_wanted = rule.baseline + rule.least
    newest: DriftLook | None = None
    first: DriftLook | None = None  # of those without a break that drift
    for one in looks(row, rule):
        newest = newest or one
        if one.state is not DriftState.DRIFTS:
            break
        first = one
    state = newest.state if newest is not None else DriftState.TOO_FEW
    return SystemDrift(
        system=row.system,
        models=row.models,
        threshold=row.threshold,
        specificity=row.specificity,
        state=state,
        n_exams=len(row.exams),
        n_wanted=n_wanted,
        baseline=_baseline(row, rule),
        last=newest,
        since=first.at if first is not None else None,
        n_after=first.n_after if first is not None else None,
        others=() if newest is not None else _beside(row, others, rule),
        weeks=tuple(_weeks(row.exams)),
    )


def _baseline(row: ScoreRow, rule: DriftRule) -> Baseline:
    exams = row.exams[: rule.baseline]
    scores = _scores(exams)
    is_whole = len(exams) == rule.baseline
    return Baseline(
        n=len(exams),
        begun_at=exams[0].at,
        ended_at=exams[-1].at if is_whole else None,
        mean=float(np.mean(scores)) if len(scores) else None,
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        called=called_of(exams),
    )


def _beside(
    row: ScoreRow, others: Iterable[ScannerRows], rule: DriftRule
) -> tuple[PositionDrift, ...]:
    """The exams so far beside the newest of the other scanners that the same models read."""
    pool: list[ExamScores] = []
    for rows in others:
        other = rows.rows.get(row.system)
        if other is not None and other.models == row.models:
            pool += other.exams[-rule.window :]
    found = (
        compared(position.value, in_view(pool, position), known(scores))
        for position, scores in row.exams.of_views.items()
    )
    return tuple(one for one in found if one is not None)


def _weeks(exams: ExamColumn) -> list[WeekPoint]:
    days, scores, called = exams.days, exams.scores, exams.called
    mondays = days - (days + _THURSDAY) % 7
    points = []
    for monday in np.unique(mondays)[-_WEEKS:]:
        own = mondays == monday
        scored = scores[own & ~np.isnan(scores)]
        points.append(
            WeekPoint(
                monday=_FIRST_DAY + timedelta(days=int(monday)),
                n=int(own.sum()),
                n_scored=len(scored),
                mean=float(np.mean(scored)) if len(scored) else None,
                n_called=int(called[own].sum()),
            )
        )
    return points


def _scores(exams: Sequence[ExamScores]) -> Scores:
    return np.array([one.score for one in exams if one.score is not None], dtype=np.float64)


def _is_named(rows: ScannerRows, named: Mapping[str, frozenset[str]]) -> bool | None:
    """Whether a card of what reads the scanner's exams names its vendor."""
    models = {model for row in rows.rows.values() for model in row.models if model in named}
    if not models:
        return None
    return any(rows.scanner.vendor in named[model] for model in models)


def _names(scanners: Mapping[str, Scanner]) -> dict[str, str]:
    """A name for people of each: model and station, and as much more as tells it from others."""
    short = {key: short_name(one) for key, one in scanners.items()}
    for tail in ("serial", "key"):
        counts = list(short.values())
        for key, name in list(short.items()):
            if counts.count(name) > 1:
                more = scanners[key].serial if tail == "serial" else key[:4]
                short[key] = f"{name} {more}".strip()
    return short


def short_name(scanner: Scanner) -> str:
    """Vendor, model and station, as far as they are stated."""
    maker = "" if scanner.vendor in ("", "other") else scanner.vendor.upper()
    model = scanner.model
    if not maker:
        maker = scanner.manufacturer
    parts = (maker, "" if model == maker else model, scanner.station)
    return " ".join(filter(None, parts)) or "unknown scanner"

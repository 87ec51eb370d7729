"""Do a scanner's scores stay what they were? Its newest exams against its own first ones.

The reference of a scanner and system is their first `baseline` exams since the same models read
them: no card of a model states how its scores are distributed on a scanner. What a card does state,
specificity at the operating point, is shown beside the share of called exams.

A look is taken every quarter of a window, on the last `window` exams. A scanner drifts where a
change is large and no chance, p ≤ `ALARM_P`: in one view position PSI of at least 0.25, p by
Kolmogorov and Smirnov, or a mean that moved by 0.35 standard deviations, p by Welch; or five points
more or fewer called exams, p by Fisher. `ALARM_P` is
that small because many looks are taken, at several positions, systems and scanners:
`python -m benchmarks.drift_year` counts the false alarms of stable years (docs/quality.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import numpy as np

from cadnode.domain import ViewPosition
from cadnode.quality.exam_column import ExamScores
from cadnode.quality.series import ScoreRow
from cadnode.quality.statistics import (
    LARGE_PSI,
    MODERATE_PSI,
    CalledShare,
    KsTest,
    MeanShift,
    Scores,
    differ,
    ks,
    mean_shift,
    psi,
)

ALARM_P: Final = 1e-5
WATCH_P: Final = 1e-3
LEAST_POINTS: Final = 0.05
"""Of the share of called exams: a smaller change is none, however sure."""
LARGE_SHIFT, MODERATE_SHIFT = 0.35, 0.2
"""Of the mean of log-odds, in standard deviations of the baseline."""
_LEAST_SCORES: Final = 50  # of a position, on either side
_LOOKS_A_WINDOW: Final = 4


class DriftState(StrEnum):
    """What the newest exams say; the later, the worse."""

    TOO_FEW = "too_few"
    STEADY = "steady"
    WATCH = "watch"
    DRIFTS = "drifts"

    @property
    def rank(self) -> int:
        """Its place."""
        return list(DriftState).index(self)


@dataclass(frozen=True, slots=True)
class DriftRule:
    """How many exams are compared with how many."""

    baseline: int = 300
    window: int = 200

    @property
    def step(self) -> int:
        """Exams from one look to the next."""
        return max(1, self.window // _LOOKS_A_WINDOW)

    @property
    def least(self) -> int:
        """Exams after the baseline at the first look: half a window."""
        return max(1, self.window // 2)


@dataclass(frozen=True, slots=True)
class PositionDrift:
    """One view position: scores then and now, each in [0, 1], one an exam."""

    position: str
    n_reference: int
    n_now: int
    mean_reference: float
    mean_now: float
    psi: float
    test: KsTest
    shift: MeanShift

    @property
    def p(self) -> float:
        """The smaller of both tests'."""
        return min(self.test.p, self.shift.p)

    @property
    def state(self) -> DriftState:
        """What it says by itself."""
        if self._has_moved(LARGE_PSI, LARGE_SHIFT, ALARM_P):
            return DriftState.DRIFTS
        if self._has_moved(MODERATE_PSI, MODERATE_SHIFT, WATCH_P):
            return DriftState.WATCH
        return DriftState.STEADY

    def _has_moved(self, psi: float, sds: float, p: float) -> bool:
        by_form = self.psi >= psi and self.test.p <= p
        return by_form or (abs(self.shift.sds) >= sds and self.shift.p <= p)


@dataclass(frozen=True, slots=True)
class CalledDrift:
    """The share of exams that reach the operating point, then and now; `p` by Fisher's test.

    A change of less than `LEAST_POINTS` is not tested: its `p` is 1.
    """

    reference: CalledShare
    now: CalledShare
    p: float

    @property
    def state(self) -> DriftState:
        """What it says by itself."""
        if abs(self.now.share - self.reference.share) < LEAST_POINTS or self.p > WATCH_P:
            return DriftState.STEADY
        return DriftState.DRIFTS if self.p <= ALARM_P else DriftState.WATCH


@dataclass(frozen=True, slots=True)
class DriftLook:
    """One look: the last exams up to the one that is `n_after`-th after the baseline."""

    n_after: int
    at: datetime
    positions: tuple[PositionDrift, ...]
    called: CalledDrift

    @property
    def state(self) -> DriftState:
        """The worst of them."""
        states = (*(one.state for one in self.positions), self.called.state)
        return max(states, key=lambda one: one.rank)


class RowScores:
    """The scores of a row as arrays, made once for all looks at it."""

    def __init__(self, row: ScoreRow) -> None:
        self._exams = row.exams
        self._called = row.exams.called
        self._of_views = row.exams.of_views

    def look(self, rule: DriftRule, n_after: int) -> DriftLook:
        """The look at the exams up to one that is so many after the baseline."""
        end = rule.baseline + n_after
        now = slice(max(rule.baseline, end - rule.window), end)
        before, after = self._share(slice(rule.baseline)), self._share(now)
        found = (
            compared(position.value, known(scores[: rule.baseline]), known(scores[now]))
            for position, scores in self._of_views.items()
        )
        return DriftLook(
            n_after=n_after,
            at=self._exams[end - 1].at,
            positions=tuple(one for one in found if one is not None),
            called=_compared_shares(before, after),
        )

    def _share(self, which: slice) -> CalledShare:
        called = self._called[which]
        return CalledShare(int(called.sum()), len(called))


def _compared_shares(before: CalledShare, now: CalledShare) -> CalledDrift:
    is_tested = abs(now.share - before.share) >= LEAST_POINTS
    return CalledDrift(before, now, differ(before, now) if is_tested else 1.0)


def looks(row: ScoreRow, rule: DriftRule) -> Iterator[DriftLook]:
    """Every look that was due, the last first."""
    scores = RowScores(row)
    n_after = len(row.exams) - rule.baseline
    for at in range(n_after - n_after % rule.step, rule.least - 1, -rule.step):
        yield scores.look(rule, at)


def compared(position: str, reference: Scores, now: Scores) -> PositionDrift | None:
    """Two samples of scores; None where one is too small to say anything."""
    if min(len(reference), len(now)) < _LEAST_SCORES:
        return None
    return PositionDrift(
        position=position,
        n_reference=len(reference),
        n_now=len(now),
        mean_reference=float(np.mean(reference)),
        mean_now=float(np.mean(now)),
        psi=psi(reference, now),
        test=ks(reference, now),
        shift=mean_shift(reference, now),
    )


def in_view(exams: Sequence[ExamScores], position: ViewPosition) -> Scores:
    """Scores in views of one position, an exam each."""
    found = (exam.in_view(position) for exam in exams)
    return np.array([score for score in found if score is not None], dtype=np.float64)


def called_of(exams: Sequence[ExamScores]) -> CalledShare:
    """How many exams reach the operating point."""
    return CalledShare(sum(exam.is_called for exam in exams), len(exams))


def known(scores: Scores) -> Scores:
    """The scores that there are: those that are not NaN."""
    return scores[~np.isnan(scores)]

"""Journals of scores with a scanner that changes, for tests."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from cadnode.domain import Laterality, Outcome, ViewPosition
from cadnode.exam.scanner import Scanner
from cadnode.quality.drift import DriftRule
from cadnode.quality.entry import JournalEntry, JournalSystem, JournalView

BEGUN = datetime(2026, 1, 5, 8, tzinfo=UTC)
MG1 = Scanner("hologic", "HOLOGIC, INC.", "SELENIA DIMENSIONS", "MG1", "1", "1.10")
MG2 = Scanner("ge", "GE HEALTHCARE", "SENOGRAPHE PRISTINA", "MG2", "2", "A")
RULE = DriftRule(baseline=200, window=100)
POINT = 0.5


def entry(
    number: int,
    scores: Sequence[float],
    scanner: Scanner = MG1,
    model: str = "dib-mg@1.0.0",
    at: datetime | None = None,
) -> JournalEntry:
    """An exam whose CC and MLO views have these scores; a tenth of an exam an hour."""
    views = tuple(
        JournalView(side, position, score, score >= POINT)
        for position, score in zip((ViewPosition.CC, ViewPosition.MLO), scores, strict=True)
        for side in Laterality
    )
    best = max(scores)
    system = JournalSystem("kim2018", (model,), best, best >= POINT, POINT, (), views, 0.9)
    when = at or BEGUN + timedelta(hours=number)
    return JournalEntry(
        when, f"{number:016x}", "c", 1, Outcome.NO_FINDINGS, scanner, (model,), (system,),
        active=("kim2018",),
    )  # fmt: skip


def exams(
    n: int, first: int = 0, shift: float = 0.0, scanner: Scanner = MG1, **changes: str
) -> Iterator[JournalEntry]:
    rng = np.random.default_rng([first, n])
    for number in range(first, first + n):
        drawn = 1 / (1 + np.exp(-(rng.normal(-1.5, 1, 2) + shift)))
        yield entry(number, [float(score) for score in drawn], scanner, **changes)

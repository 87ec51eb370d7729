"""One month of a node in figures, from the journal of scores: the content of the QA report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from cadnode.domain import Outcome
from cadnode.quality.entry import JournalEntry
from cadnode.quality.overview import short_name
from cadnode.quality.series import key_of
from cadnode.quality.statistics import CalledShare

_QUANTILES: Final = (0.5, 0.9)


@dataclass(frozen=True, slots=True)
class ScannerVolume:
    """What one scanner sent: exams, of which so many were not read, or read once more."""

    name: str
    n: int
    n_not_read: int
    n_again: int


@dataclass(frozen=True, slots=True)
class CallRate:
    """Exams of one scanner (or all: "") that a system called; the share of the month before."""

    system: str
    scanner: str
    called: CalledShare
    before: CalledShare


@dataclass(frozen=True, slots=True)
class Durations:
    """Median and 90 % quantile in seconds, of `n`; None of none."""

    n: int
    median_s: float | None
    late_s: float | None


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """A model that took part: from when to when, in how many readings."""

    model: str
    first: date
    last: date
    n: int


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """A month's figures; of the month before only where they are set beside.

    `n_exams` are patients' exams, however often each was read; `not_scored` counts images.
    """

    month: date
    n_exams: int
    n_exams_before: int
    n_readings: int
    scanners: tuple[ScannerVolume, ...]
    outcomes: tuple[tuple[str, int], ...]
    not_scored: tuple[tuple[str, int], ...]
    reading: Durations
    turnaround: Durations
    call_rates: tuple[CallRate, ...]
    models: tuple[ModelInUse, ...]
    calibrations: tuple[str, ...]


def month_of(word: str) -> date:
    """The first day of a month that is written as 2026-11. Raises `ValueError`."""
    year, _, month = word.partition("-")
    if len(year) != 4 or len(month) != 2:
        raise ValueError(word)
    return date(int(year), int(month), 1)


def following(month: date) -> date:
    """The first day of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def preceding(month: date) -> date:
    """The first day of the month before."""
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def figures_of(
    month: date, entries: Sequence[JournalEntry], before: Sequence[JournalEntry] = ()
) -> MonthFigures:
    """The figures of a month's readings, each once, in the order of reading."""
    last = _last_of_exams(entries)
    last_before = _last_of_exams(before)
    reasons: Counter[str] = Counter()
    for entry in last:
        reasons.update(dict(entry.skipped))
    outcomes = Counter(entry.outcome for entry in last)
    return MonthFigures(
        month=month,
        n_exams=len(last),
        n_exams_before=len(last_before),
        n_readings=len(entries),
        scanners=tuple(_volumes(entries)),
        outcomes=tuple((one.value, outcomes[one]) for one in Outcome),
        not_scored=tuple(reasons.most_common()),
        reading=_durations(entry.read_s for entry in entries),
        turnaround=_durations(entry.received_to_read_s for entry in entries),
        call_rates=tuple(_call_rates(last, last_before)),
        models=tuple(_models(entries)),
        calibrations=tuple(sorted({entry.calibration for entry in entries} - {""})),
    )


def _last_of_exams(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The last reading of each patient's exam."""
    return list({(entry.study, entry.patient): entry for entry in entries}.values())


def _volumes(entries: Sequence[JournalEntry]) -> list[ScannerVolume]:
    found: dict[str, list[JournalEntry]] = {}
    for entry in entries:
        found.setdefault(key_of(entry.scanner), []).append(entry)
    volumes = []
    for own in found.values():
        last = _last_of_exams(own)
        n_not_read = sum(entry.outcome is Outcome.NOT_READ for entry in last)
        name = short_name(own[-1].scanner)
        volumes.append(ScannerVolume(name, len(last), n_not_read, len(own) - len(last)))
    return sorted(volumes, key=lambda one: -one.n)


def _call_rates(entries: Sequence[JournalEntry], before: Sequence[JournalEntry]) -> list[CallRate]:
    counted, counted_before = _called(entries), _called(before)
    none = CalledShare(0, 0)
    return [
        CallRate(system, scanner, called, counted_before.get((system, scanner), none))
        for (system, scanner), called in sorted(counted.items())
    ]


def _called(entries: Iterable[JournalEntry]) -> dict[tuple[str, str], CalledShare]:
    """By (system, scanner's name), and by (system, "") of all."""
    n: Counter[tuple[str, str]] = Counter()
    k: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if entry.outcome is Outcome.NOT_READ:
            continue
        called = {one.system for one in entry.systems if one.is_called}
        for system in dict.fromkeys((*(one.system for one in entry.systems), *entry.active)):
            for scanner in ("", short_name(entry.scanner)):
                n[system, scanner] += 1
                k[system, scanner] += system in called
    return {key: CalledShare(k[key], count) for key, count in n.items()}


def _durations(seconds: Iterable[float | None]) -> Durations:
    known = np.array([one for one in seconds if one is not None], dtype=np.float64)
    if not len(known):
        return Durations(0, None, None)
    median, late = np.quantile(known, _QUANTILES)
    return Durations(len(known), float(median), float(late))


def _models(entries: Sequence[JournalEntry]) -> list[ModelInUse]:
    found: dict[str, list[date]] = {}
    for entry in entries:
        for model in entry.models:
            found.setdefault(model, []).append(entry.read_at.date())
    return [ModelInUse(m, min(days), max(days), len(days)) for m, days in sorted(found.items())]

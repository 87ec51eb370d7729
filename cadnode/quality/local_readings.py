"""Which readings a scanner's calibration is fitted on: those of one network, by scanner.

Scores in the journal may have been made with a local calibration already; it is taken off again,
so that fits always start from the card's own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, get_args

from cadnode.domain import Laterality
from cadnode.exam.scanner import Scanner
from cadnode.models.scanners import ScannerCalibration, ScannerMatch
from cadnode.quality.calibrating import (
    CalibrationFit,
    CalibrationTarget,
    CannotCalibrate,
    GeneralReading,
    by_call_rate,
    by_outcomes,
)
from cadnode.quality.entry import JournalEntry
from cadnode.quality.outcomes import BreastOutcome, KnownOutcome

ScannerPart = Literal["manufacturer", "model", "station", "software"]
PARTS: Final[tuple[ScannerPart, ...]] = get_args(ScannerPart)

CalibrationsOf = Callable[[str], Sequence[ScannerCalibration] | None]
"""The local calibrations of a version `NAME@VERSION`; None where it is not here, or its general
scores are others than those of the version that is calibrated."""

_VERIFIED: Final = 0.9  # share of exams whose outcome is known, below which that is warned about


@dataclass(frozen=True, slots=True)
class ScannerFit:
    """A scanner, how many of its exams were read, and its calibration or why it gets none."""

    scanner: str
    n_read: int
    fit: CalibrationFit | None
    reason: str = ""


def general_readings(
    entries: Iterable[JournalEntry],
    outcomes: Mapping[tuple[str, Laterality], BreastOutcome],
    system: str,
    calibrations_of: CalibrationsOf,
) -> list[tuple[Scanner, GeneralReading]]:
    """The last reading of each study by one network, as the card's own calibration scores it.

    Left out: studies of several patients, readings by several models of the system, and by
    versions that are gone or score differently.
    """
    last: dict[str, JournalEntry] = {}
    several = set()
    for entry in entries:
        last[entry.study] = entry
        if entry.patient > 1:
            several.add(entry.study)
    found = []
    for study, entry in last.items():
        read = entry.of(system)
        if study in several or read is None or len(read.models) != 1 or not read.breasts:
            continue
        there = calibrations_of(read.models[0])
        if there is None:
            continue
        used = next((one for one in there if str(one) == entry.calibration), None)
        if entry.calibration and used is None:
            continue
        breasts = {
            breast.laterality: breast.score if used is None else used.general(breast.score)
            for breast in read.breasts
        }
        known = {
            side: one.outcome is KnownOutcome.MALIGNANT
            for side in breasts
            if (one := outcomes.get((study, side))) is not None
        }
        reading = GeneralReading(study, f"{entry.read_at:%Y-%m}", breasts, known)
        found.append((entry.scanner, reading))
    return found


def match_of(scanner: Scanner, parts: Sequence[ScannerPart] = PARTS) -> ScannerMatch | None:
    """What names the scanner, of those parts; None where its headers lack one of them.

    A part that is not stated matches any: the calibration would be for other scanners, too.
    """
    stated = _stated(scanner)
    if not all(stated[part] for part in parts):
        return None
    return ScannerMatch(**{part: stated[part] for part in parts})


def _stated(scanner: Scanner) -> dict[ScannerPart, str]:
    return {
        "manufacturer": scanner.vendor if scanner.vendor != "other" else scanner.manufacturer,
        "model": scanner.model,
        "station": scanner.station,
        "software": scanner.software,
    }


def not_named(
    readings: Sequence[tuple[Scanner, GeneralReading]], parts: Sequence[ScannerPart] = PARTS
) -> list[ScannerFit]:
    """The scanners that get no calibration as their headers lack one of the parts."""
    lacking: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for scanner, _ in readings:
        stated = _stated(scanner)
        if lacks := tuple(part for part in parts if not stated[part]):
            name = " ".join(filter(None, stated.values())) or "unknown scanner"
            lacking[name, lacks] += 1
    return [
        ScannerFit(
            name, n, None,
            f"its headers lack {', '.join(lacks)}, and a calibration would be for other scanners, "
            "too: name it by other parts (--by)",
        )
        for (name, lacks), n in sorted(lacking.items())
    ]  # fmt: skip


def by_scanner(
    readings: Sequence[tuple[Scanner, GeneralReading]], parts: Sequence[ScannerPart] = PARTS
) -> dict[str, tuple[ScannerMatch, list[GeneralReading]]]:
    """The readings of each scanner whose headers state all those parts, by its name."""
    groups: dict[str, tuple[ScannerMatch, list[GeneralReading]]] = {}
    for scanner, reading in readings:
        match = match_of(scanner, parts)
        if match is not None:
            groups.setdefault(str(match), (match, []))[1].append(reading)
    return dict(sorted(groups.items()))


def fits_by_outcomes(
    readings: Sequence[tuple[Scanner, GeneralReading]],
    target: CalibrationTarget,
    parts: Sequence[ScannerPart] = PARTS,
    *,
    only: Sequence[str] = (),
) -> list[ScannerFit]:
    """The calibration of each scanner by outcomes, or why it gets none.

    `only` these scanners, by parts of their names.
    """
    return [
        _tried(
            name,
            own,
            partial(by_outcomes, match, own, target, [*_unseen(target, match), *_unverified(own)]),
        )
        for name, (match, own) in by_scanner(readings, parts).items()
        if _is_among(name, only)
    ]


def fits_by_call_rate(
    readings: Sequence[tuple[Scanner, GeneralReading]],
    target: CalibrationTarget,
    parts: Sequence[ScannerPart] = PARTS,
    *,
    changed_in: str = "",
    only: Sequence[str] = (),
) -> list[ScannerFit]:
    """The calibration of each scanner by its call rate, or why it gets none.

    The reference are the readings of all other scanners; with `changed_in` (`YYYY-MM`) the
    scanner's own of earlier months, and the calibration is fitted on those from that month on.
    `only` these scanners are calibrated, by parts of their names; all others are their reference.
    """
    groups = by_scanner(readings, parts)
    chosen = {name for name in groups if _is_among(name, only)}
    others: dict[str, list[GeneralReading]] = defaultdict(list)
    for name in chosen:
        for other, (_, own) in groups.items():
            if other != name and (not only or other not in chosen):
                others[name] += own
    found = []
    for name in sorted(chosen):
        match, own = groups[name]
        reference = others[name]
        if changed_in:
            reference = [one for one in own if one.month < changed_in]
            own = [one for one in own if one.month >= changed_in]
        fit = partial(by_call_rate, match, own, reference, target, _unseen(target, match))
        found.append(_tried(name, own, fit))
    return found


def merged(
    standing: Sequence[ScannerCalibration], new: Sequence[ScannerCalibration]
) -> tuple[ScannerCalibration, ...]:
    """The calibrations of a next version: new ones in place of those for the same scanners.

    One for a single release of a station's software goes before one for the station: it is for a
    scanner that the new one was fitted on, and goes.
    """
    kept = [old for old in standing if not any(one.match.covers(old.match) for one in new)]
    by_name = {str(one.match).lower(): one for one in (*kept, *new)}
    return tuple(by_name[name] for name in sorted(by_name))


def _tried(
    name: str, own: Sequence[GeneralReading], fit: Callable[[], CalibrationFit]
) -> ScannerFit:
    try:
        return ScannerFit(name, len(own), fit())
    except CannotCalibrate as why:
        return ScannerFit(name, len(own), None, str(why))


def _unseen(target: CalibrationTarget, match: ScannerMatch) -> list[str]:
    """Why the scanner is outside what the model has seen, as far as its card states that."""
    found = []
    if target.materials and "digital" not in target.materials:
        found.append(f"the model was trained on {target.materials}: no image of a digital system")
    vendor = match.manufacturer
    if vendor and target.vendors is not None and vendor not in target.vendors:
        found.append(
            f"the card names no {vendor} system: the model was trained and measured on others"
        )
    return found


def _unverified(own: Sequence[GeneralReading]) -> list[str]:
    """That outcomes are known of some exams alone: whose they are, nobody drew by lot."""
    known = sum(one.has_cancer is not None for one in own) / max(1, len(own))
    if known >= _VERIFIED:
        return []
    return [
        f"the outcome of {known:.0%} of its exams is known: if those are the women who were "
        "recalled, its sensitivity is too high, its specificity too low, and its threshold is one "
        "for women who were recalled (verification bias)"
    ]


def _is_among(name: str, only: Sequence[str]) -> bool:
    return not only or any(word.casefold() in name.casefold() for word in only)

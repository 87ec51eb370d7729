"""A year of a hospital with four scanners: when is a drift said, and how often wrongly.

    python -m benchmarks.drift_year [--years 200] [--out benchmarks/drift_year.md]

Scores are drawn around those of phantom exams that the worker read (`benchmarks/drift_scores.json`,
by `python -m benchmarks.drift_scores`): an exam is one of them, with normal noise on the log-odds
of its scores, and a scanner has an offset of its own. `SLOW` drifts: from exam to exam a growing
part of what another processing (`edges`) did to that phantom exam. `OLD` is replaced in mid-year
by `NEW`, which has that processing from its first exam. `STEADY` and `QUIET` stay what they are.

One such year is written line by line by the journal's own code, read back and shown as
`cadnode quality drift` shows it; the others are drawn in memory. In stable years all four stay.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import Generator

from cadnode.domain import Laterality, Outcome, ViewPosition
from cadnode.exam.scanner import Scanner
from cadnode.quality import store, wording
from cadnode.quality.drift import DriftRule, DriftState, compared, in_view, looks
from cadnode.quality.entry import JournalEntry, JournalSystem, JournalView
from cadnode.quality.exam_column import ExamColumn, ExamScores
from cadnode.quality.journal import Journal
from cadnode.quality.series import ScoreRow

NEW_YEAR: Final = datetime(2026, 1, 1, 7, tzinfo=UTC)
VOLUMES: Final = {"STEADY": 3000, "SLOW": 2500, "QUIET": 1200, "OLD": 1000, "NEW": 1000}
DRIFT: Final = (0.3, 0.8)
"""Of the year: when the slow drift begins, and when it has its full size."""
POSITIONS: Final = (ViewPosition.CC, ViewPosition.MLO)
NOISE: Final = 0.6  # of the phantom exams' standard deviation, on the log-odds
OFFSET: Final = 0.2  # standard deviation of scanners' own offsets, in the same unit
RULE: Final = DriftRule()


@dataclass(frozen=True)
class Phantoms:
    """Log-odds of the phantom exams: `(exams, 3)`, of CC, MLO and the exam; before and after."""

    plain: Any
    changed: Any
    threshold: float

    @classmethod
    def read(cls, file: Path, system: str, change: str, times: float = 1.0) -> "Phantoms":
        """Those of one system and one change, or so many times that change."""
        rows = [row for row in json.loads(file.read_text()) if row["system"] == system]
        both = {row["exam"] for row in rows if row["change"] == change}
        rows = [row for row in rows if row["exam"] in both]
        threshold = next(row["threshold"] for row in rows)
        tables = [
            np.array([_log_odds(row) for row in rows if row["change"] == one])
            for one in ("none", change)
        ]
        plain, after = tables
        return cls(plain, plain + times * (after - plain), threshold)

    @property
    def sd(self) -> float:
        """Standard deviation of the exams, mean of the columns."""
        return float(self.plain.std(axis=0, ddof=1).mean())

    def drawn(self, rng: Generator, n: int, part: Any, offset: float) -> Any:
        """Scores of `n` exams, `(n, 3)` in [0, 1]; `part` of the change is in each."""
        which = rng.integers(len(self.plain), size=n)
        noise = rng.normal(0, NOISE * self.sd, (n, 1)) * 0.8
        noise = noise + rng.normal(0, NOISE * self.sd, (n, 3)) * 0.6
        shift = np.asarray(part).reshape(-1, 1) * (self.changed - self.plain)[which]
        return 1 / (1 + np.exp(-(self.plain[which] + noise + shift + offset * self.sd)))


def _log_odds(row: dict[str, Any]) -> list[float]:
    means = [
        float(np.mean([score for _, view, score, _ in row["views"] if view == position.value]))
        for position in POSITIONS
    ]
    clipped = np.clip([*means, row["score"]], 1e-4, 1 - 1e-4)
    return [float(value) for value in np.log(clipped / (1 - clipped))]


def parts(name: str, n: int) -> Any:
    """How much of the change is in each exam of a scanner's year."""
    if name == "NEW":
        return np.ones(n)
    if name != "SLOW":
        return np.zeros(n)
    begun, full = DRIFT
    return np.clip((np.arange(n) / n - begun) / (full - begun), 0, 1)


def row_of(scores: Any, threshold: float) -> ScoreRow:
    """A scanner's exams as `rows_of` would make them of the journal."""
    exams = [
        ExamScores(NEW_YEAR, exam, exam >= threshold, tuple(zip(POSITIONS, (cc, mlo), strict=True)))
        for cc, mlo, exam in scores.tolist()
    ]
    return ScoreRow("kim2018", ExamColumn(exams))


def first_alarm(row: ScoreRow) -> int | None:
    """The place of the exam at which a look first says that the scanner drifts; None: never."""
    drifting = [one.n_after for one in looks(row, RULE) if one.state is DriftState.DRIFTS]
    return RULE.baseline + min(drifting) if drifting else None


def unlike_others(row: ScoreRow, pool: list[ExamScores]) -> int | None:
    """After how many exams a new scanner is said to score otherwise than the others."""
    others = {position: in_view(pool, position) for position in POSITIONS}
    for n in range(50, len(row.exams), 10):
        for position in POSITIONS:
            one = compared(position, others[position], in_view(row.exams[:n], position))
            if one is not None and one.state in (DriftState.WATCH, DriftState.DRIFTS):
                return n
    return None


def simulated(phantoms: Phantoms, n_years: int) -> dict[str, Any]:
    """What is said in `n_years` with a drift and a replacement, and in as many stable ones."""
    rng = np.random.default_rng(2026)
    slow, new, wrong = [], [], 0
    n_false = n_looks = 0
    for _ in range(n_years):
        rows = {}
        for name, n in VOLUMES.items():
            scores = phantoms.drawn(rng, n, parts(name, n), rng.normal(0, OFFSET))
            rows[name] = row_of(scores, phantoms.threshold)
        slow.append(first_alarm(rows["SLOW"]))
        pool = [one for name in ("STEADY", "QUIET") for one in rows[name].exams[-RULE.window :]]
        new.append(unlike_others(rows["NEW"], pool))
        wrong += any(first_alarm(rows[name]) for name in ("STEADY", "QUIET", "OLD"))
    for _ in range(n_years):
        year = [
            row_of(phantoms.drawn(rng, n, np.zeros(n), rng.normal(0, OFFSET)), phantoms.threshold)
            for n in (3000, 2500, 2000, 1200)
        ]
        n_looks += sum(len(list(range(RULE.least, len(r.exams) - RULE.baseline, 50))) for r in year)
        n_false += any(first_alarm(row) is not None for row in year)
    return {"slow": slow, "new": new, "wrong": wrong, "false": n_false, "looks": n_looks}


def year(phantoms: Phantoms, seed: int = 7) -> list[JournalEntry]:
    """One year's entries, in the order of reading."""
    rng, found = np.random.default_rng(seed), []
    for place, (name, n) in enumerate(VOLUMES.items()):
        scores = phantoms.drawn(rng, n, parts(name, n), rng.normal(0, OFFSET))
        begun, long = {"OLD": (0.0, 0.5), "NEW": (0.5, 0.5)}.get(name, (0.0, 1.0))
        maker = "GE HEALTHCARE" if name == "NEW" else "HOLOGIC, INC."
        scanner = Scanner("ge" if name == "NEW" else "hologic", maker, "", name, str(place), "1.0")
        for number, (cc, mlo, exam) in enumerate(scores.tolist()):
            at = NEW_YEAR + timedelta(days=364.0 * (begun + long * number / n))
            found.append(_entry(f"{place:04x}{number:012x}", at, scanner, (cc, mlo, exam),
                                phantoms.threshold))  # fmt: skip
    return sorted(found, key=lambda one: one.read_at)


def _entry(
    study: str, at: datetime, scanner: Scanner, scores: tuple[float, ...], threshold: float
) -> JournalEntry:
    cc, mlo, exam = scores
    views = tuple(
        JournalView(side, position, round(score, 6), score >= threshold)
        for position, score in zip(POSITIONS, (cc, mlo), strict=True)
        for side in Laterality
    )
    model = "dib-mg@1.0.0"
    scored = JournalSystem("kim2018", (model,), exam, exam >= threshold, threshold, (), views)
    return JournalEntry(
        at, study, "c", 1, Outcome.NO_FINDINGS, scanner, (model,), (scored,), active=("kim2018",),
        read_s=9.0, received_to_read_s=60.0,
    )  # fmt: skip


def written(entries: list[JournalEntry], storage: Path) -> Iterator[str]:
    """The year by the journal's own code, and what is then said of each scanner."""
    journal = Journal(storage)
    for one in entries:
        journal.add(one)
    overview = store.look(storage, RULE, entries[-1].read_at)
    store.write(storage, overview)
    for scanner in overview.scanners:
        for one in scanner.systems:
            yield f"| {scanner.name} | {one.state.value} | {wording.meaning_of(one)} |"
        for remark in wording.remarks_of(scanner):
            yield f"| | | {remark} |"


def _of(found: list[int | None], less: int = 0) -> str:
    said = sorted(one - less for one in found if one is not None)
    if not said:
        return f"in 0 of {len(found)} years"
    middle, late = said[len(said) // 2], said[min(len(said) - 1, int(0.9 * len(said)))]
    return f"in {len(said)} of {len(found)} years; after {middle} exams (median), {late} (90 %)"


def main() -> None:
    """Draw, count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--system", default="kim2018")
    parser.add_argument("--change", default="edges")
    parser.add_argument("--times", type=float, default=1.0, help="the measured change, so often")
    parser.add_argument("--scores", type=Path, default=Path("benchmarks/drift_scores.json"))
    parser.add_argument("--storage", type=Path, help="where the year's journal is left")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    phantoms = Phantoms.read(arguments.scores, arguments.system, arguments.change, arguments.times)
    moved = (phantoms.changed - phantoms.plain).mean(axis=0) / phantoms.plain.std(axis=0, ddof=1)
    found = simulated(phantoms, arguments.years)
    begun = round(DRIFT[0] * VOLUMES["SLOW"])
    lines = [
        f"{arguments.times:g} × `{arguments.change}`, which moves {arguments.system} on "
        f"{len(phantoms.plain)} phantom exams by "
        f"{moved[0]:+.2f} (CC) and {moved[1]:+.2f} (MLO) standard deviations of their log-odds.",
        "",
        "| | |",
        "|---|---|",
        f"| slow drift: said, counted from its first exam | {_of(found['slow'], begun)} |",
        f"| replaced scanner: new is said with its first exam; that it scores otherwise "
        f"| {_of(found['new'])} |",
        f"| a scanner that stayed named beside them | in {found['wrong']} of "
        f"{arguments.years} years |",
        f"| stable years of four scanners with a false alarm | {found['false']} of "
        f"{arguments.years} ({found['looks']} looks) |",
        "",
        "| scanner | at the year's end | in words |",
        "|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        lines += written(year(phantoms), arguments.storage or Path(folder))
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()

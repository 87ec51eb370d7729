"""A hospital whose scanners score differently: exams drawn, and read by the real verdict."""

import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import TypeAdapter
from pydicom import Dataset

from cadnode.domain import Laterality, Outcome, ViewPosition
from cadnode.exam.scanner import scanner_of
from cadnode.log import hashed
from cadnode.models.card import DibMgCard
from cadnode.quality.entry import JournalBreast, JournalEntry, JournalSystem
from cadnode.quality.journal import FOLDER
from cadnode.quality.outcomes import BreastOutcome, KnownOutcome, OutcomeBasis
from cadnode.reading.exam import locally_scored
from cadnode.reading.verdict import ScoredView, verdict

_LINE = TypeAdapter(JournalEntry)
START = datetime(2026, 1, 1, 8, tzinfo=UTC)


@dataclass(frozen=True)
class DrawnExam:
    """An exam whose scores are drawn: log-odds of its two breasts, whether one has cancer."""

    uid: str
    header: Dataset
    log_odds: tuple[float, float]
    has_cancer: bool
    read_at: datetime

    @property
    def study(self) -> str:
        return hashed(self.uid)


def header(station: str, software: str = "1.9") -> Dataset:
    """Of a Hologic system."""
    ds = Dataset()
    ds.Manufacturer, ds.ManufacturerModelName = "HOLOGIC, Inc.", "Selenia Dimensions"
    ds.StationName, ds.SoftwareVersions = station, software
    return ds


def drawn(
    station: str, n: int, *, shift: float = 0.0, stretch: float = 1.0, cancers: float = 0.1,
    seed: int = 0,
) -> list[DrawnExam]:  # fmt: skip
    """`n` exams of one scanner; cancers lie 2.5 above in one breast, the scanner shifts all."""
    rng = random.Random(f"{station} {seed}")
    found = []
    for number in range(n):
        has_cancer = rng.random() < cancers
        right, left = rng.gauss(-2, 1.2), rng.gauss(-2, 1.2)
        right += 2.5 * has_cancer
        found.append(
            DrawnExam(
                f"2.25.{zlib.crc32(f'{station} {seed}'.encode())}.{number}",
                header(station),
                (stretch * right + shift, stretch * left + shift),
                has_cancer,
                START + timedelta(hours=number),
            )
        )
    return found


def read(card: DibMgCard, exams: Iterable[DrawnExam], choice: str = "youden") -> list[JournalEntry]:
    """The exams as a node with that card reads them, as its journal has them."""
    model: Any = SimpleNamespace(card=card, choice=choice, operating_point=card.curve.at(choice))
    return [_read(card, model, exam) for exam in exams]


def _read(card: DibMgCard, model: Any, exam: DrawnExam) -> JournalEntry:
    views = [
        ScoredView(
            SimpleNamespace(laterality=side, view=ViewPosition.MLO, header=exam.header),  # type: ignore[arg-type]
            SimpleNamespace(logit=value),  # type: ignore[arg-type]
            model,
        )
        for side, value in zip((Laterality.RIGHT, Laterality.LEFT), exam.log_odds, strict=True)
    ]
    model.card = SimpleNamespace(
        name=card.name, version=card.version, weights_sha256=card.weights_sha256,
        breast=card.breast, scanners=card.scanners, system=card.system,
        materials=card.materials, curve=card.curve,
    )  # fmt: skip
    said = verdict(views)
    assert said.exam_score is not None
    assert said.operating_point is not None
    point = said.operating_point
    used = locally_scored(views)
    spec = f"{card.name}@{card.version}"
    breasts = tuple(
        JournalBreast(b.laterality, round(b.score, 6), b.score >= point) for b in said.breasts
    )
    of_system = JournalSystem(
        "kim2018", (spec,), max(b.score for b in breasts), any(b.is_called for b in breasts),
        point, breasts, (),
    )  # fmt: skip
    return JournalEntry(
        read_at=exam.read_at,
        study=exam.study,
        content="content",
        patient=1,
        outcome=Outcome.NO_FINDINGS,
        scanner=scanner_of(exam.header),
        models=(spec,),
        systems=(of_system,),
        calibration="; ".join(use.calibration for use in used.values()),
    )


def outcomes(
    exams: Sequence[DrawnExam],
) -> dict[tuple[str, Laterality], BreastOutcome]:
    """What became of both breasts of each exam."""
    found = {}
    for exam in exams:
        for side in Laterality:
            is_hers = exam.has_cancer and side is Laterality.RIGHT
            one = BreastOutcome(
                exam.study, side, KnownOutcome.MALIGNANT if is_hers else KnownOutcome.NORMAL,
                OutcomeBasis.PATHOLOGY, "2027-06", START,
            )  # fmt: skip
            found[one.key] = one
    return found


def written(storage: Path, entries: Sequence[JournalEntry]) -> None:
    """The journal of a storage folder, without the fsync of each line."""
    months: dict[str, list[bytes]] = {}
    for entry in entries:
        line = _LINE.dump_json(entry) + b"\n"
        months.setdefault(f"{entry.read_at:%Y-%m}", []).append(line)
    (storage / FOLDER).mkdir(parents=True, exist_ok=True)
    for month, lines in months.items():
        (storage / FOLDER / f"scores-{month}.jsonl").write_bytes(b"".join(lines))

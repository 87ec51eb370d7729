"""The monthly report reads the journal once, and says what its parts say by themselves."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cadnode import settings
from cadnode.domain import Laterality
from cadnode.node import drift_watch
from cadnode.node.quality_report import report_of
from cadnode.page.quality_report import ReportTable
from cadnode.quality.journal import Journal
from cadnode.quality.month import figures_of
from cadnode.quality.outcomes import BreastOutcome, KnownOutcome, OutcomeBasis, OutcomeBook
from cadnode.quality.performance import performances
from tests.drift_cases import MG1, MG2, entry

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def filled(storage: Path, seed: int) -> None:
    """Fourteen months of exams; some are read again, some lines are written twice or damaged."""
    rng, journal = np.random.default_rng(seed), Journal(storage)
    at = datetime(2025, 10, 2, tzinfo=UTC)
    for number in range(1, 300):
        at += timedelta(hours=int(rng.integers(1, 68)))
        who = max(1, number - int(rng.integers(1, 9))) if rng.random() < 0.1 else number
        one = replace(
            entry(who, [float(s) for s in rng.random(2)], (MG1, MG2)[who % 3 == 0], at=at),
            content=str(number % 2), read_s=float(rng.random()),
        )  # fmt: skip
        journal.add(one)
        if rng.random() < 0.05:
            journal.add(one)
        if rng.random() < 0.03:
            with journal.files()[-1].open("ab") as file:
                file.write(b'{"read_at": "2026')
    OutcomeBook(storage).add(
        [
            BreastOutcome(
                f"{number:016x}", side, KnownOutcome.MALIGNANT if ill else KnownOutcome.NORMAL,
                OutcomeBasis.PATHOLOGY, "2026-11", NOW,
            )
            for number in range(1, 300)
            for ill in [rng.random() < 0.3]
            for side in Laterality
        ]
    )  # fmt: skip


def outcome_rows(table: ReportTable) -> list[tuple[str, str]]:
    return [(row[0], row[2]) for row in table.rows if row[1] == "all"]


@pytest.mark.parametrize("seed", range(2))
def test_one_pass_says_what_the_parts_say_by_themselves(tmp_path: Path, seed: int) -> None:
    file, storage = tmp_path / "node.toml", tmp_path / "data"
    file.write_text(f"[storage]\nfolder = '{storage}'\n")
    filled(storage, seed)
    values, journal = settings.load(file), Journal(storage)
    first, month, end = date(2025, 12, 1), date(2026, 11, 1), date(2026, 12, 1)

    found = report_of(values, month, NOW)

    before = journal.entries(date(2026, 10, 1), month)
    assert found.figures == figures_of(month, journal.entries(month, end), before)
    assert found.figures.n_exams
    assert found.drift == drift_watch.look(values, NOW, until=end)
    (whole,) = performances(journal.entries(first, end), OutcomeBook(storage).all())
    assert outcome_rows(found.tables[1]) == [
        (whole.system, f"{whole.whole.n_pos} + {whole.whole.n_neg}")
    ]

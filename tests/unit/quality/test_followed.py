"""A journal that is followed says what the whole of it says, whatever happens to its files."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cadnode.quality import store
from cadnode.quality.drift import DriftRule
from cadnode.quality.followed import FollowedJournal
from cadnode.quality.journal import Journal
from cadnode.quality.series import Accepted, key_of
from tests.drift_cases import MG1, MG2, entry

RULE = DriftRule(baseline=12, window=8)
NOW = datetime(2026, 12, 31, tzinfo=UTC)
BEGUN = datetime(2026, 1, 28, tzinfo=UTC)


class History:
    """What befalls a journal, drawn by a seed; each act leaves it in a state that can be read."""

    def __init__(self, storage: Path, seed: int) -> None:
        self.storage, self.journal = storage, Journal(storage)
        self.rng = np.random.default_rng(seed)
        self.at, self.n = BEGUN, 0

    def read(self, *, hours: int = 7, again: int = 0, damaged: bool = False) -> None:
        """An exam is read `hours` later, or one that was read before once more."""
        self.at += timedelta(hours=hours)
        self.n += not again
        number = max(1, self.n - again)
        scores = [float(score) for score in self.rng.random(2)]
        one = entry(number, scores, (MG1, MG2)[number % 3 == 0], at=self.at)
        self.journal.add(replace(one, content=str(self.rng.integers(2))))
        if damaged:
            with self.newest().open("ab") as file:
                file.write(b'{"read_at": "2026')

    def newest(self) -> Path:
        return self.journal.files()[-1]

    def several(self) -> None:
        for _ in range(self.rng.integers(1, 9)):
            self.read()

    def erased(self) -> None:
        self.journal.remove(f"{self.rng.integers(1, self.n + 1):016x}")

    def accepted(self, *, ago: int = 0) -> None:
        at = self.at + timedelta(hours=1 - ago)
        store.accept(self.storage, Accepted(key_of(MG1), at, "anna"))

    def edited(self) -> None:
        file = self.newest()
        lines = file.read_bytes().splitlines(keepends=True)
        with file.open("r+b") as held:  # the same inode
            held.write(b"".join(lines[1:]))
            held.truncate()

    def edited_and_longer(self) -> None:
        self.edited()
        for _ in range(3):
            self.read()

    def restored(self) -> None:
        """The files of a while ago, from a backup."""
        file = self.journal.files()[0]
        lines = file.read_bytes().splitlines(keepends=True)
        file.unlink()
        file.write_bytes(b"".join(lines[: len(lines) // 2 + 1]))

    def acts(self) -> list[Callable[[], None]]:
        return [
            self.several, self.several, self.several, self.read,
            lambda: self.read(hours=-20), lambda: self.read(again=2),
            lambda: self.read(again=9), lambda: self.read(damaged=True),
            lambda: self.read(hours=200), lambda: self.read(hours=-400), self.erased,
            self.accepted, lambda: self.accepted(ago=30), self.edited, self.edited_and_longer,
            self.restored,
        ]  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
def test_it_says_what_the_whole_says_after_each_act(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path, seed)
    history.several()
    followed = FollowedJournal(tmp_path)
    for _ in range(16):
        acts = history.acts()
        acts[history.rng.integers(len(acts))]()
        found = store.look(tmp_path, RULE, NOW, followed=followed)
        assert found == store.look(tmp_path, RULE, NOW)
        assert found.scanners or not history.journal.entries()


def test_only_what_was_added_is_parsed_also_in_a_new_month(tmp_path: Path) -> None:
    history = History(tmp_path, 0)
    for _ in range(20):
        history.read()
    followed = FollowedJournal(tmp_path)
    read = []
    for hours in (7, 7, 700, 7):
        followed.rows([])
        read.append(followed.n_read)
        history.read(hours=hours)
    followed.rows([])
    assert [*read, followed.n_read] == [20, 1, 1, 1, 1]
    assert len(history.journal.files()) > 1


def test_a_line_that_is_being_written_counts_once_it_is_whole(tmp_path: Path) -> None:
    history = History(tmp_path, 0)
    history.read()
    history.read()
    whole = history.newest().read_bytes()
    history.newest().write_bytes(whole[:-40])
    followed = FollowedJournal(tmp_path)

    def counted() -> int:
        return sum(one.n_exams for one in followed.rows([]).values())

    assert counted() == 1
    with history.newest().open("ab") as file:
        file.write(whole[-40:])
    assert (counted(), followed.n_read) == (2, 1)


def test_a_reading_noted_late_comes_before_a_change_that_was_accepted_meanwhile(
    tmp_path: Path,
) -> None:
    history = History(tmp_path, 0)
    for _ in range(30):
        history.read()
    followed = FollowedJournal(tmp_path)
    history.accepted()
    assert store.look(tmp_path, RULE, NOW, followed=followed) == store.look(tmp_path, RULE, NOW)
    history.at -= timedelta(hours=6, minutes=30)  # half an hour before the change
    history.read()
    found = store.look(tmp_path, RULE, NOW, followed=followed)
    assert found == store.look(tmp_path, RULE, NOW)

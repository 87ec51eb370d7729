"""Splits by woman and by date."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadnode.errors import DataError
from cadnode_training.data import splits
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.splits import Shares

SIMPLE = ManifestRow(image=Path("b.png"), dataset="set", woman="w2", label="normal")


DATED = replace(SIMPLE, exam_date="2017-03")


def women(n: int = 200) -> list[ManifestRow]:
    """Two rows a woman; a fifth malignant, by turns mass and calcification; a month each."""
    return [
        ManifestRow(
            Path(f"{n}-{view}.png"), "set", f"w{n}", "malignant" if n % 5 == 0 else "benign",
            lesion_kind="mass" if n % 2 else "calcification", view=view,
            exam_date=f"{2008 + n // 20}-{1 + n % 12:02d}",
        )
        for n in range(n) for view in ("CC", "MLO")
    ]  # fmt: skip


def parts(rows: tuple[ManifestRow, ...]) -> dict[str, str]:
    return {row.woman: row.split for row in rows}


def test_every_stratum_gives_its_share_to_within_one_woman() -> None:
    done = splits.split_by_woman(women(), Shares(0.2, 0.15), seed=0)

    of = parts(done)
    for malignant in (True, False):
        for odd in (0, 1):
            stratum = [n for n in range(200) if (n % 5 == 0) == malignant and n % 2 == odd]
            counts = Counter(of[f"w{n}"] for n in stratum)
            assert counts["test"] == pytest.approx(0.2 * len(stratum), abs=1)
            assert counts["validation"] == pytest.approx(0.15 * len(stratum), abs=1.2)
    assert Counter(of.values()) == {"train": 130, "test": 40, "validation": 30}


def test_a_woman_is_in_one_split_and_nothing_else_changes() -> None:
    before = women()

    done = splits.split_by_woman(before, Shares(), seed=3)

    assert all(len({r.split for r in done if r.woman == f"w{n}"}) == 1 for n in range(200))
    assert [replace(row, split="") for row in done] == before


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), order=st.randoms(use_true_random=False))
def test_the_split_depends_on_the_seed_only(seed: int, order: object) -> None:
    rows = women(40)
    shuffled = list(rows)
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    assert parts(splits.split_by_woman(rows, Shares(), seed)) == parts(
        splits.split_by_woman(shuffled, Shares(), seed)
    )


def test_another_seed_is_another_split() -> None:
    of = [parts(splits.split_by_woman(women(), Shares(), seed)) for seed in (0, 1)]

    assert of[0] != of[1]


def test_the_sources_own_test_part_can_be_kept_whole() -> None:
    rows = [replace(row, split="test" if row.woman in ("w1", "w2") else "train") for row in women()]
    rows[2] = replace(rows[2], split="train")  # one view of w1 leaks into the source's own training

    of = parts(splits.split_by_woman(rows, Shares(validation=0.1), seed=0, keep_test=True))

    assert {woman for woman, part in of.items() if part == "test"} == {"w1", "w2"}
    assert Counter(of.values())["validation"] == 20


def test_by_date_nothing_that_trains_is_newer_than_the_test() -> None:
    done = splits.split_by_date(women(), Shares(0.2, 0.15))

    newest = {s: max(r.exam_date for r in done if r.split == s) for s in ("train", "validation")}
    oldest = {s: min(r.exam_date for r in done if r.split == s) for s in ("validation", "test")}
    assert newest["train"] < oldest["validation"]
    assert newest["validation"] < oldest["test"]
    assert Counter(parts(done).values())["test"] == pytest.approx(40, abs=2)


def test_a_woman_with_an_old_and_a_new_exam_is_new() -> None:
    rows = [*women(), replace(women()[0], exam_date="2019-12", image=Path("new.png"))]

    assert parts(splits.split_by_date(rows, Shares()))["w0"] == "test"


@pytest.mark.parametrize(
    ("rows", "message"),
    [([SIMPLE], "exam_date in every row"),
     ([replace(DATED, woman=f"w{n}") for n in range(9)], "none for"),
     ([DATED, replace(DATED, woman="w9", exam_date="2018-01-02")], "equally exact")],
)  # fmt: skip
def test_a_split_by_date_that_cannot_be_says_why(rows: list[ManifestRow], message: str) -> None:
    with pytest.raises(DataError, match=message):
        splits.split_by_date(rows, Shares())


def test_too_few_women_and_impossible_shares_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        splits.split_by_woman([SIMPLE], Shares(), seed=0)
    with pytest.raises(DataError, match="something must train"):
        Shares(0.6, 0.4)

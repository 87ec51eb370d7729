"""Which part a woman is in: train, validation or test, and only one of them.

By woman: each stratum (worst label × lesion kinds of a woman) gives its share to each part, and
the seed decides which women. By date, as Kang et al. 2021 (Methods: images of 2007 to 2017 trained
and validated, those of 2018 and 2019 tested): older exams train, newer ones test.
Choice: the validation part is the newest of the older ones, because the paper does not state how it
was taken.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cadnode.errors import DataError
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import ManifestRow

WomanKey = tuple[str, str]
WAYS: Final = ("woman", "date")


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the women in the test and validation parts; the rest trains.

    Raises
    ------
    DataError
        A share is below 0, or nothing is left to train.
    """

    test: float = 0.2
    validation: float = 0.15

    def __post_init__(self) -> None:
        if min(self.test, self.validation) < 0 or self.test + self.validation >= 1:
            raise DataError("shares are at least 0 and together below 1: something must train")


def split_by_woman(
    rows: Sequence[ManifestRow], shares: Shares, seed: int, *, keep_test: bool = False
) -> tuple[ManifestRow, ...]:
    """The rows with `split` set, women drawn within strata of label × lesion kind.

    Women are ordered by stratum and, within, by a hash of seed and name; parts are then drawn
    evenly along that order. So every part has its share of each stratum to within one woman, and
    the result depends neither on the rows' order nor on paths. With `keep_test`, women with a row
    in the test part stay there whole, and the rest is split into train and validation.

    Raises
    ------
    DataError
        A part that should have women has none.
    """
    strata = _strata(rows)
    fixed = {row.key for row in rows if row.split == m.TEST} if keep_test else set()
    free = sorted(set(strata) - fixed, key=lambda key: (strata[key], _draw(seed, key)))
    parts: dict[WomanKey, str] = dict.fromkeys(fixed, m.TEST)
    test_share = 0.0 if keep_test else shares.test
    tested = _evenly(len(free), test_share, 0.5)
    parts |= {key: m.TEST for key, taken in zip(free, tested, strict=True) if taken}
    rest = [key for key, taken in zip(free, tested, strict=True) if not taken]
    share = shares.validation / (1 - test_share)
    for key, taken in zip(rest, _evenly(len(rest), share, 0.5), strict=True):
        parts[key] = m.VALIDATION if taken else m.TRAIN
    return _with_parts(rows, parts, shares, keep_test=keep_test)


def split_by_date(rows: Sequence[ManifestRow], shares: Shares) -> tuple[ManifestRow, ...]:
    """The rows with `split` set by time: oldest train, then validation, newest test.

    A woman counts by her latest exam, so that no training exam is newer than the first test
    day; women of one day (or month, if no day is stated) stay together.

    Raises
    ------
    DataError
        A row has no date, or the days are too few for a part.
    """
    latest: dict[WomanKey, str] = {}
    for row in rows:
        if not row.exam_date:
            raise DataError("a split by date needs exam_date in every row")
        latest[row.key] = max(latest.get(row.key, ""), row.exam_date)
    if len({len(date) for date in latest.values()}) > 1:
        raise DataError("exam_date must be equally exact in every row: all days, or all months")
    women_of: dict[str, list[WomanKey]] = defaultdict(list)
    for key in sorted(latest):
        women_of[latest[key]].append(key)
    parts: dict[WomanKey, str] = {}
    newest_first = sorted(women_of, reverse=True)
    seen = 0
    bounds = (shares.test * len(latest), (shares.test + shares.validation) * len(latest))
    for date in newest_first:
        # A day goes where its middle woman falls.
        middle = seen + len(women_of[date]) / 2
        part = m.TEST if middle < bounds[0] else m.VALIDATION if middle < bounds[1] else m.TRAIN
        parts |= dict.fromkeys(women_of[date], part)
        seen += len(women_of[date])
    return _with_parts(rows, parts, shares)


def _strata(rows: Sequence[ManifestRow]) -> dict[WomanKey, tuple[str, ...]]:
    """Of each woman: her data set, her worst label, the kinds of her lesions."""
    labels: dict[WomanKey, list[str]] = defaultdict(list)
    kinds: dict[WomanKey, set[str]] = defaultdict(set)
    for row in rows:
        labels[row.key].append(row.label)
        kinds[row.key].add(row.lesion_kind)
    return {key: (key[0], m.worst(labels[key]), *sorted(kinds[key] - {""})) for key in labels}


def _draw(seed: int, key: WomanKey) -> str:
    return hashlib.sha256(f"{seed}:{key[0]}:{key[1]}".encode()).hexdigest()


def _evenly(n: int, share: float, start: float) -> list[bool]:
    """`n` choices, `share` of them True and evenly spread: systematic sampling."""
    return [int((i + 1) * share + start) > int(i * share + start) for i in range(n)]


def _with_parts(
    rows: Sequence[ManifestRow],
    parts: Mapping[WomanKey, str],
    shares: Shares,
    *,
    keep_test: bool = False,
) -> tuple[ManifestRow, ...]:
    wanted = {m.TRAIN}
    wanted |= {m.TEST} if shares.test and not keep_test else set()
    wanted |= {m.VALIDATION} if shares.validation else set()
    empty = sorted(wanted - set(parts.values()))
    if empty:
        raise DataError(
            f"{len(parts)} women are too few, or their dates too equal: none for {empty[0]}"
        )
    return tuple(replace(row, split=parts[row.key]) for row in rows)

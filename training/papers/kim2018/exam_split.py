"""Which exams train, validate and test, and how even the parts are (Kim 2018, Data sets).

Cancers 5:1:1; as many exams without to validate and to test, the rest to train; each part even in
what Tables 1 and 2 list, which chi-square tests check (Statistical Analysis).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.stats import chi2_contingency

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode_training.data.facts import invasive_by
from cadnode_training.data.views import Part, ViewRecord

PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")
AGE, DENSITY, MANUFACTURER = "age", "density", "manufacturer"
TYPE, MASS, CALCIFICATION, SIZE = "cancer type", "mass", "microcalcification", "size"
OF_ALL: Final = (AGE, DENSITY, MANUFACTURER)
"""Columns of Table 2: exams without cancer."""
OF_CANCERS: Final = (*OF_ALL, TYPE, MASS, CALCIFICATION, SIZE)
"""Columns of Table 1. Other features "were not controlled in the data sets"."""
VIEWS: Final = tuple((side, view) for side in Laterality for view in ("CC", "MLO"))
"""The four views of an exam, in the order of a minibatch."""
_BENIGN: Final = "benign"
_OLDER, _LARGE_MM = 50, 20.0


@dataclass(frozen=True, slots=True)
class LabelledExam:
    """Four views of a woman with a label a breast.

    Parameters
    ----------
    woman
        Data set and woman.
    rows
        Of the records, in the order of `VIEWS`.
    cancer
        Of each side, in the order of `Laterality`.
    columns
        Values of `OF_CANCERS`; "" where the data do not state one.
    split
        The part that a manifest's own split gives; "" without one.
    """

    woman: str
    rows: tuple[int, int, int, int]
    cancer: tuple[bool, bool]
    columns: Mapping[str, str]
    split: str = ""

    @property
    def has_cancer(self) -> bool:
        """The exam's label."""
        return any(self.cancer)


def exams_of(records: Sequence[ViewRecord]) -> tuple[list[LabelledExam], Counter[str]]:
    """Exams that the paper would take, and how many are left out for which reason.

    Four views (Data collection); neither implants, nor exams that are benign alone: "presumed
    benign cases … were not included". Of several images of one view the first counts.
    """
    women: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    reasons: Counter[str] = Counter()
    for row, record in enumerate(records):
        views = women[f"{record.dataset}:{record.woman}"]
        views.setdefault((record.laterality.value, record.view), row)
    exams = []
    for woman, views in women.items():
        of = [records[row] for row in views.values()]
        rows = [views.get((side.value, view)) for side, view in VIEWS]
        a, b, c, d = rows
        if a is None or b is None or c is None or d is None:
            reasons["exam of fewer than four views"] += 1
        elif not all(r.trainable for r in of):
            reasons["exam with an implant"] += 1
        elif not any(r.cancer for r in of) and any(r.exam_class.startswith(_BENIGN) for r in of):
            reasons["benign exam"] += 1
        else:
            exams.append(_exam(woman, records, (a, b, c, d)))
    return exams, reasons


def _exam(
    woman: str, records: Sequence[ViewRecord], rows: tuple[int, int, int, int]
) -> LabelledExam:
    of = [records[row] for row in rows]
    cancer = of[0].cancer or of[1].cancer, of[2].cancer or of[3].cancer
    told = [r for r in of if r.cancer] or of
    return LabelledExam(woman, rows, cancer, _columns(told), of[0].split)


def _columns(of: Sequence[ViewRecord]) -> dict[str, str]:
    def first(name: str) -> str:
        return next((value for r in of if (value := r.fact(name))), "")

    lesion = " ".join(r.fact("lesion") for r in of)
    size = max((float(r.fact("size_mm")) for r in of if r.fact("size_mm")), default=None)
    return {
        AGE: _age(first("age")),
        DENSITY: first("density"),
        MANUFACTURER: of[0].stratum,
        TYPE: {"1": "invasive", "0": "not invasive"}.get(
            first("invasive"), invasive_by(r.fact("pathology") for r in of)
        ),
        MASS: _yes("mass" in lesion, lesion),
        CALCIFICATION: _yes("calcification" in lesion, lesion),
        SIZE: ""
        if size is None
        else f"{'under ' * (size < _LARGE_MM)}20 mm" + " or more" * (size >= _LARGE_MM),
    }


def _yes(found: bool, stated: str) -> str:
    return ("yes" if found else "no") if stated.strip() else ""


def _age(text: str) -> str:
    try:
        return "under 50" if float(text) < _OLDER else "50 or older"
    except ValueError:
        return ""


def split(
    exams: Sequence[LabelledExam], ratio: tuple[int, int, int] = (5, 1, 1), seed: int = 0
) -> list[Part]:
    """The part of each exam; a manifest's own where every exam has one.

    The parts' sizes are exact. Within them exams are shared out evenly by every column at once, in
    an order drawn by the seed: those with the value of the fewest exams first (iterative
    stratification: Sechidis et al. 2011, ECML PKDD), each to the part that lacks its values most.

    Raises
    ------
    DataError
        A class has fewer than three exams.
    """
    own: list[Part] = [part for e in exams for part in PARTS if part == e.split]
    if exams and len(own) == len(exams):
        return own
    parts: dict[int, Part] = {}
    ill = [i for i, e in enumerate(exams) if e.has_cancer]
    well = [i for i, e in enumerate(exams) if not e.has_cancer]
    if min(len(ill), len(well)) < len(PARTS):
        raise DataError(
            f"{len(ill)} exams of four views with cancer and {len(well)} without are too few to "
            "train, validate and test on"
        )
    sizes = _shares(len(ill), ratio)
    # Without enough exams to train on, those without cancer are shared out by the ratio, too.
    enough = len(well) >= len(ill)
    others = (len(well) - sizes[1] - sizes[2], *sizes[1:]) if enough else _shares(len(well), ratio)
    for picked, columns, wanted in ((ill, OF_CANCERS, sizes), (well, OF_ALL, others)):
        placed = _evenly([exams[i] for i in picked], columns, wanted, seed)
        parts |= dict(zip(picked, placed, strict=True))
    return [parts[i] for i in range(len(exams))]


def _shares(n: int, ratio: tuple[int, int, int]) -> tuple[int, int, int]:
    """4,339 by 5:1:1 are 3,101, 619 and 619, as in the paper."""
    validation, test = (max(1, n * share // sum(ratio)) for share in ratio[1:])
    return n - validation - test, validation, test


def _evenly(
    exams: Sequence[LabelledExam], columns: Sequence[str], sizes: tuple[int, int, int], seed: int
) -> list[Part]:
    values = [{(c, e.columns[c]) for c in columns if e.columns[c]} for e in exams]
    drawn = sorted(
        range(len(exams)),
        key=lambda i: hashlib.sha256(f"{seed}:{exams[i].woman}".encode()).hexdigest(),
    )
    left = Counter(value for of in values for value in of)
    lacking = {v: [n * size / len(exams) for size in sizes] for v, n in left.items()}
    room, placed = list(sizes), [-1] * len(exams)

    def place(i: int) -> None:
        def lack(part: int) -> tuple[float, float]:
            of_values = sum(lacking[value][part] for value in values[i])
            return of_values / sizes[part], room[part] / sizes[part]

        part = max((p for p in range(3) if room[p]), key=lack)
        placed[i], room[part] = part, room[part] - 1
        for value in values[i]:
            left[value] -= 1
            lacking[value][part] -= 1

    while left := +left:
        rarest = min(left, key=lambda value: (left[value], value))
        for i in drawn:
            if placed[i] < 0 and rarest in values[i]:
                place(i)
    for i in drawn:
        if placed[i] < 0:
            place(i)
    return [PARTS[p] for p in placed]


@dataclass(frozen=True, slots=True)
class ColumnOfParts:
    """A column of Table 1 or 2: how many exams of each part have each value.

    `p` is the chi-square test's that the parts do not differ, of the exams that state a value;
    None where there are not two values.
    """

    name: str
    counts: Mapping[str, tuple[int, int, int]]
    p: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `counts` are of train, validation, test."""
        p = None if self.p is None else round(self.p, 4)
        return {"column": self.name, "counts": {k: list(v) for k, v in self.counts.items()}, "p": p}


def evenness(
    exams: Sequence[LabelledExam], parts: Sequence[Part], *, cancer: bool
) -> list[ColumnOfParts]:
    """Table 1 (exams with cancer) or Table 2 (without)."""
    found = []
    for name in OF_CANCERS if cancer else OF_ALL:
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for exam, part in zip(exams, parts, strict=True):
            if exam.has_cancer == cancer:
                counts[exam.columns[name]][PARTS.index(part)] += 1
        stated = np.array([n for value, n in sorted(counts.items()) if value])
        named = {k or "not stated": (n[0], n[1], n[2]) for k, n in sorted(counts.items())}
        found.append(ColumnOfParts(name, named, chi_square(stated)))
    return found


def chi_square(counts: "np.ndarray[Any, Any]") -> float | None:
    """P of Pearson's test of a table of counts; None where it has no two rows and columns."""
    if counts.ndim != 2:
        return None
    table = counts[:, counts.sum(0) > 0]
    if min(table.shape) < 2:
        return None
    return float(chi2_contingency(table, correction=False).pvalue)


def stated(exams: Sequence[LabelledExam], columns: Sequence[str], *, cancer: bool) -> list[str]:
    """The columns by which exams of a class differ: some state a value, and not all the same."""
    of = [e.columns for e in exams if e.has_cancer == cancer]
    return [c for c in columns if len({one[c] for one in of} - {""}) > 1]

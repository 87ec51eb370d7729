"""The paper's tables of exams: how even the parts are, and how strata of them are told apart.

Tables 1 and 2 are of `exam_split.evenness`; Tables 3 to 5 at the threshold of 0.5, with their tests
(Kim 2018, Statistical Analysis).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from cadnode.statistics.auc import delong
from cadnode.statistics.binary import Measure, wilson
from cadnode_training.data.sets import phantom_exams
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import Part, ViewSet
from cadnode_training.engine.preview import Count
from cadnode_training.engine.protocol import ProtocolPoint
from cadnode_training.papers.kim2018 import exam_split, points
from cadnode_training.papers.kim2018.breasts import by_breast, by_exam
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.exam_split import (
    AGE,
    CALCIFICATION,
    DENSITY,
    MANUFACTURER,
    MASS,
    PARTS,
    SIZE,
    TYPE,
    LabelledExam,
    chi_square,
)
from cadnode_training.papers.kim2018.output import scoring_of
from cadnode_training.papers.kim2018.prepared import PreparedViews, used
from cadnode_training.papers.kim2018.readings import ViewsRead
from cadnode_training.statistics import auc_tests, gee

THRESHOLD: Final = 0.5
# Results: AUC, sensitivity, specificity of the validation and of the test set.
PAPER: Final[Mapping[str, tuple[float, float, float]]] = {
    "validation": (0.903, 0.756, 0.902),
    "test": (0.906, 0.761, 0.885),
}
_MEASURES: Final = (Measure.SENSITIVITY, Measure.SPECIFICITY, Measure.ACCURACY)
_FEATURES: Final = "feature"
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SeenExams:
    """What a preview knows of the data: counts, protocol, and how even the parts would be."""

    counts: tuple[Count, ...]
    protocol: tuple[ProtocolPoint, ...]
    strata: Mapping[str, Any] | None = None
    tables: tuple[Table, ...] = ()


def protocol_of(recipe: ViewRecipe, sets: Sequence[ViewSet]) -> tuple[ProtocolPoint, ...]:
    """The paper's points beside what is run with these data."""
    if not recipe.of_exams:
        return points.protocol(recipe)
    kept = [replace(one, records=tuple(used(one, recipe))) for one in sets]
    with_exams = [(one, exam_split.exams_of(one.records)[0]) for one in kept]
    return points.protocol(recipe, points.facts_of(with_exams))


def previewed(data: Sequence[str], recipe: ViewRecipe) -> SeenExams:
    """Exams by part and class, without drawing any: a phantom's classes are drawn with them.

    Raises
    ------
    DataError
        A folder is not what it should be, or has too few exams.
    """
    counts: list[Count] = []
    sets: list[tuple[ViewSet, list[LabelledExam]]] = []
    strata, tables = {}, []
    for text in data:
        if text.partition(":")[0] == phantom_exams.NAME:
            total = sum(phantom_exams.parse(text).sizes)
            counts.append(Count(text, "all", {"exams, with cancers as drawn": total}))
            continue
        found = open_source(text)
        found = replace(found, records=tuple(used(found, recipe)))
        exams, reasons = exam_split.exams_of(found.records)
        parts = exam_split.split(exams, recipe.exams.shares)
        sets.append((found, exams))
        counts += [_count(found.name, part, exams, parts) for part in PARTS]
        strata[found.name] = _evenness(exams, parts) | {"left_out": dict(reasons)}
        tables += _tables(found.name, exams, parts)
    facts = points.facts_of(sets) if len(sets) == len(data) else None
    return SeenExams(tuple(counts), points.protocol(recipe, facts), strata, tuple(tables))


def shown(prepared: Sequence[PreparedViews]) -> list[Table]:
    """Tables 1 and 2 of each data set whose exams are learnt from."""
    return [table for p in prepared if p.exams for table in _tables(p.data.name, *p.all_exams)]


def measured(prepared: PreparedViews, read: Mapping[str, ViewsRead]) -> dict[str, Any]:
    """`strata` (Tables 1 and 2), and `tables` (3 to 5) of the parts that a network has read."""
    columns = {e.woman: e.columns for e in prepared.all_exams[0]}
    called = {part: _called(one, columns) for part, one in read.items()}
    aucs = {p: (c.cancer, c.score) for p, c in called.items() if len(set(c.cancer.tolist())) == 2}
    between = None
    if len(aucs) == len(read) and min(min(t.sum(), (~t).sum()) for t, _ in aucs.values()) > 1:
        test = auc_tests.unpaired(*aucs.values())
        finite = test.statistic if np.isfinite(test.statistic) else None  # JSON has no infinity
        between = {"chi_square": _rounded(finite), "p": round(test.p, 4)}
    strata = _evenness(*prepared.all_exams) | {"left_out": dict(prepared.left_out)}
    tables = {
        "threshold": THRESHOLD,
        "parts": {part: _part(one, part) for part, one in called.items()},
        "validation_against_test_auc": between,
    }
    return {"strata": strata, "tables": tables}


def results(models: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Tables 3 to 5 to be printed, of what `measured` made."""
    return [
        _result_table(part, one)
        for model in models
        for part, one in model.get("tables", {}).get("parts", {}).items()
    ]


@dataclass(frozen=True, eq=False, slots=True)
class CalledExams:
    """Exams of a part: `(n,)` label, score, and columns of each."""

    cancer: Bools
    score: NDArray[np.float64]
    columns: tuple[Mapping[str, str], ...]

    @property
    def called(self) -> Bools:
        """Which are called positive."""
        return self.score >= THRESHOLD


def _called(read: ViewsRead, columns: Mapping[str, Mapping[str, str]]) -> CalledExams:
    logits = read.logits.tolist()
    scoring = scoring_of(by_breast(read.records, logits))
    exams = by_exam(by_breast(read.records, logits, scoring))
    sets = {record.woman: record.dataset for record in read.records}  # a manifest may have several
    return CalledExams(
        np.array([e.cancer for e in exams], bool),
        np.array([e.score for e in exams], np.float64),
        tuple(columns[f"{sets[e.woman]}:{e.woman}"] for e in exams),
    )


def _part(exams: CalledExams, part: str) -> dict[str, Any]:
    """AUC, shares of all, and of each stratum with its test."""
    whole: dict[str, Any] = _shares(exams, np.ones(len(exams.cancer), bool))
    if len(set(exams.cancer.tolist())) == 2:
        whole |= delong(exams.cancer, exams.score).as_dict()
    paper = dict(zip(("auc", "sensitivity", "specificity"), PAPER[part], strict=True))
    of_all = [_by_column(exams, name, _MEASURES) for name in (AGE, MANUFACTURER, DENSITY)]
    of_cancers = [_by_column(exams, name, _MEASURES[:1]) for name in (TYPE, SIZE)]
    return whole | {"paper": paper, "by": [*of_all, _by_feature(exams), *of_cancers]}


def _shares(exams: CalledExams, of: Bools) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for measure in _MEASURES:
        among, counts = measure.members(exams.cancer, exams.called)
        share = wilson(int((among & counts & of).sum()), int((among & of).sum()))
        found[measure.value] = share.as_dict()
    return found


def _by_column(exams: CalledExams, name: str, measures: Sequence[Measure]) -> dict[str, Any]:
    """Shares of each value, and the chi-square tests that they are alike."""
    values = np.array([c[name] for c in exams.columns], np.str_)
    stated = sorted(set(values.tolist()) - {""})
    rows = []
    for value in stated:
        shares = _shares(exams, values == value)
        rows.append({"value": value} | {m.value: shares[m.value] for m in measures})
    p = {}
    for measure in measures:
        among, counts = measure.members(exams.cancer, exams.called)
        table = [
            [
                int((among & counts & (values == v)).sum()),
                int((among & ~counts & (values == v)).sum()),
            ]
            for v in stated
        ]
        p[measure.value] = _rounded(chi_square(np.array([row for row in table if sum(row)])))
    return {"column": name, "test": "chi-square", "rows": rows, "p": p}


def _by_feature(exams: CalledExams) -> dict[str, Any]:
    """Sensitivity for masses and for microcalcifications, which one cancer may both have: GEE."""
    rows, compared = [], []
    for name in (MASS, CALCIFICATION):
        has = np.array([c[name] == "yes" for c in exams.columns], bool) & exams.cancer
        hits = exams.called[has]
        rows.append({"value": name, "sensitivity": wilson(int(hits.sum()), len(hits)).as_dict()})
        compared.append((hits, np.flatnonzero(has)))
    p = gee.wald(compared, len(exams.cancer)) if all(len(h) for h, _ in compared) else None
    return {"column": _FEATURES, "test": "GEE", "rows": rows, "p": {"sensitivity": _rounded(p)}}


def _rounded(p: float | None) -> float | None:
    return None if p is None else round(p, 4)


def _evenness(exams: Sequence[LabelledExam], parts: Sequence[Part]) -> dict[str, Any]:
    return {
        name: [c.as_dict() for c in exam_split.evenness(exams, parts, cancer=cancer)]
        for name, cancer in (("cancers", True), ("normals", False))
    }


def _count(name: str, part: Part, exams: Sequence[LabelledExam], parts: Sequence[Part]) -> Count:
    ill = [e.has_cancer for e, own in zip(exams, parts, strict=True) if own == part]
    return Count(name, part, {"exams with cancer": sum(ill), "without": len(ill) - sum(ill)})


def _tables(name: str, exams: Sequence[LabelledExam], parts: Sequence[Part]) -> list[Table]:
    tables = []
    for title, cancer in (("with cancer (Table 1)", True), ("without (Table 2)", False)):
        table = Table("", "", *PARTS, "chi-square, p", title=f"{name}: exams {title}")
        for column in exam_split.evenness(exams, parts, cancer=cancer):
            p = "–" if column.p is None else f"{column.p:.3f}"
            for number, (value, counts) in enumerate(column.counts.items()):
                first = not number
                table.add_row(
                    column.name * first, value, *(f"{n:,}" for n in counts), p if first else ""
                )
        tables.append(table)
    return tables


def _result_table(part: str, found: Mapping[str, Any]) -> Table:
    title = f"{part} part at {THRESHOLD} (Tables 3 to 5)"
    names = [m.value for m in _MEASURES]
    table = Table("", "", *names, "p of these", title=title)
    paper = found["paper"]
    auc = "–" if found.get("auc") is None else f"{found['auc']:.3f}"
    table.add_row("all", f"AUC {auc}, paper's {paper['auc']}", *(_share(found, n) for n in names))
    for one in found["by"]:
        p = ", ".join("–" if v is None else f"{v:.3f}" for v in one["p"].values())
        for number, row in enumerate(one["rows"]):
            table.add_row(
                one["column"] * (not number), row["value"], *(_share(row, n) for n in names),
                p if not number else "",
            )  # fmt: skip
    return table


def _share(row: Mapping[str, Any], name: str) -> str:
    share = row.get(name)
    if share is None or share["value"] is None:
        return "–"
    return f"{share['value']:.1%} ({share['hits']} of {share['n']})"

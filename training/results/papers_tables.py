"""How our numbers stand beside each paper's own table: Kang 1, Wang 2 to 4, Helsinki, Kim."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from cadnode.domain import YOUDEN, System
from cadnode.errors import DataError
from cadnode.models.card import Scenario
from cadnode.statistics.auc import delong_test
from cadnode.statistics.binary import Measure
from cadnode_training.results import measures
from cadnode_training.results.published import (
    HELSINKI_ROWS,
    KANG,
    KANG_P,
    KANG_ROWS,
    KIM_ROWS,
    KIM_SENSITIVITY,
    WANG_ROWS,
    PaperRow,
)
from cadnode_training.results.scored import CHOICES, FACT_TITLES, Cutoff, Scored, Scorer, plain
from cadnode_training.results.tables import AUC, PERFORMANCE, Table, TableCell, TableRow, printed
from cadnode_training.statistics import auc_tests

_ONE_HALF: Final = Cutoff("0.5", 0.5, "one half: nothing was chosen")


def all_tables(cases: Scored, system: System, scenario: Scenario | None = None) -> list[Table]:
    """The paper's table, the same at fixed cut-offs, the pairs' tests, and all strata."""
    rows = published_rows(system, scenario)
    found = [performance(cases, rows)]
    others = [c for c in CHOICES if c != YOUDEN and _chosen(cases, c)]
    found += [performance(cases, None, choice) for choice in others]
    if len(cases.scorers) > 1:
        found.append(pairs(cases, system))
    return found + [by_stratum(cases, s.spec, system) for s in cases.scorers[:1]]


def published_rows(system: System, scenario: Scenario | None = None) -> Mapping[str, PaperRow]:
    """Printed rows by the key that a scorer's name holds.

    Raises
    ------
    DataError
        Wang's tables are wanted without a scenario.
    """
    if system is System.KANG2021:
        return KANG_ROWS
    if system is System.HELSINKI_DTL:
        return HELSINKI_ROWS
    if system is System.WANG2016:
        if scenario is None:
            raise DataError("Wang's table is one of three: calcifications, masses or both")
        return WANG_ROWS[scenario]
    if system.is_brought:
        return {}
    return {part: row for (fact, part), row in KIM_ROWS.items() if not fact}


def performance(
    cases: Scored, published: Mapping[str, PaperRow] | None = None, choice: str = YOUDEN
) -> Table:
    """One row a scorer at its cut-off, the paper's row of the same name beneath; then the others.

    The cut-off was chosen on the scorer's validation part and is applied as it is; scorers without
    any stand at one half among the Youden indices, and in no other table.
    """
    rows, left = [], dict(published or {})
    fits = [s for s in cases.scorers if choice == YOUDEN or s.cutoff(choice)]
    for scorer in fits:
        rows.append(row_of(cases, scorer, choice, scorer.spec))
        if key := _key(scorer.name, left):
            rows.append(printed(left.pop(key)))
    rows += [printed(row) for row in left.values()]
    title = {YOUDEN: "highest Youden index"}.get(choice, choice.replace("=", " ≥ "))
    return Table(
        f"Performance at the cut-off of the {title} on validation",
        PERFORMANCE, tuple(rows), _note(cases, rows, choice),
    )  # fmt: skip


def row_of(cases: Scored, scorer: Scorer, choice: str, name: str) -> TableRow:
    """AUC and shares of one scorer at its cut-off."""
    at = scorer.cutoff(choice) or _ONE_HALF
    labels = cases.labels
    found = measures.shares(labels, cases.scores(scorer.spec) >= at.threshold, cases.women)
    cells = {AUC: TableCell.of(measures.auc_of(cases, scorer.spec))}
    cells |= {measure: TableCell.of(share) for measure, share in found.items()}
    positive = int(labels.sum())
    return TableRow(name, cells, f"≥ {at.threshold:.3g}", f"{positive} + {len(labels) - positive}")


def pairs(cases: Scored, system: System | None = None, choice: str = YOUDEN) -> Table:
    """P of all together and of pairs: DeLong's test of AUCs, GEE by woman of shares (Kang 2021).

    DeLong's test assumes independent cases; where a woman has several, `compare` gives an
    interval by woman beside it.
    """
    labels, women = cases.labels, cases.women
    called = {
        s.spec: cases.scores(s.spec) >= (s.cutoff(choice) or _ONE_HALF).threshold
        for s in cases.scorers
    }
    compared = {m: measures.compared(m, labels, called, women) for m in Measure}
    of_aucs = auc_tests.overall(labels, [cases.scores(spec) for spec in called])
    cells = {AUC: _p(of_aucs.p)} | {m: _p(c.overall_p) for m, c in compared.items()}
    rows = [TableRow("all together", cells)]
    if system is System.KANG2021:
        printed_p = {name: TableCell(text=p) for name, p in KANG_P.items()}
        rows.append(TableRow("paper: all together", printed_p, paper=KANG))
    for one, other in combinations(called, 2):
        difference = delong_test(labels, cases.scores(one), cases.scores(other))
        cells = {AUC: _p(difference.p)}
        cells |= {m: _p(c.pairwise_p[one, other]) for m, c in compared.items()}
        rows.append(TableRow(f"{one} – {other}", cells))
    note = (
        "P values, two-sided, not corrected for their number: DeLong for AUC (all together: "
        f"chi-square {of_aucs.statistic:.3g}, {of_aucs.df} degrees of freedom), GEE by woman else."
    )
    return Table("Pairs of models", PERFORMANCE, tuple(rows), note, "pair")


def by_stratum(
    cases: Scored, spec: str, system: System | None = None, choice: str = YOUDEN
) -> Table:
    """One row a stratum (Kim 2018, Tables 3 to 5), beside what the paper's text reports."""
    scorer = cases.scorer(spec)
    rows = [row_of(cases, scorer, choice, "all")]
    for name, values in cases.strata().items():
        for value in values:
            part = cases.where(name, value)
            rows.append(
                row_of(part, scorer, choice, f"{FACT_TITLES.get(name, name)}: {plain(value)}")
            )
            if system is System.KIM2018:
                rows += _of_kim(name, value)
    columns = (AUC, Measure.SENSITIVITY, Measure.SPECIFICITY, Measure.ACCURACY)
    return Table(f"Strata of {spec}", columns, tuple(rows), _note(cases, rows, choice), "stratum")


def _of_kim(name: str, value: str) -> list[TableRow]:
    rows = [printed(row) for key, row in KIM_ROWS.items() if key == (name, value)]
    if between := KIM_SENSITIVITY.get((name, value)):
        text = TableCell(text=f"{between[0]:.3f} and {between[1]:.3f}")
        source = "Kim et al. 2018: Results, of Table 5"
        rows.append(TableRow(f"paper: {value}", {Measure.SENSITIVITY: text}, "0.5", "", source))
    return rows


def _key(name: str, published: Mapping[str, PaperRow]) -> str:
    """The key that a scorer's name holds, the longest of several; "" for none.

    A row for the model itself (Helsinki's, Kim's test part, Wang's SAE) stands for any name.
    """
    plain = name.replace("-", "").replace("_", "").lower()
    held = [k for k in published if k.replace("_", "") in plain]
    if held:
        return max(held, key=len)
    return next(
        (k for k in ("model", "test", "sae") if k in published and "radiologist" not in plain), ""
    )


def _note(cases: Scored, rows: Sequence[TableRow], choice: str) -> str:
    aucs, shares = measures.methods(cases.women)
    chosen = {c.chosen for s in cases.scorers for c in s.cutoffs if c.choice == choice}
    where = f" Cut-offs: {'; '.join(sorted(chosen))}." if chosen else ""
    papers = (
        " The paper's rows are of its own, private data: they report what was published and are no "
        "benchmark for this model."
    )
    return (
        f"{cases.what}; {cases.unit}, positive + negative. Intervals: AUC "
        f"{aucs}; shares {shares}.{where}{papers if any(r.paper for r in rows) else ''}"
    )


def _chosen(cases: Scored, choice: str) -> bool:
    return any(s.cutoff(choice) for s in cases.scorers)


def _p(value: float | None) -> TableCell:
    if value is None:
        return TableCell()
    return TableCell(value, text="< 0.0001" if value < 1e-4 else f"{value:.4f}")

"""How a comparison of two models becomes one self-contained HTML page."""

from pathlib import Path

import numpy as np

from cadnode.statistics.binary import Measure
from cadnode_training.results import meaning, pages, plots, report
from cadnode_training.results.compare import Comparison, Difference
from cadnode_training.results.plots import ForestRow
from cadnode_training.results.tables import TITLES, Table, TableCell, TableRow


def write(file: Path, found: Comparison) -> None:
    """Write the page of a comparison."""
    both = found.cases
    why = "" if meaning.enough(both) else meaning.without_calibration(both)
    sections = [
        _lead(found),
        pages.PageSection("AUC by stratum", tables=(_aucs(found),), figures=_forest(found)),
        pages.PageSection(
            "Calls at each model's own cut-off",
            sentence(found),
            (),
            (_calls(found), _shares(found)),
        ),
        pages.PageSection("Curves", why, tuple(report.curve_figures(both))),
        pages.PageSection("What was measured", tables=(report.provenance(both),)),
    ]
    title = f"{found.b.spec} (B) against {found.a.spec} (A) on {both.data}"
    pages.render(file, title, report.subtitle(both), sections)


def plainly(found: Comparison) -> str:
    """The comparison for readers without statistics."""
    w, m = found.whole, found.moves
    areas = tuple(x.value if x else 0.5 for x in (w.a, w.b))
    pairs = meaning.difference(found.cases, found.a.spec, found.b.spec, (areas[0], areas[1]), w.ci)
    one = found.cases.unit
    return (
        f"{pairs}\nAt their cut-offs, of {m.positives.n} positive {one} B calls "
        f"{m.positives.up} that A does not, and misses {m.positives.down} that A calls; of "
        f"{m.negatives.n} negative ones it calls {m.negatives.up} that A does not, and clears "
        f"{m.negatives.down} that A calls."
    )


def _lead(found: Comparison) -> pages.PageSection:
    both, columns = found.cases, ("A", "B", "B − A")
    rows = [_auc_row(found.whole, digits=2)]
    for measure in (Measure.SENSITIVITY, Measure.SPECIFICITY):
        a, b, p = found.shares[measure]
        cells = {"A": TableCell.of(a), "B": TableCell.of(b)}
        if a.value is not None and b.value is not None:
            tested = "" if p is None else " (p < 0.001)" if p < 0.001 else f" (p = {p:.3f})"
            cells["B − A"] = TableCell(text=f"{_signed(b.value - a.value, 2)}{tested}")
        rows.append(TableRow(TITLES[measure], cells))
    rows[0] = TableRow("AUC", {c: rows[0].cells[c] for c in columns})
    chosen = "; ".join(
        f"{letter} ≥ {c.threshold:.3g} ({c.chosen})"
        for letter, s in (("A", found.a), ("B", found.b))
        if (c := s.cutoff(found.choice))
    )
    note = f"In parentheses: 95 % intervals; p of shares by GEE. Cut-offs: {chosen}."
    table = Table("", columns, tuple(rows), note, "", digits=2)
    return pages.PageSection(
        "Result", plainly(found), (report.roc_figure(both),), (table,),
        lead=True, limits=meaning.limits(both),
    )  # fmt: skip


def sentence(found: Comparison) -> str:
    """The comparison in one sentence, with numbers and intervals."""
    w, m = found.whole, found.moves
    low, high = w.ci or (-1.0, 1.0)
    test = f", DeLong p = {w.delong.p:.3g}" if w.delong else ""
    meaning = "is compatible with none" if low <= 0 <= high else "is unlikely to be chance alone"
    a, b = (x.value if x else 0.5 for x in (w.a, w.b))
    return (
        f"{found.b.spec} has an AUC of {b:.3f}, {found.a.spec} of {a:.3f} on {w.n_pos} positive "
        f"and {w.n_neg} negative cases: a difference of {_signed(w.value)} (95 % interval by woman "
        f"{_signed(low)} to {_signed(high)}{test}), which {meaning}. At their cut-offs, "
        f"{m.positives.up} positives are newly called and {m.positives.down} no longer; of the "
        f"negatives {m.negatives.down} are newly cleared and {m.negatives.up} newly called "
        f"(net reclassification {_signed(m.nri)})."
    )


def _aucs(found: Comparison) -> Table:
    rows = tuple(_auc_row(d) for d in (found.whole, *found.strata))
    note = (
        "Intervals: AUCs as in the evaluation; differences 95 %, bootstrap over women. DeLong's "
        "test assumes independent cases. P values are not corrected for their number."
    )
    columns = ("A", "B", "B − A", "p (DeLong)")
    return Table("AUC, on all cases and by stratum", columns, rows, note, "stratum")


def _auc_row(d: Difference, digits: int = 3) -> TableRow:
    tested = TableCell(text=f"{d.delong.p:.4f}") if d.delong else TableCell()
    change = TableCell()
    if d.value is not None and d.ci is not None:
        change = TableCell(
            d.value, d.ci,
            text=f"{_signed(d.value, digits)} ({_signed(d.ci[0], digits)} to "
            f"{_signed(d.ci[1], digits)})",
        )  # fmt: skip
    cells = {"A": TableCell.of(d.a), "B": TableCell.of(d.b), "B − A": change, "p (DeLong)": tested}
    name = f"{d.fact}: {d.stratum}" if d.fact else d.stratum
    return TableRow(name, cells, "", f"{d.n_pos} + {d.n_neg}")


def _forest(found: Comparison) -> tuple[pages.Figure, ...]:
    rows, last = [], ""
    for d in (found.whole, *found.strata):
        if d.fact != last:
            rows.append(ForestRow(d.fact, heading=True))
            last = d.fact
        rows.append(ForestRow(d.stratum, d.value, d.ci, f"{d.n_pos} + {d.n_neg}"))
    ends = [abs(b) for row in rows for b in row.ci or ()]
    reach = float(np.ceil(10 * max([0.1, *ends])) / 10)
    svg = plots.forest(rows, "AUC of B less that of A", x=(-reach, reach), middle=0.0)
    return (pages.Figure(svg, "To the right B is better; positive + negative cases.", True),)


def _calls(found: Comparison) -> Table:
    m = found.moves
    columns = ("both positive", "newly positive", "newly negative", "both negative", "net")
    rows = []
    for name, moves, net in (
        ("positive", m.positives, m.nri_positives),
        ("negative", m.negatives, m.nri_negatives),
    ):
        counts = (moves.stay_positive, moves.up, moves.down, moves.stay_negative)
        words = [*map(str, counts), _signed(net)]
        cells = {c: TableCell(text=w) for c, w in zip(columns, words, strict=True)}
        rows.append(TableRow(name, cells, "", str(moves.n)))
    ci = f" ({_signed(m.ci[0])} to {_signed(m.ci[1])} by woman)" if m.ci else ""
    note = (
        f"Net reclassification improvement {_signed(m.nri)}{ci}, z = {_signed(m.z)}, p = {m.p:.3g} "
        "(Pencina et al. 2008)."
    )
    return Table("Calls that change from A to B", columns, tuple(rows), note, "truth")


def _shares(found: Comparison) -> Table:
    rows = []
    for measure in Measure:
        a, b, p = found.shares[measure]
        tested = TableCell(text=f"{p:.4f}") if p is not None else TableCell()
        cells = {"A": TableCell.of(a), "B": TableCell.of(b), "p (GEE)": tested}
        rows.append(TableRow(TITLES[measure], cells))
    at = "; ".join(
        f"{letter}: {s.spec}, ≥ {c.threshold:.3g}, {c.chosen}"
        for letter, s in (("A", found.a), ("B", found.b))
        if (c := s.cutoff(found.choice))
    )
    return Table(
        "Shares at the cut-offs", ("A", "B", "p (GEE)"), tuple(rows), f"Cut-offs: {at}.", "share"
    )


def _signed(value: float | None, digits: int = 3) -> str:
    """`+0.020` or `−0.020`."""
    return "unknown" if value is None else f"{value:+.{digits}f}".replace("-", "−")

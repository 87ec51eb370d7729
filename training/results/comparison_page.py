"""How a comparison of two models becomes one self-contained HTML page."""

from pathlib import Path

import numpy as np

from cadnode_training.results import pages, plots, report
from cadnode_training.results.compare import Comparison, Difference
from cadnode_training.results.plots import ForestRow
from cadnode_training.results.tables import TITLES, Table, TableCell, TableRow
from cadnode_training.statistics.binary import Measure


def write(file: Path, found: Comparison) -> None:
    """Write the page of a comparison."""
    whole, both = found.whole, found.cases
    sections = [
        pages.PageSection("In a sentence", text=sentence(found)),
        pages.PageSection("Curves", figures=tuple(report.curve_figures(both))),
        pages.PageSection("AUC", tables=(_aucs(found),), figures=_difference_forest(found)),
        pages.PageSection(
            "Calls at each model's own cut-off", tables=(_calls(found), _shares(found))
        ),
    ]
    title = f"{found.b.spec} against {found.a.spec}"
    women = f"{whole.n_women} women"
    pages.render(file, title, f"{report.subtitle(both)}; {women}", sections)


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


def _auc_row(d: Difference) -> TableRow:
    tested = TableCell(text=f"{d.delong.p:.4f}") if d.delong else TableCell()
    change = TableCell()
    if d.value is not None and d.ci is not None:
        change = TableCell(
            d.value, d.ci, text=f"{_signed(d.value)} ({_signed(d.ci[0])} to {_signed(d.ci[1])})"
        )
    cells = {"A": TableCell.of(d.a), "B": TableCell.of(d.b), "B − A": change, "p (DeLong)": tested}
    name = f"{d.fact}: {d.stratum}" if d.fact else d.stratum
    return TableRow(name, cells, "", f"{d.n_pos} + {d.n_neg}")


def _difference_forest(found: Comparison) -> tuple[pages.Figure, ...]:
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


def _signed(value: float | None) -> str:
    """`+0.02` or `−0.02`."""
    return "unknown" if value is None else f"{value:+.3f}".replace("-", "−")

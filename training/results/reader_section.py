"""How the page compares models with the radiologist: points on the ROC, tables, biases."""

from collections.abc import Sequence
from typing import Final

from cadnode.domain import System
from cadnode.statistics.auc import Auc
from cadnode.statistics.binary import Measure, Share
from cadnode_training.results import measures, plots, readers
from cadnode_training.results.pages import Figure, PageSection
from cadnode_training.results.papers_tables import row_of
from cadnode_training.results.plots import DrawnCurve, Mark
from cadnode_training.results.published import HELSINKI_ROWS
from cadnode_training.results.readers import NAME, MatchedReader
from cadnode_training.results.scored import Scored
from cadnode_training.results.tables import (
    AUC,
    PERFORMANCE,
    TITLES,
    Table,
    TableCell,
    TableRow,
    printed,
)
from cadnode_training.statistics import curves

TITLE: Final = "Beside the radiologist"
_CLINICAL: Final = (
    "The categories are those of the clinical reading, not of a reading for this comparison. The "
    "reader had all views at full resolution, mostly earlier images and the history; the model had "
    "the images that are listed here. Whether histology exists depends on the reading "
    "(verification bias): what the reader did not recall was seldom biopsied and counts as "
    "negative, so that the reader's sensitivity is too high, and its specificity is that of these "
    "cases and not of screening. This shows the calls on these cases, not who reads better."
)
_OF_DATA: Final = {
    "rsna": (
        "RSNA: 0 is a recall from screening, 1 and 2 are negative; there is no 3, 4 or 5, so the "
        "reader has one cut-off. Only one of the two sites states categories, for recalled women "
        "and part of the negatives; nearly every cancer that is stated was found by that very "
        "recall, which makes a sensitivity near 100 % a property of the selection."
    ),
    "ddsm": (
        "DDSM: only lesions that were outlined have an assessment, made of film, knowing that the "
        "case was chosen; the other breast has none."
    ),
    "vindr": "VinDr-Mammo has no histology: its labels are made of these very categories.",
    "inbreast": "INbreast has histology of a part only; other labels follow from the category.",
}


def sections(cases: Scored, system: System) -> list[PageSection]:
    """One section, or none where no case has an assessment."""
    positive, negative = readers.stated(cases)
    if not positive + negative:
        return []
    if not positive or not negative:
        return [PageSection(TITLE, _one_class(cases, positive, negative))]
    both = readers.with_reader(cases)
    reader = both.scorer(NAME)
    tables = [_performance(both, system), _aucs(both)]
    if reader.cutoffs:
        tables.append(_matched(both))
    text = f"{_counted(cases)}\n{_biases(cases)}"
    figure = Figure(
        plots.roc(_curves(both), _marks(both)),
        "ROC on the cases with an assessment; diamonds: the radiologist's cut-offs with 95 % "
        "intervals.",
    )
    return [PageSection(TITLE, text, (figure,), tuple(tables))]


def _one_class(cases: Scored, positive: int, negative: int) -> str:
    which, other = ("positive", "negative") if positive else ("negative", "positive")
    return (
        f"No comparison: {positive + negative} of {len(cases)} cases have an assessment that can "
        f"be used, all of them {which}; without {other} ones there is no specificity and no AUC. "
        f"How the model does at each category is among the strata.\n{_biases(cases)}"
    )


def _counted(cases: Scored) -> str:
    positive, negative = readers.stated(cases)
    left = [f"{n} {why}" for why, n in readers.without(cases).items() if n]
    without = f" (left out: {'; '.join(left)})" if left else ""
    return (
        f"{positive} positive and {negative} negative of {len(cases)} cases have a BI-RADS "
        f"assessment{without}; models are measured on these alone."
    )


def _biases(cases: Scored) -> str:
    name = cases.data.lower()
    return " ".join([*(text for key, text in _OF_DATA.items() if key in name), _CLINICAL])


def _performance(both: Scored, system: System) -> Table:
    """Models at their cut-offs, the radiologist at each of BI-RADS'."""
    rows = [row_of(both, s, "youden", s.spec) for s in both.scorers if s.name != NAME]
    reader = both.scorer(NAME)
    for cut in reader.cutoffs:
        row = row_of(both, reader, cut.choice, f"{NAME}, {cut.choice}")
        rows.append(TableRow(row.name, row.cells, "", row.cases))
    if not reader.cutoffs:
        rows.append(TableRow(NAME, {AUC: TableCell.of(measures.auc_of(both, NAME))}))
    if system is System.HELSINKI_DTL:
        rows.append(printed(HELSINKI_ROWS["radiologist"]))
    aucs, shares = measures.methods(both.women)
    note = (
        f"Intervals: AUC {aucs}; shares {shares}. The radiologist's AUC is of the category as an "
        "ordinal score (1 < 2 < 3 < 0 < 4A < 4 = 4B < 4C < 5): a few steps, joined by straight "
        "lines, and so lower than that of a reader with a finer scale. Models at the cut-off of "
        "their validation part."
    )
    return Table("On the same cases", PERFORMANCE, tuple(rows), note)


def _aucs(both: Scored) -> Table:
    rows = []
    for spec, found in readers.differences(both).items():
        value = TableCell()
        if found.value is not None and found.ci is not None:
            words = f"{found.value:+.3f} ({found.ci[0]:+.3f} to {found.ci[1]:+.3f})"
            value = TableCell(found.value, found.ci, text=words.replace("-", "−"))
        p = TableCell(found.delong.p, text=_p(found.delong.p)) if found.delong else TableCell()
        cells = {
            "model": TableCell.of(found.b),
            NAME: TableCell.of(found.a),
            "difference": value,
            "p": p,
        }
        rows.append(TableRow(spec, cells, "", f"{found.n_pos} + {found.n_neg}"))
    note = (
        "Difference: model less radiologist, 95 %, bootstrap over women; p: DeLong's paired test, "
        "which assumes independent cases."
    )
    return Table("AUCs, paired", ("model", NAME, "difference", "p"), tuple(rows), note)


def _matched(both: Scored) -> Table:
    columns = ("held", "share", "model", NAME, "only model right", "only radiologist right",
               "p (McNemar)", "p (GEE)")  # fmt: skip
    rows = []
    for scorer in both.scorers:
        if scorer.name == NAME:
            continue
        for cut in both.scorer(NAME).cutoffs:
            for held in (Measure.SPECIFICITY, Measure.SENSITIVITY):
                found = readers.matched(both, scorer.spec, cut, held)
                cells = dict(zip(columns, _cells(found), strict=True))
                rows.append(TableRow(f"{scorer.spec} at {cut.choice}", cells))
    note = (
        "The model's cut-off is set on these very cases so that it is no worse than the "
        "radiologist in what is held, which favours it a little. McNemar: exact, assumes "
        "independent cases; GEE by woman does not. P values are not corrected for their number."
    )
    return Table("At the radiologist's own specificity and sensitivity", columns, tuple(rows), note)


def _cells(found: MatchedReader) -> Sequence[TableCell]:
    return (
        TableCell(text=f"{TITLES[found.held]} {found.value:.3f}"),
        TableCell(text=TITLES[found.tested]),
        TableCell.of(found.of_model),
        TableCell.of(found.of_reader),
        TableCell(found.only_model, text=str(found.only_model)),
        TableCell(found.only_reader, text=str(found.only_reader)),
        TableCell(found.mcnemar_p, text=_p(found.mcnemar_p)),
        TableCell() if found.gee_p is None else TableCell(found.gee_p, text=_p(found.gee_p)),
    )


def _curves(both: Scored) -> list[DrawnCurve]:
    found = []
    for scorer in both.scorers:
        auc = measures.auc_of(both, scorer.spec)
        if scorer.name != NAME and isinstance(auc, Auc):
            curve = curves.roc(both.labels, both.scores(scorer.spec), both.women)
            found.append(DrawnCurve(scorer.spec, curve, auc))
    return found


def _marks(both: Scored) -> list[Mark]:
    labels, values = both.labels, both.scores(NAME)
    marks = []
    for cut in both.scorer(NAME).cutoffs:
        shares = measures.shares(labels, values >= cut.threshold, both.women)
        hit, cleared = shares[Measure.SENSITIVITY], shares[Measure.SPECIFICITY]
        low, high = _ends(cleared)
        at = (1 - (cleared.value or 0.0), hit.value or 0.0)
        marks.append(Mark(cut.choice, at, (1 - high, 1 - low), _ends(hit)))
    return marks


def _ends(share: Share) -> tuple[float, float]:
    return share.ci or (0.0, 1.0)


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"

"""One self-contained HTML page of an evaluation, made of scored cases and what goes with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cadnode.domain import YOUDEN, System
from cadnode.models.card import Scenario
from cadnode.statistics.binary import Measure
from cadnode_training.results import meaning, measures, plots, probabilities, reader_section
from cadnode_training.results.gallery import Group, painted
from cadnode_training.results.pages import Figure, PageItem, PageSection, render, tables_of
from cadnode_training.results.papers_tables import all_tables, performance, row_of
from cadnode_training.results.plots import ForestRow
from cadnode_training.results.scored import CHOICES, FACT_TITLES, Scored, Scorer, plain
from cadnode_training.results.tables import AUC, Table, TableCell, TableRow
from cadnode_training.statistics import curves, resample
from cadnode_training.statistics.calibration import reliability
from cadnode_training.statistics.froc import Froc

_BAND: Final = f"95 %, pointwise, {resample.REPLICATES:,} replicates over women"
_MOST_NAMED: Final = 3
GALLERY: Final = (
    "Of each outcome the surest cases and those nearest to the cut-off, by the score alone. Images "
    "that are dark all over are brightened. {0} A picture explains nothing by itself."
)


@dataclass(frozen=True, eq=False, slots=True)
class Extras:
    """What a page shows beside scores.

    Parameters
    ----------
    frocs
        Curves of the detection by name.
    features
        `(n,)` values by the name of the feature, in the order of the cases (Wang 2016, Fig. 4).
    gallery, legend
        Pictures by outcome, and what is painted on them.
    beside
        Further scores by a heading, such as a cross-validation on the same data.
    """

    frocs: Mapping[str, Froc] = field(default_factory=dict)
    features: Mapping[str, ArrayLike] = field(default_factory=dict)
    gallery: Sequence[Group] = ()
    legend: str = ""
    beside: Mapping[str, Scored] = field(default_factory=dict)


def write(
    file: Path,
    cases: Scored,
    system: System,
    *,
    scenario: Scenario | None = None,
    extras: Extras | None = None,
) -> list[Table]:
    """Write the page of an evaluation; returns its tables, for Markdown, CSV and JSON.

    Raises
    ------
    DataError
        A class has no case.
    """
    found = sections(cases, system, scenario, extras or Extras())
    names = [s.spec for s in cases.scorers]
    named = (
        ", ".join(names) if len(names) <= _MOST_NAMED else f"{names[0]} and {len(names) - 1} more"
    )
    render(file, f"{named} on {cases.data}", subtitle(cases), found)
    return tables_of(found)


def sections(
    cases: Scored, system: System, scenario: Scenario | None, extras: Extras
) -> list[PageSection]:
    """The page's sections; those that have nothing to show are left out."""
    tables = all_tables(cases, system, scenario)
    of = {
        kind: tuple(t for t in tables if t.first == kind) for kind in ("model", "pair", "stratum")
    }
    chances = (probabilities.table(cases),)
    why = "" if meaning.enough(cases) else meaning.without_calibration(cases)
    found = [
        lead(cases),
        PageSection("Performance, beside the paper", tables=of["model"]),
        PageSection("Curves", why, tuple(curve_figures(cases)), chances),
        *reader_section.sections(cases, system),
    ]
    if extras.frocs:
        caption = "Lesions found against false marks an image; the dot is at one false mark."
        found.append(PageSection("Detection", figures=(Figure(plots.froc(extras.frocs), caption),)))
    if extras.features:
        found.append(PageSection("Single features", figures=(_features(cases, extras.features),)))
    if strata := _forest(cases):
        found.append(PageSection("Strata", figures=strata, tables=of["stratum"]))
    if of["pair"]:
        found.append(PageSection("Are the models alike?", tables=of["pair"]))
    found += [_beside(title, other) for title, other in extras.beside.items()]
    if extras.gallery:
        found.append(gallery_section(extras.gallery, extras.legend))
    return [*found, PageSection("What was measured", tables=(provenance(cases),))]


def lead(cases: Scored) -> PageSection:
    """What the page is opened for: a sentence, the ROC, one table, limits."""
    first = cases.scorers[0]
    row = row_of(cases, first, YOUDEN, first.spec)
    shares = measures.shares(cases.labels, _called(cases, first), cases.women)
    text = "\n".join(
        (
            meaning.ranking(cases, first.spec, measures.auc_of(cases, first.spec)),
            meaning.calls(cases, shares[Measure.SENSITIVITY], shares[Measure.SPECIFICITY])
            if first.cutoff()
            else "",
        )
    )
    rows = (row, *(row_of(cases, s, YOUDEN, s.spec) for s in cases.scorers[1:]))
    return PageSection(
        "Result", text, (roc_figure(cases),), (lead_table(cases, rows),),
        lead=True, limits=meaning.limits(cases),
    )  # fmt: skip


def lead_table(cases: Scored, rows: Sequence[TableRow]) -> Table:
    """AUC and both shares, without the rest: two digits, as more are noise."""
    chosen = sorted({c.chosen for s in cases.scorers if (c := s.cutoff())})
    where = f" Cut-offs: {'; '.join(chosen)}." if chosen else ""
    bare = tuple(TableRow(row.name, row.cells, row.cutoff) for row in rows)
    columns = (AUC, Measure.SENSITIVITY, Measure.SPECIFICITY)
    note = f"In parentheses: 95 % intervals.{where}"
    return Table("", columns, bare, note, digits=2)


def roc_figure(cases: Scored) -> Figure:
    """The ROC of all scorers, each with a dot at its cut-off."""
    drawn = [one for s in cases.scorers if (one := _drawn(cases, s)) is not None]
    band = f" Bands: {_BAND}." if len(drawn) <= plots.BANDS else ""
    return Figure(plots.roc(drawn), f"ROC; the dot is at the cut-off.{band}")


def _drawn(cases: Scored, scorer: Scorer) -> plots.DrawnCurve | None:
    """A scorer's curve; None where a class has no case."""
    area = measures.auc_of(cases, scorer.spec)
    if area is None:
        return None
    labels, called = cases.labels, _called(cases, scorer)
    point = (float(called[~labels].mean()), float(called[labels].mean()))
    curve = curves.roc(labels, cases.scores(scorer.spec), cases.women)
    return plots.DrawnCurve(scorer.spec, curve, area, (point,) if scorer.cutoff() else ())


def _called(cases: Scored, scorer: Scorer) -> NDArray[np.bool_]:
    at = scorer.cutoff()
    called: NDArray[np.bool_] = cases.scores(scorer.spec) >= (at.threshold if at else 0.5)
    return called


def _beside(title: str, cases: Scored) -> PageSection:
    return PageSection(
        title, subtitle(cases), (roc_figure(cases), *curve_figures(cases)[:1]),
        (performance(cases), probabilities.table(cases)),
    )  # fmt: skip


def provenance(cases: Scored) -> Table:
    """Versions, weights and cut-offs of all scorers: what a repetition needs."""
    columns = ("weights (sha256)", *CHOICES)
    rows = []
    for scorer in cases.scorers:
        cells = {"weights (sha256)": TableCell(text=scorer.sha256[:16] or "–")}
        cells |= {c.choice: TableCell(text=f"≥ {c.threshold:.4g}") for c in scorer.cutoffs}
        rows.append(TableRow(scorer.spec, cells))
    chosen = sorted({c.chosen for s in cases.scorers for c in s.cutoffs})
    note = f"Cut-offs were chosen before: {'; '.join(chosen)}." if chosen else ""
    return Table("Models and their cut-offs", columns, tuple(rows), note)


def curve_figures(cases: Scored) -> list[Figure]:
    """Each ROC with its band where the lead has none, precision and recall, calibration.

    Calibration only of `meaning.enough` cases, and of scores that are probabilities.
    """
    labels = cases.labels
    drawn, recalls, measured = [], {}, {}
    for scorer in cases.scorers:
        if (one := _drawn(cases, scorer)) is None:
            continue
        drawn.append(one)
        values = cases.scores(scorer.spec)
        recalls[scorer.spec] = curves.precision_recall(labels, values)
        if scorer.calibrated and meaning.enough(cases):
            measured[scorer.spec] = reliability(labels, values)
    alone = drawn if len(drawn) > plots.BANDS else ()
    found = [
        *(Figure(plots.roc([one]), f"ROC of {one.name}; band: {_BAND}.") for one in alone),
        Figure(
            plots.precision_recall(recalls),
            "Precision and recall with the average precision; dashed: the share of positives "
            "here, which is not that of screening.",
        ),
    ]
    if measured:
        caption = "Calibration in bins of equal size, Wilson's intervals; dashed: at its word."
        found.append(Figure(plots.calibration(measured), caption))
    return found


def _features(cases: Scored, columns: Mapping[str, ArrayLike]) -> Figure:
    spec = cases.scorers[0].spec
    whole = curves.roc(cases.labels, cases.scores(spec), cases.women)
    area = measures.auc_of(cases, spec)
    assert area is not None  # the curve asked for both classes
    found = curves.single_features(cases.labels, columns)
    svg = plots.single_features(found, (spec, area, whole))
    caption = (
        f"The best of {len(found)} single features beside their combination. Each is turned the "
        "way that suits these cases, so single areas are optimistic."
    )
    return Figure(svg, caption)


def _forest(cases: Scored) -> tuple[Figure, ...]:
    """Areas of the first scorer in each stratum."""
    strata = cases.strata()
    if not strata:
        return ()
    spec = cases.scorers[0].spec
    rows = [_forest_row("all", cases, spec)]
    for name, values in strata.items():
        rows.append(ForestRow(FACT_TITLES.get(name, name), heading=True))
        rows += [_forest_row(plain(v), cases.where(name, v), spec) for v in values]
    svg = plots.forest(rows, f"AUC of {spec}", x=(0.0, 1.0), middle=0.5)
    return (Figure(svg, "AUC by stratum with positive + negative cases; dashed: guessing.", True),)


def _forest_row(name: str, cases: Scored, spec: str) -> ForestRow:
    positive = int(cases.labels.sum())
    area = measures.auc_of(cases, spec)
    note = f"{positive} + {len(cases) - positive}"
    return ForestRow(name, area.value if area else None, area.ci if area else None, note)


def gallery_section(groups: Sequence[Group], legend: str) -> PageSection:
    """Pictures under their headings."""
    shown = tuple(
        PageItem(g.name, tuple((painted(picture), line) for picture, line in g.pictures))
        for g in groups
    )
    return PageSection("How cases were read", GALLERY.format(legend), gallery=shown)


def subtitle(cases: Scored) -> str:
    """The numbers of women and cases, and the contrast."""
    return f"{meaning.counted(cases)} · {cases.contrast}"

"""One self-contained HTML page of an evaluation; the parts that all pages share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from numpy.typing import ArrayLike

from cadnode import __version__
from cadnode.domain import System
from cadnode.files import write_whole
from cadnode.models.card import Scenario
from training.evaluation import curves, measures, plots
from training.evaluation.calibration import reliability
from training.evaluation.froc import Froc
from training.evaluation.gallery import Picture, chosen, painted
from training.evaluation.papers_tables import all_tables
from training.evaluation.plots import ForestRow
from training.evaluation.scored import Scored
from training.evaluation.tables import Table

DISCLAIMER: Final = "Research use only. Not a medical device."
_LEAST: Final = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """An SVG and what it shows."""

    svg: str
    caption: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """Cases of one outcome in the gallery: (URL, line beneath) each."""

    name: str
    pictures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it."""

    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    gallery: tuple[Shown, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Extras:
    """What a page shows beside scores.

    Parameters
    ----------
    frocs
        Curves of the detection by name.
    features
        `(n,)` values by the name of the feature, in the order of the cases (Wang 2016, Fig. 4).
    pictures
        Cases for the gallery.
    """

    frocs: Mapping[str, Froc] = field(default_factory=dict)
    features: Mapping[str, ArrayLike] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()


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
    tables, more = all_tables(cases, system, scenario), extras or Extras()
    performance = [t for t in tables if t.first == "model"]
    sections = [
        Section("Performance, beside the paper", tables=tuple(performance)),
        Section("Curves", figures=tuple(curve_figures(cases))),
    ]
    if more.frocs:
        caption = "Lesions found against false marks an image; the dot is at one false mark."
        sections.append(Section("Detection", figures=(Figure(plots.froc(more.frocs), caption),)))
    if more.features:
        sections.append(Section("Single features", figures=(_features(cases, more.features),)))
    if strata := _forest(cases):
        by_stratum = tuple(t for t in tables if t.first == "stratum")
        sections.append(Section("Strata", figures=strata, tables=by_stratum))
    if pairs := tuple(t for t in tables if t.first == "pair"):
        sections.append(Section("Are the models alike?", tables=pairs))
    if more.pictures:
        sections.append(_gallery(more.pictures))
    names = ", ".join(s.spec for s in cases.scorers)
    render(file, f"Evaluation of {names}", subtitle(cases), sections)
    return tables


def curve_figures(cases: Scored) -> list[Figure]:
    """ROC with bands, precision and recall, and calibration of all scorers."""
    labels, women = cases.labels, cases.women
    rocs, recalls, measured = [], {}, {}
    for scorer in cases.scorers:
        values = cases.scores(scorer.spec)
        area = measures.area(cases, scorer.spec)
        if area is None:
            continue
        points = tuple(
            (float((values[~labels] >= c.threshold).mean()),
             float((values[labels] >= c.threshold).mean()))
            for c in scorer.cutoffs
        )  # fmt: skip
        curve = curves.roc(labels, values, women)
        rocs.append(plots.Curve(scorer.spec, curve, area, points))
        recalls[scorer.spec] = curves.precision_recall(labels, values)
        if scorer.calibrated and len(labels) >= _LEAST:
            measured[scorer.spec] = reliability(labels, values)
    band = f"bands are 95 %, pointwise, {curves.resample.REPLICATES:,} replicates over women"
    found = [
        Figure(plots.roc(rocs), f"ROC; {band}. Dots are cut-offs chosen on validation."),
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
    area = measures.area(cases, spec)
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
        rows.append(ForestRow(name, heading=True))
        rows += [_forest_row(v, cases.where(name, v), spec) for v in values]
    svg = plots.forest(rows, f"AUC of {spec}", x=(0.0, 1.0), middle=0.5)
    return (Figure(svg, "AUC by stratum with positive + negative cases; dashed: guessing.", True),)


def _forest_row(name: str, cases: Scored, spec: str) -> ForestRow:
    positive = int(cases.labels.sum())
    area = measures.area(cases, spec)
    note = f"{positive} + {len(cases) - positive}"
    return ForestRow(name, area.value if area else None, area.ci if area else None, note)


def _gallery(pictures: Sequence[Picture]) -> Section:
    shown = []
    for outcome, of_it in chosen(pictures).items():
        total = sum(p.outcome is outcome for p in pictures)
        lines = tuple((painted(p), f"{p.score:.2f} (cut-off {p.threshold:.2f})") for p in of_it)
        shown.append(Shown(f"{outcome.value}: {len(of_it)} of {total}", lines))
    text = (
        "Of each outcome the surest cases. Red is where the network found what raised its score; "
        "the white frame is the lesion. A map does not outline a lesion."
    )
    return Section("How cases were read", text, gallery=tuple(shown))


def subtitle(cases: Scored) -> str:
    """The data, the contrast and the numbers of cases."""
    positive = int(cases.labels.sum())
    counted = f"{positive} positive and {len(cases) - positive} negative {cases.unit}"
    return f"{cases.data} · {cases.contrast} · {counted}"


def render(file: Path, title: str, below: str, sections: Sequence[Section]) -> None:
    """Write a page with its style inside; `below` stands under the title."""
    environment = Environment(
        loader=PackageLoader("training.evaluation"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = Markup
    context: dict[str, Any] = {
        "title": title,
        "subtitle": below,
        "disclaimer": DISCLAIMER,
        "sections": sections,
        "version": __version__,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    page = environment.get_template("report.html.jinja").render(context)
    write_whole(file, page.encode())

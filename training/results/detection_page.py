"""How detection results become a page: FROC with its band, sensitivities, sizes, marks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cadnode.domain import FindingKind
from cadnode.errors import DataError
from cadnode.models import store
from cadnode.models.card import DetectorCard, MassFinderCard
from cadnode.models.detector import Detector
from cadnode.terminal import counted
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.sets import pisa_calcifications as pisa
from cadnode_training.papers.detection import cases, evaluate, rois
from cadnode_training.papers.detection.cases import DetectionCases
from cadnode_training.results import detection_reading, measures, plots, probabilities, report
from cadnode_training.results.detection_reading import Lesion, OfKind
from cadnode_training.results.pages import Figure, PageItem, PageSection, render, tables_of
from cadnode_training.results.papers_tables import performance
from cadnode_training.results.scored import Cutoff, Scorer, key, scored
from cadnode_training.results.tables import Table, TableCell, TableRow
from cadnode_training.statistics import resample
from cadnode_training.statistics.froc import Froc, band, froc

RATES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
NAMES: Final = {
    FindingKind.CALCIFICATION_CLUSTER: "calcification clusters",
    FindingKind.MASS: "masses",
}
_GRID: Final = tuple(np.linspace(0, 4, 41).tolist())
_SIZES: Final = ((0.0, 10.0, "under 10 mm"), (10.0, 20.0, "10–20 mm"), (20.0, 1e9, "20 mm or more"))
_EACH: Final = 6
_LIMITS: Final = (
    "Images with a lesion are more frequent here than in screening, where most marks are false.",
    "An image without any mark is no finding of health.",
)


def reads(folders: Sequence[Path]) -> bool:
    """Whether the first of the models is a detector."""
    return isinstance(store.read_card(folders[0]), DetectorCard | MassFinderCard)


def write(
    file: Path, data: str, model: Path | None = None, cache: ReadCache | None = None
) -> list[Table]:
    """Write the page of a detector (the packaged one by default); returns its tables.

    Parameters
    ----------
    file
        The HTML file.
    data
        `phantom:N`, `mini-mias:PATH` or `pisa-calcifications:PATH`.
    model
        Folder with `card.json`.
    cache
        What this command has read already; it is added to.

    Raises
    ------
    DataError, ModelError
        The data or the model are not what they should be.
    """
    folder, masses = evaluate.models(model)
    detector = evaluate.load_detector(folder)
    kind, _, where = data.partition(":")
    if kind == pisa.NAME and where:
        return _of_regions(file, Path(where).expanduser(), detector, _seen(folder))
    source = cases.open_cases(kind, where)
    read = detection_reading.read(source, detector, cache, masses=masses)
    found = {k: f for k, f in read.items() if _usable(f)}
    if not found:
        raise DataError("a FROC needs lesions with a position, and images without any")
    known = _seen(folder)
    women = {m.group for f in found.values() for m in f.marks}
    seen = sum(store.woman_key(kind, woman) in known for woman in women)
    sections = _sections(source, found, _mark_at(detector), len(women), seen)
    images = max(len(f.marks) for f in found.values())
    lesions = ", ".join(f"{len(f.lesions)} {NAMES[k]}" for k, f in found.items())
    below = f"{counted(len(women), 'woman', 'women')} · {counted(images, 'image')} · {lesions}"
    render(file, f"{_named(detector)} on {source.name}", below, sections)
    return tables_of(sections)


def _sections(
    source: DetectionCases,
    found: Mapping[FindingKind, OfKind],
    mark_at: float,
    women: int,
    seen: int,
) -> list[PageSection]:
    curves = {NAMES[k]: froc(f.marks) for k, f in found.items()}
    bands = {NAMES[k]: (_GRID, *band(f.marks, _GRID)) for k, f in found.items()}
    figure = Figure(
        plots.froc(curves, bands),
        "Lesions found against false marks an image, bands 95 %, pointwise, 1,000 replicates over "
        "women; the dot is at one false mark.",
    )
    contrasts = " ".join(f"{NAMES[k].capitalize()}: {source.contrast[k]}." for k in found)
    warned = (
        f"{seen} of {women} women were in the filter's training: these numbers are not of unseen "
        "images."
        if seen
        else f"None of the {women} women was in the filter's training."
    )
    rates, marked = _rates(curves, found), _as_marked(found, mark_at)
    text = "\n".join([*(_meaning(row) for row in marked.rows), warned])
    drawn = ("Images are drawn: nothing follows from them for women.",)
    return [
        PageSection(
            "Result", text, (figure,),
            (Table("As the node marks", marked.columns, marked.rows, marked.note, "kind", 2),),
            lead=True, limits=(*(drawn if source.name.startswith("phantom") else ()), *_LIMITS),
        ),
        PageSection("Free-response ROC", contrasts, tables=(rates, marked)),
        PageSection("Lesions by size", tables=(_by_size(found, mark_at),)),
        *(_gallery(NAMES[k], f, mark_at) for k, f in found.items()),
    ]  # fmt: skip


def _meaning(row: TableRow) -> str:
    """A row of what the node marks, as a sentence."""
    hit, false = row.cells["sensitivity"], row.cells["false marks an image"]
    if hit.value is None or false.value is None:
        return f"{row.name.capitalize()} cannot be rated on these images."
    ends = f" ({100 * hit.ci[0]:.0f}–{100 * hit.ci[1]:.0f})" if hit.ci else ""
    return (
        f"Of 100 {row.name} the node marks {100 * hit.value:.0f}{ends}, with "
        f"{false.words(2)} false marks in each image that has none."
    )


def _rates(curves: Mapping[str, Froc], found: Mapping[FindingKind, OfKind]) -> Table:
    """Sensitivity at fixed numbers of false marks an image."""
    columns = tuple(f"at {rate:g}" for rate in RATES)
    rows = []
    for kind, of_kind in found.items():
        curve = curves[NAMES[kind]]
        low, high = band(of_kind.marks, RATES)
        cells = {
            column: TableCell(curve.sensitivity_at(rate), (float(a), float(b)))
            for column, rate, a, b in zip(columns, RATES, low, high, strict=True)
        }
        rows.append(
            TableRow(
                NAMES[kind],
                cells,
                "",
                f"{counted(curve.n_lesions, 'lesion')}, {counted(curve.n_images, 'image')}",
            )
        )
    note = (
        "Images: those without such a lesion, of which false marks are counted. Intervals: 95 %, "
        "bootstrap over women, 1,000 replicates; the threshold that gives so many false marks is "
        "found again in each; one from 1 to 1 means that no replicate missed a lesion, not that "
        "none can be missed. These thresholds are chosen on these very images."
    )
    return Table("Sensitivity at so many false marks an image", columns, tuple(rows), note, "kind")


def _as_marked(found: Mapping[FindingKind, OfKind], mark_at: float) -> Table:
    """Results at the certainty from which the node marks, chosen beforehand."""
    rows = []
    for kind, of_kind in found.items():
        free = [m for m in of_kind.marks if m.counts_false]
        false = np.array([sum(v >= mark_at for v in m.false_marks) for m in free])
        cells = {
            "sensitivity": _found(of_kind.lesions, mark_at),
            "false marks an image": _mean(false, np.array([m.group for m in free])),
            "images without any": TableCell.of(
                measures.by_woman(false == 0, np.array([m.group for m in free]))
            ),
        }
        rows.append(
            TableRow(NAMES[kind], cells, f"≥ {mark_at:.2f}", f"{len(of_kind.lesions)} lesions")
        )
    columns = ("sensitivity", "false marks an image", "images without any")
    note = (
        "At the certainty from which on the node marks, chosen before on other images. Intervals: "
        "95 %; shares GEE by woman, the mean bootstrap over women."
    )
    return Table("As the node marks", columns, tuple(rows), note, "kind")


def _by_size(found: Mapping[FindingKind, OfKind], mark_at: float) -> Table:
    rows = []
    for kind, of_kind in found.items():
        for low, high, name in _SIZES:
            part = [x for x in of_kind.lesions if low <= x.diameter_mm < high]
            cell = {"sensitivity": _found(part, mark_at)}
            rows.append(
                TableRow(f"{NAMES[kind]}, {name}", cell, f"≥ {mark_at:.2f}", str(len(part)))
            )
    note = "Diameter of the circle (or box) that the data gives. Intervals: 95 %, GEE by woman."
    return Table("Found, by size", ("sensitivity",), tuple(rows), note, "lesions")


def _found(lesions: Sequence[Lesion], mark_at: float) -> TableCell:
    hit = np.array([x.certainty is not None and x.certainty >= mark_at for x in lesions], bool)
    return TableCell.of(measures.by_woman(hit, [x.group for x in lesions]))


def _mean(values: np.ndarray, groups: np.ndarray) -> TableCell:
    """The mean with a percentile interval over resampled women."""
    weights = resample.drawn(groups)
    return TableCell(
        float(values.mean()), resample.interval(list(weights @ values / weights.sum(1)))
    )


def _gallery(name: str, of_kind: OfKind, mark_at: float) -> PageSection:
    hit = [x for x in of_kind.lesions if x.certainty is not None and x.certainty >= mark_at]
    missed = [x for x in of_kind.lesions if x not in hit]
    hit.sort(key=lambda x: -(x.certainty or 0))
    missed.sort(key=lambda x: x.certainty or 0)
    false = sorted(of_kind.false_marks, reverse=True)
    shown = (
        _shown("found, the surest", hit[:_EACH], len(hit)),
        _shown("found, the least certain", hit[_EACH:][-_EACH:][::-1], len(hit)),
        _shown("missed, the least certain first", missed[:_EACH], len(missed)),
        PageItem(
            f"false marks, the most certain: {len(false)} of {of_kind.seen} at any certainty",
            tuple((url, f"{certainty:.2f}") for certainty, _, url in false),
        ),
    )
    text = (
        "White: the lesion as the data has it; yellow: the mark. Lesions are ordered by the "
        "certainty of the best mark on them, nothing is picked by hand."
    )
    return PageSection(name.capitalize(), text, gallery=tuple(s for s in shown if s.pictures))


def _shown(name: str, lesions: Sequence[Lesion], total: int) -> PageItem:
    lines = tuple(
        (x.picture, "no mark" if x.certainty is None else f"{x.certainty:.2f}") for x in lesions
    )
    return PageItem(f"{name}: {len(lesions)} of {total}", lines)


def _usable(found: OfKind) -> bool:
    return bool(found.lesions) and any(m.counts_false for m in found.marks)


def _of_regions(
    file: Path, folder: Path, detector: Detector | None, known: frozenset[str]
) -> list[Table]:
    """Regions with calcifications against regions without, by the most certain candidate."""
    scorer = _scorer(detector)
    read = [(r, image) for r in pisa.read(folder) if (image := pisa.load(r)) is not None]
    values = [rois.certainty(image, pisa.SPACING_MM, detector) for _, image in read]
    rows: list[tuple[str, str, bool, dict[str, str]]] = [
        (key(pisa.NAME, r.woman, n), key(pisa.NAME, r.woman), r.positive, {})
        for n, (r, _) in enumerate(read)
    ]
    head = (pisa.NAME, "regions with calcifications against regions without", "regions")
    found = scored(head, [scorer], {scorer.spec: values}, rows)
    women = {r.woman for r, _ in read}
    seen = sum(store.woman_key(pisa.NAME, woman) in known for woman in women)
    text = f"{seen} of {len(women)} women were in the filter's training."
    figures = tuple(report.curve_figures(found)[:1])
    sections = [
        report.lead(found),
        PageSection("Regions", text, figures, (performance(found), probabilities.table(found))),
    ]
    render(file, f"{scorer.spec} on {found.data}", report.subtitle(found), sections)
    return tables_of(sections)


def _scorer(detector: Detector | None) -> Scorer:
    if detector is None:
        return Scorer("candidates without a filter")
    chosen = (Cutoff("youden", detector.card.mark_at, "as the node marks, by its card"),)
    card = detector.card
    return Scorer(card.name, card.version, card.weights_sha256, chosen)


def _seen(folder: Path | None) -> frozenset[str]:
    return frozenset(store.seen_women(folder)) if folder else frozenset()


def _mark_at(detector: Detector | None) -> float:
    return detector.card.mark_at if detector is not None else 0.5


def _named(detector: Detector | None) -> str:
    if detector is None:
        return "candidates without a filter"
    return f"{detector.card.name}@{detector.card.version}"

"""How the papers' figures are drawn: SVG of what `curves`, `calibration` and `froc` return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cadnode.html.svg import COLOURS, DIM, INK, Chart
from cadnode.statistics.auc import Auc, Floats
from cadnode_training.statistics.calibration import Reliability
from cadnode_training.statistics.curves import GRID, PrecisionRecall, RocCurve
from cadnode_training.statistics.froc import Froc

BANDS: Final = 2
"""How many bands one plot holds: three cannot be told apart."""
_DASHES: Final = ("", "7 4", "2 3", "11 4 2 4", "5 2", "1 5", "14 4")
_TENTHS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_ROW: Final = 20


@dataclass(frozen=True, slots=True)
class DrawnCurve:
    """A ROC curve with its name and AUC, and points (false positive rate, sensitivity) on it."""

    name: str
    curve: RocCurve
    auc: Auc
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A reader's point: false positive rate and sensitivity, with their intervals."""

    name: str
    at: tuple[float, float]
    fpr_ci: tuple[float, float]
    sensitivity_ci: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A value with its interval, None where unknown. A `heading` has a line of its own."""

    name: str
    value: float | None = None
    ci: tuple[float, float] | None = None
    note: str = ""
    heading: bool = False


def roc(curves: Sequence[DrawnCurve], marks: Sequence[Mark] = ()) -> str:
    """ROC curves with bands (Kang 2021, Fig. 1b; Wang 2016, Fig. 5) and dots at cut-offs.

    Several curves differ in colour and in dashes, and have letters (A, B, …); of up to `BANDS`
    curves the bands are drawn, the first filled, the second hatched. Readers are diamonds on
    crosses of their intervals, each with its name.
    """
    chart = _unit_square("1 − specificity", "sensitivity")
    chart.line([(0, 0), (1, 1)], DIM, dash="1 4", width=1)
    drawn = [*zip(_colours(len(curves)), curves, strict=True)]
    dashes = _dashes(len(curves))
    for place, (colour, one) in enumerate(drawn if len(curves) <= BANDS else ()):
        ends = (GRID.tolist(), one.curve.low, one.curve.high)
        _band(chart, ends, colour, hatched=place > 0)
    for dash, (colour, one) in zip(dashes, drawn, strict=True):
        chart.line(zip(one.curve.fpr, one.curve.tpr, strict=True), colour, dash=dash)
        for x, y in one.points:
            chart.point(x, y, colour)
    for mark in marks:
        _mark(chart, mark)
    letters = [f"{chr(ord('A') + place)}  " for place in range(len(curves))]
    if len(curves) == 1:
        letters = [""]
    else:
        _letters(chart, drawn)
    words = [
        f"{letter}{c.name} {c.auc.value:.2f} ({_ends(c.auc)})"
        for letter, c in zip(letters, curves, strict=True)
    ]
    chart.legend([*zip(_colours(len(curves)), words, strict=True)], dashes)
    return chart.svg("ROC curves: " + ", ".join([*words, *(m.name for m in marks)]))


def _band(chart: Chart, band: "Band", colour: str, *, hatched: bool) -> None:
    """The band, filled, or as its edges with upright strokes between: readable without colours."""
    at, *ends = band
    low, high = ([*zip(at, end, strict=True)] for end in ends)
    if not hatched:
        chart.area([*low, *reversed(high)], colour)
        return
    for edge in (low, high):
        chart.line(edge, colour, width=0.8)
    for below, above in zip(low[1::2], high[1::2], strict=True):
        chart.line([below, above], colour, width=0.5)


def _letters(chart: Chart, drawn: Sequence[tuple[str, DrawnCurve]]) -> None:
    """A letter beside each curve, where the others are farthest."""
    inside = GRID[4:80]
    levels = np.stack([np.interp(inside, c.curve.fpr, c.curve.tpr) for _, c in drawn])
    taken: list[tuple[float, float]] = []
    for place, (colour, _) in enumerate(drawn):
        others = np.delete(levels, place, axis=0)
        apart = np.abs(others - levels[place]).min(axis=0)
        for x, y in taken:
            near = (np.abs(inside - x) < 0.08) & (np.abs(levels[place] - y) < 0.12)
            apart = np.where(near, -1.0, apart)
        at = int(np.argmax(np.minimum(apart, 0.15)))
        x, y = float(inside[at]), float(levels[place, at])
        taken.append((x, y))
        across, up = chart.at(x, y)
        above = y >= others[:, at].mean()
        pixel = (across - 9, up - 6) if above else (across + 9, up + 15)
        chart.text(
            pixel, chr(ord("A") + place), anchor="middle", colour=colour, bold=True, rim=True
        )


def _mark(chart: Chart, mark: Mark) -> None:
    x, y = mark.at
    chart.line([(low_or_high, y) for low_or_high in mark.fpr_ci], INK, width=1)
    chart.line([(x, low_or_high) for low_or_high in mark.sensitivity_ci], INK, width=1)
    chart.diamond(x, y, INK)
    across, up = chart.at(x, y)
    on_right = x < 0.6
    place = (across + (9 if on_right else -9), up + (16 if y > 0.9 else -9))
    chart.text(place, mark.name, anchor="start" if on_right else "end")


def precision_recall(curves: Mapping[str, PrecisionRecall]) -> str:
    """Precision over recall; the dashed line is that of guessing."""
    chart = _unit_square("recall (sensitivity)", "precision (PPV)")
    words = []
    dashes = _dashes(len(curves))
    for dash, colour, (name, one) in zip(
        dashes, _colours(len(curves)), curves.items(), strict=True
    ):
        chart.line([(0, one.prevalence), (1, one.prevalence)], DIM, dash="3 4", width=1)
        recall = np.concatenate([[0.0], one.recall])
        precision = np.concatenate([one.precision[:1], one.precision])
        chart.line(_steps(recall, precision), colour, dash=dash)
        words.append(f"{name} {one.average:.3f}")
    chart.legend([*zip(_colours(len(curves)), words, strict=True)], dashes)
    return chart.svg("Precision and recall: " + ", ".join(words))


def calibration(measured: Mapping[str, Reliability]) -> str:
    """Share that was positive over the mean probability of each bin, with Wilson's intervals."""
    chart = _unit_square("mean probability", "share positive")
    chart.line([(0, 0), (1, 1)], DIM, dash="3 4", width=1)
    words: list[str] = []
    dashes = _dashes(len(measured))
    for colour, (name, one) in zip(_colours(len(measured)), measured.items(), strict=True):
        bins = [b for b in one.bins if b.share.value is not None and b.share.ci is not None]
        dash = dashes[len(words)]
        for b in bins:
            low, high = b.share.ci or (0.0, 1.0)
            chart.line([(b.mean_probability, low), (b.mean_probability, high)], colour, width=1)
        line = [(b.mean_probability, b.share.value or 0.0) for b in bins]
        chart.line(line, colour, dash=dash, width=1.5)
        for b in bins:
            chart.point(b.mean_probability, b.share.value or 0.0, colour, size=3.5)
        words.append(f"{name}: ECE {one.ece:.3f}, Brier {one.brier:.3f}")
    chart.legend([*zip(_colours(len(measured)), words, strict=True)], dashes)
    return chart.svg("Calibration: " + ", ".join(words))


Band = tuple[Sequence[float], Floats, Floats]


def froc(
    curves: Mapping[str, Froc], bands: Mapping[str, Band] | None = None, *, most: float = 4.0
) -> str:
    """Sensitivity over false marks an image, up to `most`; a dot at one false mark.

    `bands` holds places on the axis, and the lower and the upper end at each.
    """
    chart = Chart(x=(0.0, most))
    chart.axes(np.linspace(0, most, 5).tolist(), _TENTHS, "false marks an image", "sensitivity")
    words: list[str] = []
    dashes = _dashes(len(curves))
    for place, (colour, name) in enumerate(zip(_colours(len(curves)), curves, strict=True)):
        if bands and name in bands:
            _band(chart, bands[name], colour, hatched=place > 0)
    for colour, (name, one) in zip(_colours(len(curves)), curves.items(), strict=True):
        inside = one.fp_per_image <= most
        fp = np.concatenate([[0.0], one.fp_per_image[inside], [most]])
        found = np.concatenate([[0.0], one.sensitivity[inside], one.sensitivity[inside][-1:]])
        chart.line(_steps(fp[: len(found)], found, rises=True), colour, dash=dashes[len(words)])
        chart.point(1.0, one.sensitivity_at(1.0), colour)
        words.append(f"{name} {one.sensitivity_at(1.0):.2f} at 1")
    chart.legend([*zip(_colours(len(curves)), words, strict=True)], dashes)
    return chart.svg("FROC: " + ", ".join(words))


def single_features(
    found: Mapping[str, tuple[Auc, Floats, Floats]],
    combined: tuple[str, Auc, RocCurve],
    *,
    most: int = 6,
) -> str:
    """The best single features beside their combination (Wang 2016, Fig. 4)."""
    chart = _unit_square("1 − specificity", "sensitivity")
    chart.line([(0, 0), (1, 1)], DIM, dash="3 4", width=1)
    best = [*found.items()][:most]
    colours = (INK, *_colours(most))
    words = [f"{combined[0]} {combined[1].value:.3f}"]
    for colour, (name, (auc, fpr, tpr)) in zip(colours[1:], best, strict=False):
        chart.line(zip(fpr, tpr, strict=True), colour, width=1.2)
        words.append(f"{name} {auc.value:.3f}")
    chart.line(zip(combined[2].fpr, combined[2].tpr, strict=True), INK, width=2.5)
    chart.legend([*zip(colours, words, strict=False)])
    return chart.svg("ROC curves of single features: " + ", ".join(words))


def forest(rows: Sequence[ForestRow], label: str, *, x: tuple[float, float], middle: float) -> str:
    """Values with intervals, a line at `middle` (guessing, or no difference)."""
    height = _ROW * len(rows) + 62
    chart = Chart(
        x=x, y=(0, max(1, len(rows))), width=820, height=height, margins=(230, 8, 270, 46)
    )
    chart.axes(np.round(np.linspace(*x, 5), 4).tolist(), [], label, "")
    chart.line([(middle, 0), (middle, len(rows))], DIM, dash="3 4", width=1)
    for place, row in enumerate(rows):
        level = len(rows) - place - 0.5
        y = chart.at(x[0], level)[1] + 4
        if row.heading:
            chart.text((10, y), row.name, bold=True)
            continue
        chart.text((24, y), row.name)
        if row.ci is not None:
            low, high = (min(max(b, x[0]), x[1]) for b in row.ci)
            chart.line([(low, level), (high, level)], COLOURS[1], width=1.6)
        if row.value is not None:
            chart.point(min(max(row.value, x[0]), x[1]), level, COLOURS[1], size=4.5)
        chart.text((chart.width - 256, y), _in_words(row), colour=DIM)
        chart.text((chart.width - 92, y), row.note, colour=DIM)
    return chart.svg(f"{label}, by stratum")


def _in_words(row: ForestRow) -> str:
    if row.value is None:
        return "–"
    ci = f" ({row.ci[0]:.2f} to {row.ci[1]:.2f})" if row.ci else ""
    return f"{row.value:.3f}{ci}".replace("-", "−")


def _ends(auc: Auc) -> str:
    return "–".join(f"{end:.2f}" for end in auc.ci) if auc.ci else "no interval"


def _unit_square(x_label: str, y_label: str) -> Chart:
    chart = Chart()
    chart.axes(_TENTHS, _TENTHS, x_label, y_label)
    return chart


def _colours(count: int) -> tuple[str, ...]:
    """As many colours as there are curves: blue, orange, …, black the last."""
    ordered = (*COLOURS[1:], COLOURS[0])
    return tuple(ordered[i % len(ordered)] for i in range(count))


def _dashes(count: int) -> list[str]:
    """As many kinds of lines; the first is solid."""
    return [_DASHES[place % len(_DASHES)] for place in range(count)]


def _steps(x: Floats, y: Floats, *, rises: bool = False) -> list[tuple[float, float]]:
    """Corners of a step function: `rises` holds y until the next x, else y is held back to it."""
    if rises:
        corners = [(float(x[0]), float(y[0]))]
        for i in range(1, len(x)):
            corners += [(float(x[i]), float(y[i - 1])), (float(x[i]), float(y[i]))]
        return corners
    corners = []
    for i in range(1, len(x)):
        corners += [(float(x[i - 1]), float(y[i])), (float(x[i]), float(y[i]))]
    return corners

"""Recall rate and AUC month by month as pictures, with their 95 % intervals as bands."""

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import Markup

from cadnode.html.svg import COLOURS, DIM, GRID, Chart
from cadnode.quality.performance import Performance

_WIDTH, _HEIGHT = 430, 190
_MARGINS: Final = (46, 12, 12, 28)
_LABELS: Final = 6

Say = Callable[[str], str]
MonthValue = tuple[str, float | None, tuple[float, float] | None]


def recall(months: Sequence[Performance], say: Say) -> Markup:
    """The share of exams that were called, by month."""
    values = [(m.group, m.recall.value, m.recall.ci) if m.recall else _none(m) for m in months]
    tops = [ci[1] for _, _, ci in values if ci]
    top = next((end for end in (0.1, 0.2, 0.4, 0.6, 0.8) if max([*tops, 0.02]) <= end), 1.0)
    return _drawn(values, (0.0, top), say("Recall rate by month, with its 95 % interval"))


def aucs(months: Sequence[Performance], say: Say) -> Markup:
    """The AUC of exams whose outcome is known, by month."""
    values = [(m.group, m.auc.value, m.auc.ci) if m.auc else _none(m) for m in months]
    lowest = min([ci[0] for _, _, ci in values if ci], default=1.0)
    low = next((end for end in (0.4, 0.2) if lowest >= end), 0.0)
    return _drawn(values, (low, 1.0), say("AUC by month, with its 95 % interval"))


def _none(month: Performance) -> MonthValue:
    return month.group, None, None


def _drawn(values: Sequence[MonthValue], ends: tuple[float, float], title: str) -> Markup:
    last = max(1, len(values) - 1)
    chart = Chart(x=(-0.3, last + 0.3), y=ends, width=_WIDTH, height=_HEIGHT, margins=_MARGINS)
    low, high = ends
    for tick in (low, (low + high) / 2, high):
        chart.line([(chart.x[0], tick), (chart.x[1], tick)], GRID, width=1)
        x, y = chart.at(chart.x[0], tick)
        chart.text((x - 6, y + 4), f"{tick:.2f}", anchor="end", colour=DIM)
    for place in range(0, len(values), -(-len(values) // _LABELS)):
        x, y = chart.at(place, low)
        chart.text((x, y + 18), values[place][0], anchor="middle", colour=DIM)
    for run in _runs(values):
        upper = [(place, min(high, ci[1])) for place, _, ci in run]
        lower = [(place, max(low, ci[0])) for place, _, ci in run]
        if len(run) > 1:
            chart.area([*upper, *reversed(lower)], COLOURS[1])
            chart.line([(place, value) for place, value, _ in run], COLOURS[1], width=1.5)
        for place, value, ci in run:
            chart.line([(place, max(low, ci[0])), (place, min(high, ci[1]))], DIM, width=1)
            chart.point(place, value, COLOURS[1], size=2.8)
    return Markup(chart.svg(title))


def _runs(
    values: Sequence[MonthValue],
) -> list[list[tuple[int, float, tuple[float, float]]]]:
    """Months that follow each other and have a value: a line is not drawn across a gap."""
    runs: list[list[tuple[int, float, tuple[float, float]]]] = [[]]
    for place, (_, value, ci) in enumerate(values):
        if value is None or ci is None:
            runs.append([])
        else:
            runs[-1].append((place, value, ci))
    return [run for run in runs if run]

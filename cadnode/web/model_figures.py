"""What a card measured as pictures: its ROC curve, how often scores are right, AUCs, agreement.

All intervals of shares are Wilson's (Wilson, JASA 1927;22:209-212), 95 %.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from cadnode.html.svg import COLOURS, DIM, Chart
from cadnode.statistics.wilson import wilson_interval
from cadnode.web.language import current
from cadnode.web.models import AgreementShown, CurveShown, MetricShown, ModelShown, PointShown

_TENTHS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_BINS: Final = 8
_ROW: Final = 34


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """Cases whose scores lie from `low` to below `high`: how many, and how many positive."""

    low: float
    high: float
    n_pos: int
    n: int

    @property
    def share(self) -> float:
        """The share of positives."""
        return self.n_pos / self.n


def bins_of(curve: CurveShown, most: int = _BINS) -> list[ScoreBin]:
    """Scores in about equal parts, counted from what a curve says of its thresholds.

    Between two neighbouring thresholds lie as many positives as sensitivity rises, and as many
    negatives as specificity falls.
    """
    least = max(1, (curve.n_pos + curve.n_neg) // most)
    found: list[ScoreBin] = []
    high, pos, n = 1.0, 0, 0
    for (_, sens, spec), (low, sens_now, spec_now) in pairwise(curve.points):
        more_pos = round((sens_now - sens) * curve.n_pos)
        pos, n = pos + more_pos, n + more_pos + round((spec - spec_now) * curve.n_neg)
        if n >= least:
            found.append(ScoreBin(low, high, pos, n))
            high, pos, n = low, 0, 0
    if n:
        found.append(ScoreBin(curve.points[-1][0], high, pos, n))
    return found[::-1]


def roc(model: ModelShown) -> Markup:
    """The curve, with its operating point and that one's intervals."""
    assert model.card is not None
    curve, chart = model.card.curve, _square(_say("1 − specificity"), _say("sensitivity"))
    chart.line([(0, 0), (1, 1)], DIM, dash="3 4", width=1)
    chart.line([(1 - spec, sens) for _, sens, spec in curve.points], COLOURS[1])
    used = next(point for point in model.card.points if point.is_used)
    _point(chart, curve, used)
    chart.legend(
        [
            (
                COLOURS[1],
                _say(
                    "%(n_pos)s positive, %(n_neg)s negative", n_pos=curve.n_pos, n_neg=curve.n_neg
                ),
            ),
            (
                COLOURS[2],
                _say(
                    "%(choice)s: score from %(threshold)s on",
                    choice=used.choice,
                    threshold=_three(used.threshold),
                ),
            ),
        ]
    )
    return Markup(
        chart.svg(
            _say("ROC curve of %(model)s on %(data)s", model=model.spec, data=curve.measured_on)
        )
    )


def _point(chart: Chart, curve: CurveShown, point: PointShown) -> None:
    x, y = 1 - point.specificity, point.sensitivity
    across = wilson_interval(x, curve.n_neg)
    up = wilson_interval(y, curve.n_pos)
    chart.line([(end, y) for end in across], COLOURS[2], width=1.5)
    chart.line([(x, end) for end in up], COLOURS[2], width=1.5)
    chart.point(x, y, COLOURS[2], size=5)


def calibration(model: ModelShown) -> Markup:
    """The share of positives over scores, in bins; on the dotted line scores are right."""
    assert model.card is not None
    chart = _square(_say("score"), _say("share positive"))
    chart.line([(0, 0), (1, 1)], DIM, dash="3 4", width=1)
    for one in bins_of(model.card.curve):
        middle = (one.low + one.high) / 2
        chart.line([(one.low, one.share), (one.high, one.share)], COLOURS[1], width=2)
        chart.line(
            [(middle, end) for end in wilson_interval(one.share, one.n)], COLOURS[1], width=1
        )
        chart.point(middle, one.share, COLOURS[1], size=3.5)
    return Markup(
        chart.svg(_say("Share of positives over the scores of %(model)s", model=model.spec))
    )


def measured(metrics: Sequence[MetricShown], spec: str) -> Markup:
    """Each measured AUC with its interval, on what and of how many; a line at 0.5, guessing."""
    rows = len(metrics)
    chart = Chart(
        x=(0.4, 1.0), y=(0, max(1, rows)), width=860, height=_ROW * rows + 60,
        margins=(330, 10, 190, 46),
    )  # fmt: skip
    chart.axes([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], [], _say("AUC (95 %% interval)"), "")
    chart.line([(0.5, 0), (0.5, rows)], DIM, dash="3 4", width=1.5)
    for place, one in enumerate(metrics):
        level = rows - place - 0.5
        y = chart.at(0.5, level)[1]
        chart.text((8, y - 2), _short(one.name, 48))
        chart.text((8, y + 12), _short(one.data, 52), colour=DIM)
        low, high = (min(max(end, 0.4), 1.0) for end in one.auc_ci)
        chart.line([(low, level), (high, level)], COLOURS[1], width=2)
        chart.point(min(max(one.auc, 0.4), 1.0), level, COLOURS[1], size=4.5)
        words = f"{_three(one.auc)} ({_three(one.auc_ci[0])}–{_three(one.auc_ci[1])})"
        chart.text((682, y - 2), words)
        chart.text(
            (682, y + 12), f"{one.n_pos} + {one.n_neg} {current().said(one.unit)}", colour=DIM
        )
    return Markup(chart.svg(_say("Measured AUCs of %(model)s", model=spec)))


def scatter(row: AgreementShown) -> Markup:
    """The shadow's score over the active one's, a dot an exam."""
    chart = _square(_say("active: score"), _say("shadow: score"))
    chart.line([(0, 0), (1, 1)], DIM, dash="3 4", width=1)
    for active, shadow in row.pairs:
        chart.point(active, shadow, COLOURS[1], size=3)
    return Markup(
        chart.svg(
            _say("Scores in shadow mode, exams: %(n)s, %(system)s", n=row.n, system=row.system)
        )
    )


def bland_altman(row: AgreementShown) -> Markup:
    """Differences over means, with the mean difference and the limits of agreement."""
    differences = [abs(shadow - active) for active, shadow in row.pairs]
    edge = max([0.05, *differences, *(abs(end) for end in row.limits or ())])
    chart = Chart(y=(-edge, edge))
    ticks = [-edge, -edge / 2, 0.0, edge / 2, edge]
    chart.axes(
        _TENTHS, [round(t, 3) for t in ticks], _say("mean of both"), _say("shadow less active")
    )
    for level, colour, dash in _lines(row):
        chart.line([(0, level), (1, level)], colour, dash=dash, width=1.5)
    for active, shadow in row.pairs:
        chart.point((active + shadow) / 2, shadow - active, COLOURS[1], size=3)
    return Markup(
        chart.svg(
            _say("Bland and Altman's plot, exams: %(n)s, %(system)s", n=row.n, system=row.system)
        )
    )


def _lines(row: AgreementShown) -> Iterator[tuple[float, str, str]]:
    yield 0.0, DIM, "3 4"
    if row.mean_difference is not None:
        yield row.mean_difference, COLOURS[2], ""
    for limit in row.limits or ():
        yield limit, COLOURS[2], "6 4"


def _square(x_label: str, y_label: str) -> Chart:
    chart = Chart()
    chart.axes(_TENTHS, _TENTHS, x_label, y_label)
    return chart


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _say(text: str, **values: object) -> str:
    """A label in the page's language."""
    return current().text(text) % values


def _three(value: float) -> str:
    return current().number(value, 3)

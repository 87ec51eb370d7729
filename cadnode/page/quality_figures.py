"""A scanner's scores week by week as pictures: the mean, and the share of called exams.

The band is where a week's value lies nineteen times in twenty without any change, for as many exams
as that week has: it is wide in quiet weeks. The dots' bars are 95 % intervals.
"""

import re
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Final

from markupsafe import Markup

from cadnode.html.svg import COLOURS, DIM, GRID, INK, Chart
from cadnode.quality.overview import SystemDrift, WeekPoint
from cadnode.quality.statistics import CalledShare

_Z95: Final = 1.959963984540054
_WIDTH, _HEIGHT = 430, 190
_MARGINS: Final = (46, 12, 12, 28)
_TICKS: Final = 4
_LABEL: Final = 72.0  # width of a date, with room beside it

_VARIABLE: Final = re.compile(r"var\(--[a-z0-9]+,\s*(#[0-9a-f]{3,6})\)")

Say = Callable[[str], str]


def as_it_is(text: str) -> str:
    """The text itself, where a page is English."""
    return text


def on_paper(picture: Markup) -> Markup:
    """The picture with the colours of paper: WeasyPrint knows no variables in SVG."""
    return Markup(_VARIABLE.sub(r"\1", picture))


def means(one: SystemDrift, say: Say = as_it_is) -> Markup:
    """Mean score of exams by week, over the band of the baseline."""
    weeks = [week for week in one.weeks if week.mean is not None]
    base = one.baseline
    tops = [week.mean or 0.0 for week in weeks] + [(base.mean or 0.0) + (base.sd or 0.0) / 2]
    chart = _chart(weeks, _top(tops))
    if base.mean is not None and base.sd is not None and base.n > 1:
        half = [_Z95 * base.sd * sqrt(1 / max(1, w.n_scored) + 1 / base.n) for w in weeks]
        _band(chart, weeks, [(base.mean - h, base.mean + h) for h in half])
        _level(chart, weeks, base.mean)
    _weekly(chart, weeks, [week.mean or 0.0 for week in weeks])
    return Markup(chart.svg(say("Mean score of exams by week, and the band of the baseline")))


def called(one: SystemDrift, say: Say = as_it_is) -> Markup:
    """Share of exams that reach the operating point by week, over the band of the baseline."""
    weeks, base = one.weeks, one.baseline.called
    tops = [week.called.share for week in weeks] + [base.interval[1]]
    chart = _chart(weeks, _top(tops))
    if base.n:
        _band(chart, weeks, [_expected(base, week.n) for week in weeks])
        _level(chart, weeks, base.share)
    for place, week in enumerate(weeks):
        low, high = week.called.interval
        chart.line([(place, low), (place, min(high, chart.y[1]))], DIM, width=1)
    _weekly(chart, weeks, [week.called.share for week in weeks])
    return Markup(chart.svg(say("Share of called exams by week, and the band of the baseline")))


def _expected(base: CalledShare, n: int) -> tuple[float, float]:
    """Where the share of `n` exams lies nineteen times in twenty, if nothing has changed."""
    share = (base.k + 1) / (base.n + 2)  # of none of few, too, some more would not surprise
    half = _Z95 * sqrt(share * (1 - share) * (1 / max(1, n) + 1 / base.n))
    return share - half, share + half


def _chart(weeks: Sequence[WeekPoint], top: float) -> Chart:
    """The plane: places of weeks from left to right, and their axes."""
    last = max(1, len(weeks) - 1)
    chart = Chart(
        x=(-0.3, last + 0.3), y=(0.0, top), width=_WIDTH, height=_HEIGHT, margins=_MARGINS
    )  # fmt: skip
    for tick in (0.0, top / 2, top):
        chart.line([(chart.x[0], tick), (chart.x[1], tick)], GRID, width=1)
        x, y = chart.at(chart.x[0], tick)
        chart.text((x - 6, y + 4), f"{tick:.2f}", anchor="end", colour=DIM)
    places = _places(len(weeks))
    first, last_date = (chart.at(place, 0.0)[0] for place in (0, places[-1]))
    between = first + 1.5 * _LABEL, last_date - 1.5 * _LABEL  # free of the outer dates
    for place in places:
        x, y = chart.at(place, 0.0)
        is_last = place == places[-1] and place > 0
        anchor = "end" if is_last else "middle" if place else "start"
        if is_last or not place or between[0] <= x <= between[1]:
            chart.text((x, y + 18), f"{weeks[place].monday:%Y-%m-%d}", anchor=anchor, colour=DIM)
    return chart


def _places(n: int) -> list[int]:
    """A few places, the first and the last among them."""
    if n <= _TICKS:
        return list(range(n))
    return sorted({round(step * (n - 1) / (_TICKS - 1)) for step in range(_TICKS)})


def _band(chart: Chart, weeks: Sequence[WeekPoint], edges: Sequence[tuple[float, float]]) -> None:
    if len(weeks) < 2:
        return
    low, high = chart.y
    upper = [(place, min(high, edge[1])) for place, edge in enumerate(edges)]
    lower = [(place, max(low, edge[0])) for place, edge in enumerate(edges)]
    chart.area([*upper, *reversed(lower)], COLOURS[3], opacity=0.2)


def _level(chart: Chart, weeks: Sequence[WeekPoint], level: float) -> None:
    if len(weeks) > 1:
        chart.line([(0, level), (len(weeks) - 1, level)], COLOURS[3], dash="4 3", width=1)


def _weekly(chart: Chart, weeks: Sequence[WeekPoint], values: Sequence[float]) -> None:
    if len(weeks) > 1:
        chart.line(list(enumerate(values)), COLOURS[1], width=1.5)
    for place, value in enumerate(values):
        chart.point(place, value, COLOURS[1], size=2.8)
    if not weeks:
        chart.text((_WIDTH / 2, _HEIGHT / 2), "–", anchor="middle", colour=INK)


def _top(values: Sequence[float]) -> float:
    """The upper end of an axis: a round number above all values."""
    most = max([*values, 0.02]) * 1.15
    return next((end for end in (0.05, 0.1, 0.2, 0.4, 0.6, 0.8) if most <= end), 1.0)

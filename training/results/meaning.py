"""What measured numbers mean, in sentences that need no statistics, and how far they hold."""

from typing import Final

from cadnode.statistics.auc import Auc
from cadnode.statistics.binary import Share
from cadnode_training.results.scored import NOT_STATED, Scored

ENOUGH: Final = 50
"""Cases of each class from which on a calibration is shown, and cases are not called few.

Choice: with 50 cases of each class a bin of ten has 10 cases, whose Wilson interval is 0.5 wide at
worst; with fewer, a plot of the bins shows noise.
"""
_SCANNERS: Final = ("vendor", "machine", "digitizer", "site")


def enough(cases: Scored) -> bool:
    """Whether both classes have `ENOUGH` cases."""
    positive = int(cases.labels.sum())
    return min(positive, len(cases) - positive) >= ENOUGH


def counted(cases: Scored) -> str:
    """`240 women · 60 positive and 180 negative breasts`."""
    positive = int(cases.labels.sum())
    women = len({*cases.women.tolist()})
    drawn = "drawn " if _is_drawn(cases) else ""
    return (
        f"{women} {drawn}{'woman' if women == 1 else 'women'} · {positive} positive and "
        f"{len(cases) - positive} negative {cases.unit}"
    )


def ranking(cases: Scored, spec: str, area: Auc | None) -> str:
    """An AUC as pairs that are ranked rightly (Hanley and McNeil 1982, Radiology 143:29)."""
    one = cases.unit.removesuffix("s")
    if area is None:
        return f"{spec} cannot be rated: one of the two classes has no case."
    found = (
        f"Of 100 pairs of a positive and a negative {one}, {spec} ranks the positive one higher in "
        f"{_of_100(area.value)}{_between(area.ci)}; guessing does in 50."
    )
    if area.ci and area.ci[0] <= 0.5 <= area.ci[1]:
        return f"{found} The interval includes guessing."
    return found


def calls(cases: Scored, sensitivity: Share, specificity: Share) -> str:
    """How many of each class are called at the cut-off."""
    false = None
    if specificity.value is not None:
        ends = specificity.ci
        false = (1 - specificity.value, (1 - ends[1], 1 - ends[0]) if ends else None)
    true = None if sensitivity.value is None else (sensitivity.value, sensitivity.ci)
    parts = [
        f"{_of_100(share[0])}{_between(share[1])} of 100 {name}"
        for share, name in ((true, "positive"), (false, "negative"))
        if share is not None
    ]
    return f"At its cut-off it calls {' and '.join(parts)} {cases.unit}." if parts else ""


def difference(
    cases: Scored, a: str, b: str, areas: tuple[float, float], ci: tuple[float, float] | None
) -> str:
    """B beside A in pairs, and whether chance explains the difference."""
    one = cases.unit.removesuffix("s")
    change = round(areas[1], 2) - round(areas[0], 2)  # of what is shown: readers subtract
    found = (
        f"Of 100 pairs of a positive and a negative {one}, A ({a}) ranks the positive one higher "
        f"in {_of_100(areas[0])} and B ({b}) in {_of_100(areas[1])}: {_more(change)}"
    )
    if ci is None:
        return f"{found}. How sure that is cannot be stated on these women."
    found += f" (95 % interval {_more(ci[0])} to {_more(ci[1])})."
    if ci[0] <= 0 <= ci[1]:
        return f"{found} Chance alone can explain this difference."
    if not enough(cases):  # a bootstrap's interval is too narrow then
        return f"{found} On so few cases that does not exclude chance."
    return f"{found} Chance alone is an unlikely explanation."


def limits(cases: Scored) -> tuple[str, ...]:
    """What to know before the numbers are used, the gravest first."""
    positive, found = int(cases.labels.sum()), []
    if _is_drawn(cases):
        found.append("These images are drawn: nothing follows from them for women.")
    if not enough(cases):
        found.append(
            f"Few cases ({positive} positive, {len(cases) - positive} negative): read the "
            "intervals, not the figures."
        )
    if mixed := [name for name in _SCANNERS if len({*cases.values(name)} - {NOT_STATED}) > 1]:
        found.append(
            f"Cases come from more than one {' and '.join(mixed)}. Where positive ones are more "
            "frequent on one, part of the AUC is due to that: see the strata."
        )
    found.append(
        f"{100 * positive / len(cases):.0f} % of these cases are positive, of women in screening "
        "fewer than 1 %: predictive values do not carry over."
    )
    found.append("A score orders cases. It is no probability of cancer.")
    return tuple(found)


def without_calibration(cases: Scored) -> str:
    """Why no calibration is shown."""
    positive = int(cases.labels.sum())
    return (
        f"Calibration is shown from {ENOUGH} cases of each class on; here are {positive} positive "
        f"and {len(cases) - positive} negative ones."
    )


def _is_drawn(cases: Scored) -> bool:
    return cases.data.startswith("phantom")


def _of_100(share: float) -> str:
    return f"{100 * share:.0f}"


def _between(ci: tuple[float, float] | None) -> str:
    return f" ({_of_100(ci[0])}–{_of_100(ci[1])})" if ci else ""


def _more(change: float) -> str:
    """`3 more`, `1 fewer`, `as many`."""
    pairs = round(100 * change)
    if not pairs:
        return "as many"
    return f"{abs(pairs)} {'more' if pairs > 0 else 'fewer'}"

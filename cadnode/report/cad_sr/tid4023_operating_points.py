"""CAD operating points (TID 4023): steps on the ROC curve of an algorithm's card."""

from collections.abc import Sequence
from typing import Final

from pydicom.sr.coding import Code

from cadnode.domain import OperatingCurve
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.edition import Edition
from cadnode.report.sr import items
from cadnode.report.sr.items import Item

MOST_POINTS: Final = 10


Point = tuple[float, float, float]


def curve_of(edition: Edition, algorithm: str) -> OperatingCurve | None:
    """The curve of a model that took part; None for ensembles, which no card has measured."""
    model = edition.model(algorithm)
    return model.curve if model else None


def steps(curve: OperatingCurve) -> tuple[Point, ...]:
    """At most ten of the points: the ends, the chosen one, others evenly between.

    Step 0 has the highest specificity (PS3.16 annex D, 111071).
    """
    last = len(curve.points) - 1
    evenly = {round(i * last / (MOST_POINTS - 1)) for i in range(MOST_POINTS)}
    best = _nearest(curve.points, curve.threshold)
    inner = sorted(evenly - {0, best, last}, key=lambda i: abs(i - best))
    if best not in evenly and len(evenly) == MOST_POINTS:
        evenly.remove(inner[0])
    return tuple(curve.points[i] for i in sorted({best, *evenly}))


def chosen_step(curve: OperatingCurve) -> int:
    """The step whose threshold is the settings' choice."""
    return _nearest(steps(curve), curve.threshold)


def step_of(curve: OperatingCurve, probability: float) -> int:
    """The first step at which a finding of that probability is shown; the last if none is."""
    thresholds = [threshold for threshold, _, _ in steps(curve)]
    reached = (i for i, threshold in enumerate(thresholds) if probability >= threshold)
    return next(reached, len(thresholds) - 1)


def _nearest(points: Sequence[Point], threshold: float) -> int:
    return min(range(len(points)), key=lambda i: abs(points[i][0] - threshold))


def _axes(curve: OperatingCurve) -> tuple[Code, Code]:
    """(specificity, sensitivity) as CID 6048 has them.

    Choice: CID 6048 has no word for a breast or for a region alone, and admits no other. A
    breast, whose views are scored together, stands as the case ("collection of images CAD
    processed as a group"); a region, which is scored by itself, as the image. Each point's
    description states it.
    """
    if curve.of_breasts:
        return concepts.CASE_SPECIFICITY, concepts.CASE_SENSITIVITY
    return concepts.IMAGE_SPECIFICITY, concepts.LESION_SENSITIVITY


def operating_points(curve: OperatingCurve | None) -> list[Item]:
    """TID 4023 of an algorithm; nothing where its card's curve is not known."""
    if curve is None:
        return []
    shown = steps(curve)
    x, y = _axes(curve)
    table = [
        items.code(items.CONTAINS, concepts.X_CONCEPT, x),
        items.code(items.CONTAINS, concepts.Y_CONCEPT, y),
        *(_point(curve, step, point) for step, point in enumerate(shown)),
    ]
    maximum = len(shown) - 1
    return [
        items.number(
            items.PROPERTIES, concepts.MAXIMUM_OPERATING_POINT, maximum, concepts.ARBITRARY_UNIT
        ),
        items.number(
            items.PROPERTIES,
            concepts.RECOMMENDED_OPERATING_POINT,
            chosen_step(curve),
            concepts.FROM_ZERO,
        ),
        items.container(items.PROPERTIES, concepts.OPERATING_POINT_TABLE, table),
    ]


def _point(curve: OperatingCurve, step: int, point: Point) -> Item:
    """One row of the table: what it means, then its place on both axes in percent."""
    threshold, sensitivity, specificity = point
    x, y = _axes(curve)
    text = (
        f"from {threshold:.4g} on (0 to 1), counted by "
        f"{'breast, or exam by the higher one' if curve.of_breasts else 'region'}; "
        f"{curve.measured_on}; {curve.n_pos} positive, {curve.n_neg} negative"
    )
    return items.number(
        items.CONTAINS,
        concepts.OPERATING_POINT,
        step,
        concepts.FROM_ZERO,
        [
            items.text(items.PROPERTIES, concepts.OPERATING_POINT_DESCRIPTION, text),
            items.number(items.PROPERTIES, x, 100 * specificity, codes.PERCENT),
            items.number(items.PROPERTIES, y, 100 * sensitivity, codes.PERCENT),
        ],
    )

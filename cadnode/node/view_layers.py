"""What the systems found, as layers over a view: heat maps as pictures, findings as outlines."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from cadnode.domain import ExamResult, Finding, HeatMap
from cadnode.explain import ramp
from cadnode.explain.overlay import display_size
from cadnode.explain.smooth import shown
from cadnode.page.crops import is_of_region, map_label
from cadnode.page.pictures import map_webp
from cadnode.report.edition import ENSEMBLE
from cadnode.report.wording import KIND_NAMES
from cadnode.web.viewing import ShownOutline

MAP_SIDE: Final = 1024


def map_names(result: ExamResult, sop_instance_uid: str) -> tuple[str, ...]:
    """Algorithms that have maps of a view, the joint one first, then by their systems."""
    found = {m.algorithm for m in result.heat_maps if m.sop_instance_uid == sop_instance_uid}
    return tuple(sorted(found, key=lambda name: (name != ENSEMBLE, map_label(result, name))))


def map_picture(
    result: ExamResult, sop_instance_uid: str, algorithm: str, shape: tuple[int, int]
) -> bytes:
    """An algorithm's maps of a view as one WebP that covers the view, transparent where low.

    `shape` is the view's (rows, columns). Where regions' maps lie over each other the highest value
    counts, as in the joint map. The hottest paint is opaque: a viewer's slider dims it.
    """
    size = display_size(*shape, MAP_SIDE)
    values, of_region = np.zeros(size, np.float32), is_of_region(result, algorithm)
    for one in _maps(result.heat_maps, sop_instance_uid, algorithm):
        values = np.maximum(values, shown(one, shape, size, of_region=of_region))
    return map_webp(ramp.painted(values))


def _maps(maps: Sequence[HeatMap], uid: str, algorithm: str) -> list[HeatMap]:
    return [m for m in maps if m.sop_instance_uid == uid and m.algorithm == algorithm]


def outlines(result: ExamResult, sop_instance_uid: str) -> tuple[ShownOutline, ...]:
    """The findings in a view, by their numbers in the report."""
    return tuple(
        _outline(number, finding)
        for number, finding in enumerate(result.findings, start=1)
        if finding.sop_instance_uid == sop_instance_uid
    )


def _outline(number: int, finding: Finding) -> ShownOutline:
    label = f"{number} · {finding.probability:.2f}"
    points = tuple((float(column), float(row)) for row, column in finding.outline)
    scores = tuple((one.system.value, one.probability) for one in finding.assessments)
    return ShownOutline(str(number), label, KIND_NAMES[finding.kind], points, scores)

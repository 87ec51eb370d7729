"""Regions that people drew in viewers: asked about when their object comes to a study that is read.

The whole study is read again for them, too, when it has been quiet (docs/regions.md); that takes
its time, and the answer to the region does not wait for it.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cadnode.exam.exam import Exam, Mammogram, PersonRegion
from cadnode.log import get_logger, hashed
from cadnode.node import results
from cadnode.node.asked_regions import AskedRegions, RegionOrder, region_name
from cadnode.node.results import Results

MOST_AT_ONCE: Final = 10  # of one object; more are somebody's archive, and are read with the exam

log = get_logger("worker")


class RegionMarks:
    """Turns what people drew into regions to assess."""

    def __init__(
        self,
        kept: Results,
        *,
        files: Callable[[str], Sequence[Path]],
        exams: Callable[[str, Sequence[Path]], tuple[Exam, ...]],
    ) -> None:
        self._results = kept
        self._regions = AskedRegions(kept)
        self._files, self._exams = files, exams

    def take(self, study: str) -> list[tuple[str, int]]:
        """Names of the regions that are new, and how often each was asked about.

        None while the study has no reading, and none that its newest one has assessed already.
        """
        newest = self._results.predecessor(study, "")
        if not newest:
            return []
        found: list[tuple[str, int]] = []
        known = {_drawn(order) for order in self._regions.of_study(study)}
        parts = results.exam_folders(self._results.of_content(study, newest))
        for exam in self._exams(study, self._files(study)) if parts else ():
            views = {m.sop_instance_uid: m for m in exam.mammograms}
            for region in exam.regions:
                part = _part_of(parts, region.sop_instance_uid)
                if part is None or not region.reference.sop_instance_uid or _is_read(part, region):
                    continue
                name = str(part.relative_to(self._results.of_study(study)))
                if len(found) == MOST_AT_ONCE:
                    break
                order = _order(name, region, views[region.sop_instance_uid])
                if _drawn(order) in known:  # also of an earlier reading, or refused with a reason
                    continue
                kept, is_new = self._regions.put(study, order)
                if is_new:
                    found.append((kept.region, kept.tries))
        if found:
            log.info("regions_marked", study=study, count=len(found))
        return found


def _drawn(order: RegionOrder) -> tuple[object, ...]:
    """What of an order is the same, whichever reading it belongs to."""
    return order.source, order.view, order.points


def _part_of(parts: Sequence[Path], uid: str) -> Path | None:
    return next((part for part in parts if uid in results.instances_of(part)), None)


def _is_read(part: Path, region: PersonRegion) -> bool:
    """Whether the reading in `part` has a finding of that very object and place."""
    try:
        findings = results.load_reading(part).findings
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return any(
        f.marked_by is not None
        and f.marked_by.sop_instance_uid == region.reference.sop_instance_uid
        and (f.sop_instance_uid, f.box) == (region.sop_instance_uid, region.box)
        for f in findings
    )


def _order(exam: str, region: PersonRegion, mammogram: Mammogram) -> RegionOrder:
    points = tuple((round(col, 2), round(row, 2)) for row, col in region.outline)
    source, view = hashed(region.reference.sop_instance_uid), mammogram.path.stem
    return RegionOrder(
        region_name(exam, view, points, source), view,
        f"{mammogram.laterality} {mammogram.view}", points, False, exam, time.time(), source,
    )  # fmt: skip

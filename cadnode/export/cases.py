"""The views of a folder of DICOM files, as a bundle's data set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cadnode.errors import SettingsError
from cadnode.exam.exam import Exam, Mammogram, PersonRegion
from cadnode.exam.markings.regions import parse_roi
from cadnode.exam.read import read_exams
from cadnode.reading.views import hanging_order


@dataclass(frozen=True, eq=False, slots=True)
class ExportCase:
    """One view of an exam, and the regions that people marked on it."""

    exam: Exam
    mammogram: Mammogram
    regions: tuple[PersonRegion, ...]


def exams(folder: str | Path, rois: Sequence[str] = ()) -> tuple[Exam, ...]:
    """The exams in a folder, as `cadnode read` finds them.

    Parameters
    ----------
    folder
        Searched for DICOM files.
    rois
        Further regions, `VIEW:row0,col0,row1,col1` (`exam.markings.regions.parse_roi`).

    Raises
    ------
    SettingsError
        There is no such folder, a region is not written as it should be, or there are regions and
        several exams.
    """
    if not Path(folder).exists():
        raise SettingsError(f"there is no {folder}")
    found = read_exams([Path(folder)])
    if rois and len(found) != 1:
        raise SettingsError(f"rois want one exam, but {len(found)} were found")
    return tuple(
        replace(e, regions=(*e.regions, *(parse_roi(text, e) for text in rois))) for e in found
    )


def cases(found: Iterable[Exam]) -> list[ExportCase]:
    """Every view of the exams; CC before MLO, right before left, as the node orders them."""
    return [
        ExportCase(
            exam, m, tuple(r for r in exam.regions if r.sop_instance_uid == m.sop_instance_uid)
        )
        for exam in found
        for m in sorted(exam.mammograms, key=hanging_order)
    ]

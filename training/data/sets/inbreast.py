"""INbreast: `INbreast.csv`, `AllDICOMs/<file>_<patient>_MG_<side>_<view>_ANON.dcm`, `AllXML`.

Moreira IC et al., Acad Radiol 2012;19:236-248: 410 digital views (Siemens MammoNovation, 70 µm)
of 108 women, contours drawn in OsiriX. Labels come from BI-RADS (`birads.surrogate`): the release
has no histology for every case.
"""

import plistlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import floor
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from cadnode.domain import Acquisition, Box
from cadnode.errors import DataError
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.dicom_facts import iso_date
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.tables import find_table, read_rows
from cadnode_training.data.views import left_out

NAME: Final = "inbreast"
ACQUISITION: Final = Acquisition.DIGITAL
SPACING_MM: Final = 0.07
_COLUMNS: Final = ("Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
_VIEWS: Final = {"CC": "CC", "MLO": "MLO", "ML": "ML", "FB": "FB"}
# OsiriX' names of contours in AllXML, in all their spellings; what is not here is no region.
_KINDS: Final[Mapping[str, str]] = {
    "mass": m.MASS, "spiculated region": m.MASS, "espiculated region": m.MASS,
    "cluster": m.CALCIFICATION, "calcifications": m.CALCIFICATION,
    "asymmetry": m.ASYMMETRY, "assymetry": m.ASYMMETRY, "asimmetry": m.ASYMMETRY,
    "distortion": m.DISTORTION,
}  # fmt: skip
_SINGLE: Final = ("calcification", "unnamed", "point 1", "point 3")
_POINT: Final = re.compile(r"\(?\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*\)?")


@dataclass(frozen=True, slots=True)
class Contour:
    """A contour's kind in the manifest's words ("" for a single calcification), and its box."""

    kind: str
    box: Box


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each outlined lesion; for a view without any, one row; `tick` after each view.

    Single calcifications are no rows: there are thousands, of a pixel or two. A view that has
    only such is a whole view with calcifications.

    Raises
    ------
    DataError
        The table is missing or lacks columns, or none of its images is there.
    """
    table = _table(folder)
    files = {p.name.split("_")[0]: p for p in sorted(folder.rglob("*.dcm"))}
    rows: list[ManifestRow] = []
    reasons: list[str] = []
    for line in read_rows(table, _COLUMNS):
        name = line["File Name"].removesuffix(".0")
        if not name.isdigit():
            continue  # the two lines of totals at the end
        tick()
        if name not in files:
            reasons.append("image missing")
            continue
        contours = read_contours(folder / "AllXML" / f"{name}.xml")
        if contours is None:
            reasons.append("contours cannot be read")
            continue
        rows += _rows(line, files[name], contours)
    if not rows:
        raise DataError(f"{table.name} names no image that is there")
    return Manifest(tuple(rows), left_out(reasons))


def read_contours(path: Path) -> tuple[Contour, ...] | None:
    """The contours of an OsiriX property list; () without a file, None when it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return ()
    try:
        content = plistlib.loads(data)
        rois = [roi for image in content["Images"] for roi in image["ROIs"]]
        found = [_contour(roi) for roi in rois]
    except (plistlib.InvalidFileException, ExpatError, KeyError, TypeError, ValueError):
        return None
    return tuple(contour for contour in found if contour is not None)


def _contour(roi: Mapping[str, Any]) -> Contour | None:
    name = " ".join(str(roi.get("Name", "")).lower().split())
    matches = [_POINT.fullmatch(str(point).strip()) for point in roi.get("Point_px", ())]
    points = [(float(p[2]), float(p[1])) for p in matches if p is not None]
    if not points or (name not in _KINDS and name not in _SINGLE and name):
        return None
    rows, columns = zip(*points, strict=True)
    # The pixel that holds a point (x, y) is (floor y, floor x).
    box = Box(
        max(floor(min(rows)), 0), max(floor(min(columns)), 0),
        max(floor(max(rows)), 0) + 1, max(floor(max(columns)), 0) + 1,
    )  # fmt: skip
    return Contour(_KINDS.get(name, ""), box)


def _table(folder: Path) -> Path:
    if (folder / "INbreast.xls").is_file() and not (folder / "INbreast.csv").is_file():
        raise DataError("INbreast.xls is Excel's old format: save it as INbreast.csv or .xlsx")
    return find_table(folder, ("INbreast.csv", "INbreast.xlsx"))


def _rows(line: Mapping[str, str], image: Path, contours: Sequence[Contour]) -> list[ManifestRow]:
    date = iso_date(line["Acquisition date"].removesuffix(".0"))
    woman = image.name.split("_")[1]
    category = birads.category(line["Bi-Rads"])
    regions = [contour for contour in contours if contour.kind]
    numbers = count(1)

    def row(kind: str, box: Box | None) -> ManifestRow:
        return ManifestRow(
            image=image,
            dataset=NAME,
            woman=woman,
            exam=f"{woman} {date}".strip(),
            exam_date=date,
            laterality=line["Laterality"],
            view=_VIEWS.get(line["View"], ""),
            box=box,
            label=birads.surrogate(category),
            birads=category,
            density=birads.density(line["ACR"]),
            age=birads.age(line.get("Patient age", "")),
            vendor="siemens",
            lesion=f"{line['View']} {next(numbers)}" if box else "",
            lesion_kind=kind,
            size_mm=_size_mm(box) if box else None,
            spacing_mm=SPACING_MM,
        )

    if regions:
        return [row(region.kind, region.box) for region in regions]
    return [row(m.CALCIFICATION if contours else "", None)]


def _size_mm(box: Box) -> float:
    """The longer side of the box; the contour's diameter is at most 1.41 times that."""
    return max(box.row1 - box.row0, box.col1 - box.col0) * SPACING_MM

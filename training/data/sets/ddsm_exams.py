"""`ddsm-exams`: four-view film exams of DDSM, `exams.csv`; lesions' boxes in `boxes.csv`.

The digitizer's letter follows the exam's class, so the comparison that counts is the malignant
breast against the same woman's other breast: the same film, the same digitizer.

`boxes.csv`, which may be missing, has `image, row0, col0, row1, col1, kind`: edges as shares of the
image's height and width. Only those of malignant breasts that are said to be malignant are taken.
"""

import math
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, Box, FloatImage, Laterality
from cadnode.errors import DataError
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import ViewRecord, ViewSet, left_out, read_grey

NAME: Final = "ddsm-exams"
_VIEWS = ("l_cc", "l_mlo", "r_cc", "r_mlo")
_SIDES = {"l": (Laterality.LEFT, "left"), "r": (Laterality.RIGHT, "right")}
_COLUMNS = ("exam_id", "exam_class", "digitizer", "left_malignant", "right_malignant", *_VIEWS)
_BOXES: Final = "boxes.csv"
_EDGES = ("row0", "col0", "row1", "col1")


def read(folder: Path) -> ViewSet:
    """The views that can be scored; missing files are left out.

    So is an exam that is listed twice with different labels (ten of DDSM's are): which
    one holds is unknown.

    Raises
    ------
    DataError
        `exams.csv` is missing or lacks columns, no view is usable, or `boxes.csv` is damaged.
    """
    boxes = _boxes(folder)
    records, reasons = [], []
    rows = {tuple(row.items()): row for row in read_rows(folder / "exams.csv", _COLUMNS)}
    listed = Counter(row["exam_id"] for row in rows.values())
    for row in rows.values():
        for column in _VIEWS:
            if not row["exam_id"]:
                reasons.append("woman unknown")
            elif listed[row["exam_id"]] > 1:
                reasons.append("exam listed twice with different labels")
            elif not row[column] or not (folder / row[column]).is_file():
                reasons.append("file missing")
            elif row[f"{_SIDES[column[0]][1]}_malignant"] not in ("0", "1"):
                reasons.append("label unknown")
            else:
                records.append(_record(row, column, folder, boxes.get(row[column], ())))
    if not records:
        raise DataError("exams.csv names no usable view")
    return ViewSet(NAME, Acquisition.FILM, tuple(records), left_out(reasons))


def load(record: ViewRecord) -> FloatImage | None:
    """`(H, W) float32 in [0, 1]`, dense tissue bright; None when the file cannot be read."""
    return read_grey(record.path)


def _boxes(folder: Path) -> dict[str, tuple[Box, ...]]:
    """Malignant boxes of each image, in its pixels."""
    found: dict[str, tuple[Box, ...]] = {}
    if not (folder / _BOXES).is_file():
        return found
    shape = cache(lambda name: _shape(folder / name))
    for line, row in enumerate(read_rows(folder / _BOXES, ("image", *_EDGES, "kind")), 2):
        if row["kind"] != "malignant":
            continue
        of_image = shape(row["image"])
        if of_image is None:
            continue  # and is left out as a view
        box = _box(row, of_image)
        if box is None:
            raise DataError(f"{_BOXES}, line {line}: no box in shares of the image, 0 to 1")
        found[row["image"]] = (*found.get(row["image"], ()), box)
    return found


def _shape(path: Path) -> tuple[int, int] | None:
    image = read_grey(path)
    return None if image is None else (image.shape[0], image.shape[1])


def _box(row: dict[str, str], shape: tuple[int, int]) -> Box | None:
    try:
        row0, col0, row1, col1 = (float(row[edge]) for edge in _EDGES)
    except ValueError:
        return None
    if not (0 <= row0 < row1 <= 1 and 0 <= col0 < col1 <= 1):
        return None
    rows, cols = shape
    return Box(
        math.floor(row0 * rows), math.floor(col0 * cols),
        math.ceil(row1 * rows), math.ceil(col1 * cols),
    )  # fmt: skip


def _record(row: dict[str, str], column: str, folder: Path, boxes: tuple[Box, ...]) -> ViewRecord:
    laterality, side = _SIDES[column[0]]
    words = row.get(f"{side}_lesions") or ""
    kinds = [kind for kind, word in (("mass", "MASS"), ("calcification", "CALC")) if word in words]
    return ViewRecord(
        dataset=NAME,
        woman=row["exam_id"],
        laterality=laterality,
        view=column.split("_")[1].upper(),
        path=folder / row[column],
        cancer=row[f"{side}_malignant"] == "1",
        boxes=boxes if row[f"{side}_malignant"] == "1" else (),
        exam_class=row["exam_class"],
        stratum=row["digitizer"],
        facts=(
            ("digitizer", row["digitizer"]),
            ("lesion", " and ".join(kinds) or "other"),
            ("subtlety", row.get("min_subtlety") or ""),
        ),
    )

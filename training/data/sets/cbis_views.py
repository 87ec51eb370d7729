"""`cbis-mass-views`: 800 × 800 pixels (stretched) of the films of CBIS-DDSM that show masses.

`views.csv` has `image, woman, laterality, view, boxes, label, assessment, shape, margins, density,
subtlety, ddsm_view`; `boxes` are `row0,col0,row1,col1` in pixels, several with `;` between. The
label and the words are those of the view: where it shows several masses, of all of them.

CBIS-DDSM's women are DDSM's. A woman's part is that of her DDSM exam (`cbis_masses`), so a woman
who trains one film model tests no other.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, Box
from cadnode.errors import DataError
from cadnode.models.store import woman_key
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.sets import cbis_ddsm, cbis_masses, ddsm_exams
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out, part_of

NAME: Final = "cbis-mass-views"
ACQUISITION: Final = Acquisition.FILM
ROW_MM: Final = 0.30
"""Estimated size of a row: the films were 24 cm high, most of them; a column has about 0.18 mm."""
_COLUMNS: Final = (
    "image", "woman", "laterality", "view", "boxes", "label", "assessment", "shape", "margins",
    "density", "ddsm_view",
)  # fmt: skip
_LABELS: Final = (m.MALIGNANT, m.BENIGN)


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each box of a mass, its part included.

    Raises
    ------
    DataError
        `views.csv` is missing or lacks columns, or no view is usable.
    """
    table = read_rows(folder / "views.csv", _COLUMNS)
    exams = _exams_of_women(table)
    rows: list[ManifestRow] = []
    reasons = []
    for line in table:
        tick()
        boxes = _boxes(line["boxes"])
        if reason := _unfit(line, folder, exams, boxes):
            reasons.append(reason)
        else:
            keys = keys_of(line["woman"], exams.get(line["woman"], ()))
            rows += [_row(folder, line, box, n, keys[0]) for n, box in enumerate(boxes, 1)]
    if not rows:
        raise DataError("views.csv names no usable view")
    return Manifest(tuple(rows), left_out(reasons))


def keys_of_women(folder: Path) -> dict[str, tuple[str, ...]]:
    """Every key under which a woman of the folder is known in the film sets, by her number.

    The first of them decides her part.

    Raises
    ------
    DataError
        As `read`.
    """
    table = read_rows(folder / "views.csv", _COLUMNS)
    exams = _exams_of_women(table)
    women = dict.fromkeys(row["woman"] for row in table if row["woman"])
    return {woman: keys_of(woman, exams.get(woman, ())) for woman in women}


def keys_of(woman: str, exams: tuple[str, ...]) -> tuple[str, ...]:
    """A woman's keys in this set, in the others of CBIS-DDSM and as exams of DDSM."""
    own = tuple(woman_key(name, woman) for name in (NAME, cbis_masses.NAME, cbis_ddsm.NAME))
    # Of several exams the first by its name decides, as for the regions.
    return (*(woman_key(ddsm_exams.NAME, exam) for exam in exams), *own)


def _exams_of_women(table: Iterable[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for row in table:
        if row["woman"] and row["ddsm_view"]:
            found.setdefault(row["woman"], set()).add(row["ddsm_view"].partition("_")[0])
    return {woman: tuple(sorted(exams)) for woman, exams in found.items()}


def _boxes(text: str) -> list[Box]:
    """The boxes of a cell; none where one of them is not four numbers that enclose something."""
    try:
        found = [Box(*map(int, part.split(","))) for part in text.split(";")]
    except (ValueError, TypeError):
        return []
    return found if all(b.row0 < b.row1 and b.col0 < b.col1 for b in found) else []


def _unfit(
    line: Mapping[str, str], folder: Path, exams: Mapping[str, tuple[str, ...]], boxes: list[Box]
) -> str:
    """Why a view cannot be used; "" if it can."""
    if not line["woman"]:
        return "woman unknown"
    if line["label"] not in _LABELS:
        return "label unknown"
    if cbis_masses.DEMO_EXAM in exams.get(line["woman"], ()):
        return "of the demo's exam"
    if not boxes:
        return "no box"
    return "" if line["image"] and (folder / line["image"]).is_file() else "file missing"


def _row(folder: Path, line: Mapping[str, str], box: Box, number: int, key: str) -> ManifestRow:
    return ManifestRow(
        image=folder / line["image"], dataset=NAME, woman=line["woman"],
        laterality=line["laterality"] if line["laterality"] in ("L", "R") else "",
        view=line["view"] if line["view"] in m.VOCABULARIES["view"] else "",
        box=box, label=line["label"], pathology=line["label"], lesion=f"{number}",
        lesion_kind=m.MASS, birads=birads.category(line["assessment"]),
        density=birads.density(line["density"]), mass_shape=birads.mass_shape(line["shape"]),
        mass_margin=birads.mass_margin(line["margins"]), split=part_of(key),
    )  # fmt: skip

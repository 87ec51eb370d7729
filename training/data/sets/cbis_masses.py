"""`cbis-mass-rois`: 256 × 256 pixels around each mass of CBIS-DDSM, with the annotators' masks.

`rois.csv` has `image, mask, woman, laterality, view, label, assessment, shape, margins, density,
spacing_mm`. The square was cut around the mask, about a twentieth wider: the image is the region.
The pixels' size is an estimate from the stated area, within about a tenth.

CBIS-DDSM's women are DDSM's. Where the folder `cbis-mass-views` lies beside this one, its table
names the DDSM exam of a woman, and her part is that of the exam in `ddsm-exams`: so a woman who
trains one film model tests no other.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode.models.store import woman_key
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.sets import cbis_ddsm, ddsm_exams
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out, part_of

NAME: Final = "cbis-mass-rois"
VIEWS: Final = "cbis-mass-views"
ACQUISITION: Final = Acquisition.FILM
DEMO_EXAM: Final = "C0104"
"""The DDSM exam that `cadnode demo` shows: of no part (see kim2018's recipe)."""
_COLUMNS: Final = (
    "image", "mask", "woman", "laterality", "view", "label", "assessment", "shape", "margins",
    "density", "spacing_mm",
)  # fmt: skip
_LABELS: Final = (m.MALIGNANT, m.BENIGN)


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each region, its part included.

    Raises
    ------
    DataError
        `rois.csv` is missing or lacks columns, or no region is usable.
    """
    exams = exams_of_women(folder)
    rows, reasons = [], []
    for row in read_rows(folder / "rois.csv", _COLUMNS):
        tick()
        made = _row(folder, row, exams.get(row["woman"], ()))
        if isinstance(made, str):
            reasons.append(made)
        else:
            rows.append(made)
    if not rows:
        raise DataError("rois.csv names no usable region")
    return Manifest(tuple(rows), left_out(reasons))


def exams_of_women(folder: Path) -> dict[str, tuple[str, ...]]:
    """DDSM's exams of each woman, by the table of the views beside `folder`; empty without it."""
    table = folder.resolve().parent / VIEWS / "views.csv"
    found: dict[str, set[str]] = {}
    if table.is_file():
        for row in read_rows(table, ("woman", "ddsm_view")):
            if row["woman"] and row["ddsm_view"]:
                found.setdefault(row["woman"], set()).add(row["ddsm_view"].partition("_")[0])
    return {woman: tuple(sorted(exams)) for woman, exams in found.items()}


def names_elsewhere(folder: Path) -> dict[str, tuple[str, ...]]:
    """Every key under which a woman of the folder is known in the other film sets, by her own.

    Raises
    ------
    DataError
        As `read`.
    """
    exams = exams_of_women(folder)
    women = {row["woman"] for row in read_rows(folder / "rois.csv", _COLUMNS)} - {""}
    return {
        woman_key(NAME, woman): (
            *(woman_key(dataset, woman) for dataset in (VIEWS, cbis_ddsm.NAME)),
            *(woman_key(ddsm_exams.NAME, exam) for exam in exams.get(woman, ())),
        )
        for woman in women
    }


def _row(folder: Path, row: Mapping[str, str], exams: tuple[str, ...]) -> ManifestRow | str:
    if not row["woman"]:
        return "woman unknown"
    if row["label"] not in _LABELS:
        return "label unknown"
    if DEMO_EXAM in exams:
        return "of the demo's exam"
    image, mask = folder / row["image"], folder / row["mask"]
    if not (row["image"] and image.is_file() and row["mask"] and mask.is_file()):
        return "file missing"
    spacing = _spacing(row["spacing_mm"])
    if spacing is None:
        return "size of the pixels not stated"
    # Of several exams the first by its name decides: a woman has one part.
    key = woman_key(ddsm_exams.NAME, exams[0]) if exams else woman_key(NAME, row["woman"])
    return ManifestRow(
        image=image, mask=mask, dataset=NAME, woman=row["woman"],
        laterality=row["laterality"] if row["laterality"] in ("L", "R") else "",
        view=row["view"] if row["view"] in m.VOCABULARIES["view"] else "",
        label=row["label"], pathology=row["label"], lesion_kind=m.MASS,
        birads=birads.category(row["assessment"]), density=birads.density(row["density"]),
        mass_shape=birads.mass_shape(row["shape"]), mass_margin=birads.mass_margin(row["margins"]),
        spacing_mm=spacing, split=part_of(key),
    )  # fmt: skip


def _spacing(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1 else None

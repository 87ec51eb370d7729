"""CBIS-DDSM as The Cancer Imaging Archive publishes it: four CSV files and a folder of DICOM files.

Lee RS et al., Sci Data 2017;4:170177. The CSV files' paths do not hold for what is downloaded:
the middle folders have other names (a date instead of a UID), files are `1-1.dcm` and not
`000000.dcm`, and of the mask and the cut-out of a lesion one is often named as the other. So only
the first folder of a path is trusted, and the mask is distinguished from the cut-out by its size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from cadnode.domain import Acquisition, Box
from cadnode.errors import DataError
from cadnode.exam.attributes import number
from cadnode.exam.dicom_file import tolerant
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out

NAME: Final = "cbis-ddsm"
ACQUISITION: Final = Acquisition.FILM
_TABLES: Final = tuple(
    (f"{kind}_case_description_{part}_set.csv", split)
    for kind in ("mass", "calc")
    for part, split in (("train", m.TRAIN), ("test", m.TEST))
)
_IMAGE, _CROP, _MASK = "image file path", "cropped image file path", "ROI mask file path"
_COLUMNS: Final = (
    "patient_id", "left or right breast", "image view", "abnormality id", "abnormality type",
    "assessment", "pathology", _IMAGE, _CROP, _MASK,
)  # fmt: skip
_SIDES: Final = {"LEFT": "L", "RIGHT": "R"}
_LABELS: Final = {
    "MALIGNANT": m.MALIGNANT, "BENIGN": m.BENIGN, "BENIGN_WITHOUT_CALLBACK": m.BENIGN,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Lesion:
    """One lesion in one view: its row of a CSV file, the official split, and its files."""

    row: Mapping[str, str]
    split: str
    image: Path
    candidates: tuple[Path, ...]


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each lesion in each view, boxes from the masks; `tick` after each mask.

    At least one of the four tables must be in `folder`; images lie anywhere below it.

    Raises
    ------
    DataError
        No table is there or one lacks columns, or no lesion has its files.
    """
    folders = _case_folders(folder)
    lesions, reasons, tables = [], [], 0
    for name, split in _TABLES:
        if not (folder / name).is_file():
            continue
        tables += 1
        for row in read_rows(folder / name, _COLUMNS):
            found = _find(row, split, folders)
            if isinstance(found, str):
                reasons.append(found)
            else:
                lesions.append(found)
    if not tables:
        raise DataError(f"{_TABLES[0][0]} (or calc, test) is missing: is {folder} the folder?")
    rows = []
    for lesion in lesions:
        made = _row(lesion)
        tick()
        if isinstance(made, str):
            reasons.append(made)
        else:
            rows.append(made)
    if not rows:
        raise DataError("the tables of CBIS-DDSM name no lesion whose image and mask are there")
    return Manifest(tuple(rows), left_out(reasons))


def load_mask(path: Path) -> NDArray[np.bool_] | None:
    """`(H, W) bool`, True inside the lesion; None when the file cannot be read."""
    try:
        with tolerant():
            pixels = dcmread(path).pixel_array
    except (OSError, InvalidDicomError, AttributeError, ValueError, RuntimeError, KeyError):
        return None
    return np.asarray(pixels > 0) if pixels.ndim == 2 else None


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box around what is True, None when nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _case_folders(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The DICOM files by the case folder (`Mass-Training_P_00001_LEFT_CC_1`) they lie in."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.dcm")):
        for parent in path.relative_to(folder).parts[:-1]:
            if parent.startswith(("Mass-", "Calc-")) and "_P_" in parent:
                files.setdefault(parent, []).append(path)
    return {name: tuple(paths) for name, paths in files.items()}


def _find(
    row: Mapping[str, str], split: str, folders: Mapping[str, tuple[Path, ...]]
) -> _Lesion | str:
    images = _named(row[_IMAGE], folders)
    if not images:
        return "image missing"
    candidates = dict.fromkeys((*_named(row[_MASK], folders), *_named(row[_CROP], folders)))
    if not candidates:
        return "mask missing"
    return _Lesion(row, split, images[0], tuple(candidates))


def _named(path: str, folders: Mapping[str, tuple[Path, ...]]) -> tuple[Path, ...]:
    """The files in the case folder that a CSV path begins with ("/" or "\\" between parts)."""
    return folders.get(path.replace("\\", "/").split("/")[0].strip(), ())


def _row(lesion: _Lesion) -> ManifestRow | str:
    image_shape = _shape(lesion.image)
    if image_shape is None:
        return "image cannot be read"
    mask = _mask_of(lesion.candidates, image_shape)
    if mask is None:
        return "mask does not fit the image"
    pixels = load_mask(mask)
    box = None if pixels is None else box_of(pixels)
    if box is None:
        return "mask cannot be read or is empty"
    row = lesion.row
    side, view = _SIDES.get(row["left or right breast"], ""), row["image view"]
    kind = row["abnormality type"].lower()
    shape = row.get("mass shape", "")
    return ManifestRow(
        image=lesion.image,
        dataset=NAME,
        woman=row["patient_id"],
        exam=row["patient_id"],
        laterality=side,
        view=view,
        box=box,
        mask=mask,
        label=_LABELS.get(row["pathology"], m.UNKNOWN),
        pathology=row["pathology"],
        birads=birads.category(row["assessment"]),
        density=birads.density(row.get("breast density") or row.get("breast_density") or ""),
        lesion=f"{kind} {row['abnormality id']}",
        lesion_kind=birads.mass_kind(shape) if kind == "mass" else m.CALCIFICATION,
        calcification_type=birads.calcification_type(row.get("calc type", "")),
        distribution=birads.distribution(row.get("calc distribution", "")),
        mass_shape=birads.mass_shape(shape),
        mass_margin=birads.mass_margin(row.get("mass margins", "")),
        split=lesion.split,
    )


def _mask_of(candidates: Sequence[Path], image: tuple[int, int]) -> Path | None:
    """The file of the image's size: the cut-out is smaller.

    Should both have it (a cut-out of the whole image), it is the one of 8 bits, as the masks are.
    """
    fitting = [path for path in candidates if _shape(path) == image]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    return min(fitting, key=lambda path: (_bits(path), path.name))


def _shape(path: Path) -> tuple[int, int] | None:
    rows, columns = _header(path, "Rows"), _header(path, "Columns")
    return (rows, columns) if rows and columns else None


def _bits(path: Path) -> int:
    return _header(path, "BitsAllocated")


def _header(path: Path, keyword: str) -> int:
    """A whole number of a header, 0 when there is none."""
    try:
        with tolerant():
            header = dcmread(path, stop_before_pixels=True, specific_tags=[keyword])
    except (OSError, InvalidDicomError):
        return 0
    return int(number(header, keyword) or 0)

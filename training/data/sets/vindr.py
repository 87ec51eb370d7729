"""VinDr-Mammo: `breast-level_annotations.csv`, `finding_annotations.csv`, `images/<study>/`.

Nguyen HT et al., Sci Data 2023;10:277: 5,000 digital exams of four views, read twice. Labels come
from BI-RADS (`birads.surrogate`): there is no histology. Benign findings are not annotated.
"""

import ast
from collections.abc import Callable, Mapping
from math import ceil, floor
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, Box
from cadnode.errors import DataError
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out

NAME: Final = "vindr"
ACQUISITION: Final = Acquisition.DIGITAL
_BREASTS, _FINDINGS = "breast-level_annotations.csv", "finding_annotations.csv"
_COLUMNS: Final = (
    "study_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads",
    "breast_density", "split",
)  # fmt: skip
_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
_SPLITS: Final = {"training": m.TRAIN, "test": m.TEST}
_KINDS: Final[Mapping[str, str]] = {
    "Mass": m.MASS, "Suspicious Calcification": m.CALCIFICATION,
    "Architectural Distortion": m.DISTORTION, "Asymmetry": m.ASYMMETRY,
    "Focal Asymmetry": m.ASYMMETRY, "Global Asymmetry": m.ASYMMETRY,
    "Skin Thickening": m.OTHER, "Skin Retraction": m.OTHER, "Nipple Retraction": m.OTHER,
    "Suspicious Lymph Node": m.OTHER,
}  # fmt: skip


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each finding; for a view without any, one row; `tick` after each view.

    Raises
    ------
    DataError
        A table is missing or lacks columns, or none of the images is there.
    """
    findings: dict[str, list[dict[str, str]]] = {}
    names = (*_COLUMNS, "finding_categories", "finding_birads", *_CORNERS)
    for line in read_rows(folder / _FINDINGS, names):
        findings.setdefault(line["image_id"], []).append(line)
    machines = _machines(folder)
    rows: list[ManifestRow] = []
    reasons: list[str] = []
    for breast in read_rows(folder / _BREASTS, _COLUMNS):
        tick()
        image = folder / "images" / breast["study_id"] / f"{breast['image_id']}.dicom"
        if not image.is_file():
            reasons.append("image missing")
            continue
        vendor = machines.get(breast["image_id"], "")
        found = [_finding(f, image, vendor, n) for n, f in
                 enumerate(findings.get(breast["image_id"], ()), 1)]  # fmt: skip
        regions = [row for row in found if row is not None]
        rows += regions or [_whole(breast, image, vendor)]
    if not rows:
        raise DataError(f"{_BREASTS} names no image that is there")
    return Manifest(tuple(rows), left_out(reasons))


def _machines(folder: Path) -> dict[str, str]:
    """The manufacturer by image; nothing without `metadata.csv`, which is optional."""
    if not (folder / "metadata.csv").is_file():
        return {}
    lines = read_rows(folder / "metadata.csv", ("SOP Instance UID",))
    return {
        line["SOP Instance UID"]: (
            line.get("Manufacturer") or line.get("Manufacturer's Model Name") or ""
        ).lower()
        for line in lines
    }


def _whole(line: Mapping[str, str], image: Path, vendor: str) -> ManifestRow:
    category = birads.category(line["breast_birads"])
    return ManifestRow(
        image=image,
        dataset=NAME,
        woman=line["study_id"],
        exam=line["study_id"],
        laterality=line["laterality"],
        view=line["view_position"],
        label=birads.surrogate(category),
        birads=category,
        density=birads.density(line["breast_density"]),
        vendor=vendor,
        split=_SPLITS.get(line["split"], ""),
    )


def _finding(line: Mapping[str, str], image: Path, vendor: str, number: int) -> ManifestRow | None:
    """None for the line of a view without findings ("No Finding", no box)."""
    box = _box(line)
    if box is None:
        return None
    kinds = [_KINDS.get(name, m.OTHER) for name in _names(line["finding_categories"])]
    # Skin and nodes have no category of their own: the breast's is not theirs.
    category = birads.category(line["finding_birads"])
    return ManifestRow(
        image=image,
        dataset=NAME,
        woman=line["study_id"],
        exam=line["study_id"],
        laterality=line["laterality"],
        view=line["view_position"],
        box=box,
        label=birads.surrogate(category),
        birads=category,
        density=birads.density(line["breast_density"]),
        vendor=vendor,
        lesion=f"{line['view_position']} {number}",
        lesion_kind=m.lesion_kind(kinds),
        split=_SPLITS.get(line["split"], ""),
    )


def _names(cell: str) -> list[str]:
    """The names in a Python list's text: "['Mass', 'Skin Thickening']"."""
    try:
        names = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return [cell]
    return [str(name) for name in names] if isinstance(names, list) else [str(names)]


def _box(line: Mapping[str, str]) -> Box | None:
    """Rounded outwards and cut at the image's edge: some boxes begin beyond it."""
    try:
        left, top, right, bottom = (float(line[corner]) for corner in _CORNERS)
        height, width = int(line["height"]), int(line["width"])
    except ValueError:
        return None
    box = Box(
        max(floor(top), 0), max(floor(left), 0), min(ceil(bottom), height), min(ceil(right), width)
    )
    return box if box.row0 < box.row1 and box.col0 < box.col1 else None

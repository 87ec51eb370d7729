"""RSNA Screening Mammography Breast Cancer Detection 2022, as on Kaggle.

`train.csv` and `train_images/<patient_id>/<image_id>.dcm`: digital views of two sites, a cancer
proven by biopsy or not for each breast. `rsna-views` is a reduced part of it, with one table.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out

NAME: Final = "rsna2022"
REDUCED: Final = "rsna-views"
ACQUISITION: Final = Acquisition.DIGITAL
_COLUMNS: Final = ("laterality", "view", "cancer", "biopsy", "machine_id")


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each view of `train.csv`; `tick` after each.

    Raises
    ------
    DataError
        `train.csv` is missing or lacks columns, or no image is there.
    """
    lines = read_rows(folder / "train.csv", ("patient_id", "image_id", *_COLUMNS))
    images = [
        folder / "train_images" / line["patient_id"] / f"{line['image_id']}.dcm" for line in lines
    ]
    women = [line["patient_id"] for line in lines]
    return _manifest(NAME, "train.csv", list(zip(lines, women, images, strict=True)), tick)


def read_reduced(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """The same of a folder of 8-bit images with `views.csv` (kind `rsna-views`)."""
    lines = read_rows(folder / "views.csv", ("image", "woman", *_COLUMNS))
    named = [(line, line["woman"], folder / line["image"]) for line in lines]
    return _manifest(REDUCED, "views.csv", named, tick)


def _manifest(
    dataset: str,
    table: str,
    lines: list[tuple[dict[str, str], str, Path]],
    tick: Callable[[], None],
) -> Manifest:
    rows, reasons = [], []
    for line, woman, image in lines:
        tick()
        reason = _unfit(line, woman, image)
        if reason:
            reasons.append(reason)
        else:
            rows.append(_row(dataset, line, woman, image))
    if not rows:
        raise DataError(f"{table} names no usable view")
    return Manifest(tuple(rows), left_out(reasons))


def _unfit(line: Mapping[str, str], woman: str, image: Path) -> str:
    """Why a line cannot be a row; empty if it can."""
    if not woman:
        return "woman unknown"
    if line["laterality"] not in m.VOCABULARIES["laterality"]:
        return "side unknown"
    if line["view"] not in m.VOCABULARIES["view"]:
        return "view unknown"
    if line["cancer"] not in ("0", "1"):
        return "label unknown"
    return "" if image.is_file() else "image missing"


def _row(dataset: str, line: Mapping[str, str], woman: str, image: Path) -> ManifestRow:
    cancer, biopsy = line["cancer"] == "1", line["biopsy"] == "1"
    # Choice: a breast without a cancer is benign if it was biopsied, otherwise normal: screening
    # negatives were followed up, and BI-RADS 2 means that nothing suspicious was seen.
    label = m.MALIGNANT if cancer else m.BENIGN if biopsy else m.NORMAL
    invasive = "invasive cancer" if line.get("invasive") == "1" else "cancer in situ"
    return ManifestRow(
        image=image,
        dataset=dataset,
        woman=woman,
        exam=woman,
        laterality=line["laterality"],
        view=line["view"],
        label=label,
        pathology=invasive if cancer else "biopsy without cancer" if biopsy else "no cancer",
        birads=birads.category(line.get("BIRADS", "")),
        density=birads.density(line.get("density", "")),
        age=birads.age(line.get("age", "")),
        vendor=f"machine {line['machine_id']}",
    )

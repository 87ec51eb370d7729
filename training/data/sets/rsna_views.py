"""`rsna-views`: single digital views of the RSNA 2022 screening challenge, `views.csv`.

Nearly every woman with a cancer shows only her cancer breast here: the number of breasts would
reveal the label, so breasts are scored alone. Machines 170, 210 and 216 have hardly any cancers:
cancers are compared within machines 21, 29, 48 and 49.
"""

from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, FloatImage, Laterality
from cadnode.errors import DataError
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import ViewRecord, ViewSet, left_out, read_grey, white_background

NAME: Final = "rsna-views"
MACHINES: Final = ("21", "29", "48", "49")
_COLUMNS = ("image", "woman", "site_id", "machine_id", "laterality", "view", "cancer", "implant")
_FACTS = ("site_id", "machine_id", "density", "invasive", "implant", "age")


def read(folder: Path) -> ViewSet:
    """The views that can be scored; `AT` views and missing files are left out.

    Raises
    ------
    DataError
        `views.csv` is missing or lacks columns, or no view is usable.
    """
    records, reasons = [], []
    for row in read_rows(folder / "views.csv", _COLUMNS):
        reason = _unfit(row, folder)
        if reason:
            reasons.append(reason)
        else:
            records.append(_record(row, folder))
    if not records:
        raise DataError("views.csv names no usable view")
    return ViewSet(NAME, Acquisition.DIGITAL, tuple(records), left_out(reasons))


def load(record: ViewRecord) -> FloatImage | None:
    """`(H, W) float32 in [0, 1]`, dense tissue bright; None when the file cannot be read."""
    image = read_grey(record.path)
    if image is not None and white_background(image):
        return 1 - image
    return image


def _unfit(row: dict[str, str], folder: Path) -> str:
    """Why a row cannot be used; empty if it can."""
    if not row["woman"]:
        return "woman unknown"
    if row["view"] not in ("CC", "MLO"):
        return "neither CC nor MLO"
    if row["laterality"] not in ("L", "R"):
        return "side unknown"
    if row["cancer"] not in ("0", "1"):
        return "label unknown"
    return "" if (folder / row["image"]).is_file() else "file missing"


def _record(row: dict[str, str], folder: Path) -> ViewRecord:
    cancer = row["cancer"] == "1"
    return ViewRecord(
        dataset=NAME,
        woman=row["woman"],
        laterality=Laterality(row["laterality"]),
        view=row["view"],
        path=folder / row["image"],
        cancer=cancer,
        exam_class="cancer" if cancer else "no cancer",
        stratum=row["machine_id"],
        facts=tuple((name, row.get(name, "") or "") for name in _FACTS),
        trainable=row["implant"] in ("0", ""),
    )

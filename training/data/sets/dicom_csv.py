"""How DICOM files with a `pathology.csv` beside them become a manifest (docs/data.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cadnode_training.data.manifest import Manifest
from cadnode_training.data.pathology import label_images, read_pathology
from cadnode_training.data.tables import find_table

NAME: Final = "dicom-csv"
TABLES: Final = ("pathology.csv", "pathology.xlsx")
_NO_IMAGES: Final = (".csv", ".xlsx", ".toml", ".json", ".txt", ".md", ".part")


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """The folder's mammograms (at any depth) that the table names; `tick` after each file.

    Raises
    ------
    DataError
        The table is missing or does not fit, or names no image of the folder.
    """
    table = read_pathology(find_table(folder, TABLES))
    paths = sorted(
        p for p in folder.rglob("*")
        if p.is_file() and p.suffix.lower() not in _NO_IMAGES and p.name != "DICOMDIR"
    )  # fmt: skip
    return label_images(folder, paths, table, tick)

"""Small pictures of what was read, written beside its result: a page shows them at once.

RESULTS/<study_key>/<fingerprint>/previews/<instance_key>.jpg
                                           hanging.json   on which side each chest wall is

They go with the result: removed with it, and erased with its patient.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cadnode.domain import FloatImage, Laterality
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Exam, Mammogram
from cadnode.files import make_folder, write_whole
from cadnode.imaging.geometry import breast_mask, chest_wall_is_right
from cadnode.node.view_pixels import jpeg_of

FOLDER: Final = "previews"
HANGING: Final = "hanging.json"


def write_previews(folder: Path, exam: Exam, load: Callable[[Mammogram], FloatImage]) -> None:
    """Write the pictures of an exam's views into a result's folder.

    `load` gives a view as it is displayed, `(H, W) float32 in [0, 1]`; where it raises
    `NotProcessable` that view has no picture.

    Raises
    ------
    OSError
        The disk is full.
    """
    hanging: dict[str, bool] = {}
    make_folder(folder / FOLDER)
    for mammogram in exam.mammograms:
        with suppress(NotProcessable):
            image = load(mammogram)
            hanging[mammogram.path.stem] = _chest_wall_is_right(image, mammogram.laterality)
            write_whole(folder / FOLDER / f"{mammogram.path.stem}.jpg", jpeg_of(image))
    write_whole(folder / FOLDER / HANGING, json.dumps(hanging).encode())


def _chest_wall_is_right(image: FloatImage, laterality: Laterality) -> bool:
    """As the reading takes it: from the image, else the usual hanging."""
    mask = breast_mask(image)
    return laterality is Laterality.RIGHT if mask is None else chest_wall_is_right(mask, laterality)


def preview(folder: Path, view: str) -> bytes | None:
    """The picture of a view in a result's folder, None without one."""
    try:
        return (folder / FOLDER / f"{view}.jpg").read_bytes()
    except OSError:
        return None


def chest_walls(folder: Path) -> dict[str, bool]:
    """Whether the chest wall is on the image's right, by the view's key; {} where it is unknown."""
    try:
        found = json.loads((folder / FOLDER / HANGING).read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(key): bool(value) for key, value in found.items()}

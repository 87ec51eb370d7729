"""A spool with images, and the viewer's side of a node behind it, without a worker."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import (
    Box,
    ExamResult,
    Finding,
    FindingKind,
    HeatMap,
    Laterality,
    ModelUse,
    System,
    ViewPosition,
    ViewScore,
)
from cadnode.log import hashed
from cadnode.node import results
from cadnode.node.study_views import StudyViewer
from cadnode.node.view_pixels import PixelCache
from cadnode.receive.spool import Spool
from tests.spool_cases import add_file
from tests.synthetic import set_pixels, uid, view_dataset, write

HANGING = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
STUDY = uid("study", 0)
KEY = hashed(STUDY)


@dataclass
class Held:
    """Where a study's result is, as `Studies` would say it."""

    folders: list[Path] = field(default_factory=list)
    is_current: bool = True

    def folders_of(self, _name: str) -> tuple[list[Path], bool]:
        return self.folders, self.is_current


def image(pixels: NDArray[Any] | None = None, **how: Any) -> Any:
    """A view's data set of the study; `pixels` of 12 bits in place of the drawn breast."""
    ds = view_dataset(**{"study_uid": STUDY, "seed": 0, **how})
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid(
        "image", how.get("laterality", "L"), how.get("view", "CC"), str(how.get("number", 0))
    )
    if pixels is not None:
        set_pixels(ds, pixels.astype(np.uint16), 12)
    return ds


def viewer(folder: Path, images: list[Any], held: Held | None = None) -> StudyViewer:
    """The viewer of a spool that has received these."""
    spool = Spool(folder / "spool")
    for number, ds in enumerate(images):
        add_file(spool, write(ds, folder / f"{number}.dcm"))
    return StudyViewer(spool, held or Held(), PixelCache())  # type: ignore[arg-type]


def key_of(ds: Any) -> str:
    """A view's key."""
    return hashed(str(ds.SOPInstanceUID))


def read(folder: Path, images: list[Any]) -> Held:
    """A result with a score and a map of each image, and a finding in the first."""
    uids = [str(ds.SOPInstanceUID) for ds in images]
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    box = Box(40, 60, 80, 100)
    outline = ((40.0, 60.0), (40.0, 100.0), (80.0, 100.0), (80.0, 60.0))
    result = ExamResult(
        study_instance_uid=STUDY,
        exam_score=0.7,
        breasts=(),
        views=tuple(
            ViewScore(
                one, Laterality(ds.ImageLaterality), ViewPosition(ds.ViewPosition), 0.7, "net"
            )
            for one, ds in zip(uids, images, strict=True)
        ),
        findings=(Finding(uids[0], box, outline, FindingKind.MASS, 0.62, "net"),),
        skipped=(),
        models=(ModelUse("net", "1.0.0", "0" * 64, system=System.KIM2018),),
        heat_maps=tuple(
            HeatMap(one, ramp, Box(0, 0, ds.Rows, ds.Columns), name)
            for one, ds in zip(uids, images, strict=True)
            for name in ("ensemble", "net")
        ),
    )
    where = folder / "result"
    where.mkdir()
    results.save_reading(where, result)
    return Held([where])

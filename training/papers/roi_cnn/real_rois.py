"""How ROIs are cut from real images, exactly as the node cuts them; once per folder.

The middle of the region's box is the middle of the ROI (Kang 2021, Data preparation; the node's
`reading.regions.Cutter`), the pixels' size is the image's own. What sticks out of an image is 0, as
in the node: a region of 60 × 60 pixels fills a small part of its ROI.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from cadnode import terminal
from cadnode.domain import CalcificationType
from cadnode.errors import DataError
from cadnode.imaging.geometry import Placement
from cadnode.imaging.roi_chain import Roi, RoiSpec, cut
from cadnode_training.data.region_pixels import Placed, placed
from cadnode_training.data.regions import DataRegion, Question, RegionSet, open_regions
from cadnode_training.data.rois import IMAGES, Part, RoiRecord, RoiSet, open_set, write_table

# Raised whenever what is stored for one file changes.
_STORED: Final = 1
PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class RealSource:
    """The regions with calcifications of `KIND:PATH`."""

    regions: RegionSet

    @property
    def name(self) -> str:
        """The kind, without its folder."""
        return self.regions.name


def open_real(text: str) -> RealSource:
    """The source of `KIND:PATH`, of which networks of calcifications can learn.

    Raises
    ------
    DataError
        The folder is not of that kind, or has no region of a known malignancy.
    """
    found = open_regions(text, "calcifications")
    if found.question != Question.MALIGNANCY:
        raise DataError(
            f"{found.name} states where calcifications are, not whether they are malignant: "
            "nothing to train these networks on"
        )
    if not found.items:
        reasons = "; ".join(f"{n} × {reason}" for reason, n in found.left_out)
        raise DataError(f"{found.name} has no region of calcifications to train on: {reasons}")
    return RealSource(found)


def prepare(
    source: RealSource, part: Part, spec: RoiSpec, folder: Path, *, margin: int, quiet: bool
) -> RoiSet:
    """The ROIs of a part as bytes, `margin` pixels larger on each side than the spec's.

    Those that the folder holds are reused; their key covers everything that they depend on.

    Raises
    ------
    DataError
        No ROI of the part can be read.
    """
    regions = source.regions.part(part).items
    wide = spec.model_copy(update={"size": spec.size + 2 * margin})
    place = folder / f"{source.name}-{part}-{_digest(regions, wide)}"
    if not place.is_dir():
        _make(source, part, regions, wide, place, quiet=quiet)
    return open_set(place)


def cut_all(
    regions: Sequence[DataRegion], *, quiet: bool = True
) -> Iterator[tuple[DataRegion, Placed | str]]:
    """Each region with its pixels or the reason why there are none, with a progress bar."""
    console = terminal.console(stderr=True, quiet=quiet)
    yield from track(
        placed(regions), "reading ROIs", total=len(regions), console=console, disable=quiet
    )


def roi_of(found: Placed, spec: RoiSpec) -> Roi:
    """The ROI around a region, as the node cuts it."""
    return cut(found.image, found.centre, found.spacing_mm, spec)


def record_of(found: Placed, placement: Placement | None = None) -> RoiRecord:
    """What is known of a ROI; its box is in the ROI's pixels when `placement` is given."""
    row = found.region.row
    known = row.calcification_type in tuple(CalcificationType)
    return RoiRecord(
        key=found.region.woman,
        malignant=found.region.positive,
        acquisition=found.region.acquisition.value,
        type=row.calcification_type if known else "",
        distribution=row.distribution,
        box=None if placement is None else _inside(found, placement),
    )


def _inside(found: Placed, placement: Placement) -> PixelBox:
    """The region's box in the ROI's pixels, cut at its edge, of at least one pixel."""
    corners = np.array(tuple(found.box), np.float64).reshape(2, 2)
    low, high = np.rint(placement.to_output(corners)).astype(int)
    low = np.clip(low, 0, np.array(placement.shape) - 1)
    high = np.maximum(np.minimum(high, placement.shape), low + 1)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _make(
    source: RealSource, part: Part, regions: Sequence[DataRegion], spec: RoiSpec, place: Path, *,
    quiet: bool,
) -> None:  # fmt: skip
    """Write the ROIs of a part; the folder takes its name when it is whole."""
    images: list[NDArray[np.uint8]] = []
    records: list[RoiRecord] = []
    reasons: dict[str, int] = {}
    for _, found in cut_all(regions, quiet=quiet):
        if isinstance(found, str):
            reasons[found] = reasons.get(found, 0) + 1
            continue
        roi = roi_of(found, spec)
        images.append(np.asarray(np.rint(roi.image[0] * 255), np.uint8))
        records.append(record_of(found, roi.placement))
    console = terminal.console(stderr=True, quiet=quiet)
    for reason, n in (dict(source.regions.left_out) | reasons).items():
        console.print(f"{source.name}: {n} left out, {reason}")
    if not records:
        raise DataError(f"{source.name}: no region of the {part} part can be read")
    partial = place.with_name(f"{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    np.save(partial / IMAGES, np.stack(images))
    write_table(partial, source.name, records)
    partial.rename(place)


def _digest(regions: Sequence[DataRegion], spec: RoiSpec) -> str:
    """Of everything that the stored ROIs depend on: files, boxes, labels, and how they are cut."""
    digest = hashlib.sha256(f"{_STORED}{spec.model_dump_json()}".encode())
    for region in regions:
        row = region.row
        for path in (row.image, row.mask):
            if path is not None and path.is_file():
                status = path.stat()
                digest.update(f"{path.resolve()}{status.st_size}{status.st_mtime_ns}".encode())
        digest.update(
            f"{region.woman}{row.box}{row.spacing_mm}{region.positive}{region.acquisition}"
            f"{row.calcification_type}{row.distribution}".encode()
        )
    return digest.hexdigest()[:16]

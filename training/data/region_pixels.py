"""Which pixels a region has: its image, its box, and the pixel spacing as the node reads it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Acquisition, Box, FloatImage
from cadnode.errors import NotProcessable
from cadnode.exam.mammogram import read_instance
from cadnode.imaging import pixels
from cadnode.imaging.spacing import spacing_of
from cadnode_training.data.images import GREY_FILES, load_image
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.regions import DataRegion
from cadnode_training.data.sets import cbis_masses, pisa_masses
from cadnode_training.data.sets.cbis_ddsm import box_of, load_mask
from cadnode_training.data.views import read_grey


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """A region in its image.

    Parameters
    ----------
    region
        With the acquisition that the image itself states, where it does.
    image
        `(H, W) float32 in [0, 1]`, the whole view, dense tissue bright.
    box
        In pixels of `image`, at least partly inside.
    spacing_mm
        (row, column) of its pixels, in the plane of the breast.
    """

    region: DataRegion
    image: FloatImage = field(repr=False)
    box: Box
    spacing_mm: tuple[float, float]

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column) of the box's middle: where the node cuts a region."""
        return (self.box.row0 + self.box.row1) / 2, (self.box.col0 + self.box.col1) / 2


@dataclass(frozen=True, eq=False, slots=True)
class _View:
    """An image and its header's facts; `estimated` is the node's guess where it has none."""

    image: FloatImage
    stated: tuple[float, float] | None = None
    estimated: tuple[float, float] | None = None
    acquisition: Acquisition | None = None


def placed(regions: Iterable[DataRegion]) -> Iterator[tuple[DataRegion, Placed | str]]:
    """Each region with its pixels, or with the reason why there are none.

    Consecutive regions of one image share it: it is read once.
    """
    path: Path | None = None
    view: _View | str = ""
    for region in regions:
        if region.row.image != path:
            path, view = region.row.image, _view(region.row.image)
        yield region, view if isinstance(view, str) else _place(region, view)


def _view(path: Path) -> _View | str:
    """An image with the facts of its DICOM header, or why it cannot be read."""
    if not path.is_file():
        return "file missing"
    if path.suffix.lower() in GREY_FILES:
        image = load_image(path)
        return image if isinstance(image, str) else _View(image)
    try:
        mammogram = read_instance(path)
        spacing, image = spacing_of(mammogram), pixels.load(mammogram)
    except NotProcessable as error:
        return error.reason.value
    stated = None if spacing.estimated else spacing.mm
    return _View(image, stated, spacing.mm, mammogram.acquisition)


def _place(region: DataRegion, view: _View) -> Placed | str:
    spacing = view.stated or _of_row(region.row) or view.estimated
    if spacing is None:
        return "size of the pixels not stated"
    shape = (view.image.shape[0], view.image.shape[1])
    box = _box(region.row, shape)
    if box is None:
        return "mask cannot be read or is empty"
    if box.row0 >= shape[0] or box.col0 >= shape[1] or box.row1 <= 0 or box.col1 <= 0:
        return "box outside of the image"
    acquired = replace(region, acquisition=view.acquisition or region.acquisition)
    return Placed(acquired, view.image, box, spacing)


def _of_row(row: ManifestRow) -> tuple[float, float] | None:
    """The pixel size that the data set states."""
    return None if row.spacing_mm is None else (row.spacing_mm, row.spacing_mm)


def _box(row: ManifestRow, shape: tuple[int, int]) -> Box | None:
    """The row's box, that of its mask, or the middle or whole of an image that is a region."""
    if row.box is not None:
        return row.box
    if row.dataset == cbis_masses.NAME:
        return Box(0, 0, *shape)
    if row.mask is not None:
        mask = mask_of(row.mask)
        return None if mask is None or mask.shape != shape else box_of(mask)
    if row.dataset == pisa_masses.NAME:
        return pisa_masses.centre_box(shape)
    return Box(0, 0, *shape)


def mask_of(path: Path) -> NDArray[np.bool_] | None:
    """`(H, W) bool`, of a DICOM or a grey file; None when it cannot be read."""
    if path.suffix.lower() not in GREY_FILES:
        return load_mask(path)
    grey = read_grey(path)
    return None if grey is None else np.asarray(grey > 0)

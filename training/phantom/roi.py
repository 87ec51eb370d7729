"""How regions with one lesion each are drawn, many a second: for training and tests."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import Acquisition, Box, FindingKind, FloatImage, ViewPosition
from cadnode_training.phantom import distractors, risk
from cadnode_training.phantom.anatomy import draw_breast
from cadnode_training.phantom.descriptors import Descriptors, PlantedLesion
from cadnode_training.phantom.lesions import plant
from cadnode_training.phantom.view import PhantomSpec, canvas, exposed

# Choice: lesions lie up to 8 % of the size off the middle, because a detector's boxes do.
_JITTER: Final = 0.08
_FIELD_MM: Final = (228.0, 150.0)
_OFTEN_PER_MM2: Final = 1 / 12_000
_Cell = TypeVar("_Cell", bound=np.generic)


@dataclass(frozen=True, eq=False, slots=True)
class PhantomRoi:
    """A square piece of a view; `image` is `(size, size) float32 in [0, 1]`.

    `lesion` is None, and `malignant` False, where nothing was planted.
    """

    image: FloatImage
    lesion: PlantedLesion | None
    malignant: bool
    p_malignant: float


class RoiSource:
    """Cuts regions from a bank of empty views that are made once.

    Each region has its own place, direction, lesion, distractors and noise.

    Parameters
    ----------
    seed, views
        Of the bank, and its number of views (half a second each).
    spacing_mm, acquisition
        As in `PhantomSpec`.
    """

    def __init__(
        self,
        seed: int = 0,
        views: int = 12,
        *,
        spacing_mm: float = 0.1,
        acquisition: Acquisition = Acquisition.DIGITAL,
    ) -> None:
        rows, columns = (int(length / spacing_mm) for length in _FIELD_MM)
        self.spec = PhantomSpec(spacing_mm, rows, columns, acquisition)
        rng = np.random.default_rng([seed, 1])
        standard = (ViewPosition.CC, ViewPosition.MLO)
        self._canvases = [
            canvas(rng, draw_breast(rng), standard[i % 2], self.spec) for i in range(views)
        ]
        self._grounds = [np.argwhere(c.ground) for c in self._canvases]

    def draw(
        self,
        rng: Generator,
        *,
        size: int = 512,
        kind: FindingKind | None = FindingKind.CALCIFICATION_CLUSTER,
        descriptors: Descriptors | None = None,
    ) -> PhantomRoi:
        """A region around a new lesion; without any when `kind` is None.

        Descriptors are drawn by their prior unless given. The lesion lies near the middle; the
        region is mirrored and turned by quarters at random. Outside of the view it is 0.
        """
        which = int(rng.integers(len(self._canvases)))
        source, ground = self._canvases[which], self._grounds[which]
        row, col = (ground[int(rng.integers(len(ground)))] + rng.random(2)) * source.coarse
        shift = rng.uniform(-_JITTER, _JITTER, 2) * size - size / 2
        corner = int(row + shift[0]), int(col + shift[1])
        piece, roll_off = (_cut(a, corner, size) for a in (source.image, source.roll_off))
        spacing_mm, lesion = self.spec.spacing_mm, None
        if kind is not None:
            case = risk.case_of(rng, descriptors) if descriptors else risk.draw(rng, kind)
            reach_mm = (0.5 - _JITTER) * size * spacing_mm - 1
            lesion = plant(rng, piece, source.site((row, col), reach_mm, corner), case)
        if self.spec.distractors:
            anywhere = rng.uniform(0, size, (8, 2))
            often = (size * spacing_mm) ** 2 * _OFTEN_PER_MM2
            distractors.sprinkle(rng, piece, anywhere, spacing_mm, often=often)
        image = exposed(rng, piece, roll_off, self.spec)
        _without_beyond(image, source.image.shape, corner)
        return _turned(rng, image, lesion)


def roi(
    rng: Generator,
    *,
    size: int = 512,
    spacing_mm: float = 0.1,
    kind: FindingKind | None = FindingKind.CALCIFICATION_CLUSTER,
    acquisition: Acquisition = Acquisition.DIGITAL,
    bank: int = 0,
) -> PhantomRoi:
    """A region of the shared source of that pixel size; the first call makes its bank.

    `bank` is the seed of the bank: test on another bank than the model was trained on.
    """
    return _shared(bank, spacing_mm, acquisition).draw(rng, size=size, kind=kind)


@lru_cache(maxsize=4)
def _shared(bank: int, spacing_mm: float, acquisition: Acquisition) -> RoiSource:
    return RoiSource(bank, spacing_mm=spacing_mm, acquisition=acquisition)


def _cut(image: FloatImage, corner: tuple[int, int], size: int) -> FloatImage:
    """A copy of `(size, size)` from the corner on; beyond the image its edge is repeated."""
    (r0, r1), (c0, c1) = _inside(image.shape, corner, size)
    part = image[r0:r1, c0:c1]
    top, left = r0 - corner[0], c0 - corner[1]
    bottom, right = size - top - part.shape[0], size - left - part.shape[1]
    return np.asarray(cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE))


def _inside(
    shape: tuple[int, ...], corner: tuple[int, int], size: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, and column, of the region inside the image."""
    rows, cols = ((max(c, 0), min(c + size, n)) for c, n in zip(corner, shape, strict=True))
    return rows, cols


def _without_beyond(image: FloatImage, shape: tuple[int, ...], corner: tuple[int, int]) -> None:
    """Set to 0 what lies beyond the view of that shape, in place."""
    (r0, r1), (c0, c1) = _inside(shape, corner, image.shape[0])
    row, col = corner
    image[: r0 - row] = image[r1 - row :] = 0
    image[:, : c0 - col] = image[:, c1 - col :] = 0


def _turned(rng: Generator, image: FloatImage, lesion: PlantedLesion | None) -> PhantomRoi:
    """The region mirrored and turned by quarters at random, the lesion with it."""
    quarters, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)
    turned = _turn(image, quarters, mirrored)
    if lesion is None:
        return PhantomRoi(turned, None, False, 0.0)
    size = image.shape[0]
    whole = np.zeros(image.shape, np.bool_)
    box = lesion.box
    whole[box.row0 : box.row1, box.col0 : box.col1] = lesion.mask
    corners = np.array([[box.row0, box.col0], [box.row1, box.col1]], np.float64)
    (r0, r1), (c0, c1) = np.sort(_turn_points(corners, size, quarters, mirrored), 0).astype(int).T
    here = Box(int(r0), int(c0), int(r1), int(c1))
    centre = _turn_points(np.array([lesion.centre]), size, quarters, mirrored)[0]
    moved = replace(
        lesion,
        centre=(float(centre[0]), float(centre[1])),
        box=here,
        mask=_turn(whole, quarters, mirrored)[r0:r1, c0:c1],
        calcifications=_turn_points(lesion.calcifications, size, quarters, mirrored),
    )
    return PhantomRoi(turned, moved, lesion.malignant, lesion.p_malignant)


def _turn(image: NDArray[_Cell], quarters: int, mirrored: bool) -> NDArray[_Cell]:
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, quarters))


def _turn_points(
    points: NDArray[np.float64], size: int, quarters: int, mirrored: bool
) -> NDArray[np.float64]:
    """`(n, 2)` positions in the image that `_turn` gives."""
    row, col = points[:, 0], points[:, 1]
    if mirrored:
        col = size - col
    for _ in range(quarters):  # np.rot90: columns become rows, counted from the other end
        row, col = size - col, row
    return np.stack([row, col], 1)
